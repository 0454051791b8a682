//! Results that must not depend on the number of threads. This is a separate test
//! program, because the number of threads is a setting of the process.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use tch::{Device, Kind, Tensor};
use torchmill::recipe::Model as Layers;
use torchmill_nn::generator::Generator;
use torchmill_nn::model::{Mode, Model};
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
