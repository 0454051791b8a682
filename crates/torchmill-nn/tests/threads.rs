//! Results that must not depend on the number of threads. This is a separate test
//! program, because the number of threads is a setting of the process.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use tch::{Device, Kind, Tensor};
use torchmill::recipe::Model as Layers;
use torchmill_nn::generator::Generator;
use torchmill_nn::model::{Mode, Model};
use torchmill_nn::precision;
use torchmill_nn::tensor::floats;

#[derive(serde::Deserialize)]
struct Recipe {
    model: Layers,
}

/// A training step's output, gradients and running statistics on this number of threads.
fn step(threads: i32) -> Vec<Vec<f32>> {
    tch::set_num_threads(threads);
    let recipe: Recipe = toml::from_str(
        "model.layer = [{ type = 'Residual', layer = [{ type = 'BatchNorm2d' }] }, { \
         type = 'ReLU' }, { type = 'MaxPool2d', kernel_size = 2 }]",
    )
    .unwrap();
    let model =
        Model::body(&recipe.model, [48, 32, 32], &mut Generator::new(0), Device::Cpu)
            .unwrap();
    let x = Tensor::arange(16 * 32 * 32 * 48, (Kind::Float, Device::Cpu)).sin();
    let x = x.reshape([16, 32, 32, 48]).permute([0, 3, 1, 2]).set_requires_grad(true);
    let y = model.forward(&x, Mode { training: true, kind: Kind::Float }).unwrap();
    (&y * y.cos()).sum(Kind::Float).backward();
    let learned = model.parameters().iter().map(|p| floats(&p.tensor.grad()));
    let statistics = model.state_dict().map(|p| floats(&p.tensor));
    [floats(&y), floats(&x.grad())].into_iter().chain(learned).chain(statistics).collect()
}

#[test]
fn batch_norm_and_pooling_do_not_depend_on_the_number_of_threads() {
    let one = step(1);
    assert!(one.iter().flatten().all(|v| v.is_finite()));
    for threads in [2, 3] {
        assert!(step(threads) == one, "{threads} threads");
    }
}

/// The gradient of a convolution's weight in bf16 on this number of threads.
fn weight_gradient(threads: i32) -> Vec<f32> {
    tch::set_num_threads(threads);
    let recipe: Recipe = toml::from_str(
        "model.layer = [{ type = 'Conv2d', out_channels = 96, kernel_size = 3, padding = \
         1, bias = false }]",
    )
    .unwrap();
    let model =
        Model::body(&recipe.model, [80, 7, 7], &mut Generator::new(0), Device::Cpu)
            .unwrap();
    let x = Tensor::arange(64 * 7 * 7 * 80, (Kind::Float, Device::Cpu)).sin();
    let x = x.reshape([64, 7, 7, 80]).permute([0, 3, 1, 2]);
    let y = model.forward(&x, Mode { training: true, kind: Kind::BFloat16 }).unwrap();
    (&y * y.cos()).sum(Kind::Float).backward();
    floats(&model.parameters()[0].tensor.grad())
}

#[test]
fn amxs_weight_gradients_do_not_depend_on_the_number_of_threads() {
    // Without AMX, libtorch computes this gradient.
    if !precision::processor().starts_with("AMX") {
        return;
    }
    let one = weight_gradient(1);
    assert!(one.iter().any(|&v| v != 0.0));
    for threads in [2, 3, 8] {
        assert!(weight_gradient(threads) == one, "{threads} threads");
    }
}
