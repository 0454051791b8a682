//! Every layer, loss, optimizer and schedule compared with PyTorch's results
//! (golden/nn.json, made by golden/nn.py).

use std::collections::BTreeMap;

use serde::Deserialize;
use tch::{Device, Kind, Reduction, Tensor};
use torchmill::recipe::{Layer, Model as Layers, Train, Typed};
use torchmill::schedule::{LearningRate, PlateauState, Position};
use torchmill_nn::generator::Generator;
use torchmill_nn::gradients::{clip_norm, clip_value};
use torchmill_nn::loss;
use torchmill_nn::model::{Mode, Model};
use torchmill_nn::optimizer::{Optimizer, Param, Rules};
use torchmill_nn::scaler::{Scaler, ScalerState};
use torchmill_nn::tensor::floats;

#[derive(Deserialize)]
struct Golden {
    layers: Vec<GoldenLayer>,
    optimizers: Vec<GoldenOptimizer>,
    scaled: Vec<GoldenScaled>,
    muon: Vec<GoldenOptimizer>,
    schedules: Vec<GoldenSchedule>,
    losses: Vec<GoldenLoss>,
    clipped: Vec<GoldenClipped>,
}

#[derive(Deserialize)]
struct GoldenLayer {
    layer: String,
    input: [usize; 3],
    output_shape: Vec<i64>,
    output: Vec<f32>,
    input_gradient: Vec<f32>,
    gradients: BTreeMap<String, Vec<f32>>,
    state: BTreeMap<String, Vec<f32>>,
}

#[derive(Deserialize)]
struct GoldenOptimizer {
    optimizer: String,
    parameters: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct GoldenScaled {
    optimizer: String,
    parameters: Vec<Vec<f32>>,
    scale: f32,
}

#[derive(Deserialize)]
struct GoldenSchedule {
    train: String,
    rates: Vec<f64>,
    momenta: Vec<f64>,
}

#[derive(Deserialize)]
struct GoldenLoss {
    loss: String,
    mixed: bool,
    log_softmax: bool,
    mean: f32,
    each: Vec<f32>,
    gradient: Vec<f32>,
}

#[derive(Deserialize)]
struct GoldenClipped {
    by: String,
    limit: f64,
    gradients: [Vec<f32>; 2],
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/nn.json")).unwrap()
}

fn from_toml<T: serde::de::DeserializeOwned>(inline: &str) -> T {
    #[derive(Deserialize)]
    struct Wrapper<T> {
        x: T,
    }
    toml::from_str::<Wrapper<T>>(&format!("x = {inline}")).unwrap().x
}

/// sin(0), sin(1), ... as in nn.py.
fn wave(shape: &[i64]) -> Tensor {
    let values: Vec<f32> =
        (0..shape.iter().product()).map(|i: i64| (i as f64).sin() as f32).collect();
    Tensor::from_slice(&values).reshape(shape)
}

/// A parameter's name within the only layer.
fn own_name(name: &str) -> &str {
    name.strip_prefix("0.").unwrap()
}

#[track_caller]
fn assert_close(what: &str, got: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        assert!(
            (g - e).abs() <= tolerance * e.abs().max(1.0),
            "{what}: element {i} is {g}, PyTorch has {e}"
        );
    }
}

#[test]
fn layers_are_pytorchs_forward_and_backward() {
    layers_are_pytorchs(Tensor::contiguous);
}

/// The layout of batches, for which we have our own kernels.
#[test]
fn layers_are_pytorchs_in_channels_last() {
    layers_are_pytorchs(|x| x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]));
}

fn layers_are_pytorchs(lay_out: impl Fn(&Tensor) -> Tensor) {
    let golden = golden().layers;
    assert!(golden.len() > 30);
    for g in golden {
        let layer: Layer = from_toml(&g.layer);
        let layers = Layers::of(vec![layer]);
        let model =
            Model::body(&layers, g.input, &mut Generator::new(3), Device::Cpu).unwrap();
        let [c, h, w] = g.input.map(|n| n as i64);
        let x = lay_out(&wave(&[2, c, h, w])).set_requires_grad(true);
        let y = model.forward(&x, Mode { training: true, kind: Kind::Float }).unwrap();
        assert_eq!(y.size(), g.output_shape, "{}", g.layer);
        assert_close(&g.layer, &floats(&y), &g.output, 1e-5);
        (&y * wave(&y.size()).cos()).sum(Kind::Float).backward();
        assert_close(
            &format!("{} input gradient", g.layer),
            &floats(&x.grad()),
            &g.input_gradient,
            1e-4,
        );
        let names: Vec<&str> = model.state_dict().map(|n| own_name(&n.name)).collect();
        assert_eq!(names.len(), g.state.len(), "{}: {names:?}", g.layer);
        for named in model.state_dict() {
            let name = own_name(&named.name);
            // Initial weights are drawn in PyTorch's order, so they are equal. Running
            // statistics have moved.
            assert_close(
                &format!("{} {name}", g.layer),
                &floats(&named.tensor),
                &g.state[name],
                1e-6,
            );
            if let Some(gradient) = g.gradients.get(name) {
                assert_close(
                    &format!("{} {name} gradient", g.layer),
                    &floats(&named.tensor.grad()),
                    gradient,
                    1e-4,
                );
            }
        }
    }
}

/// The gradients by name of the model's parameters that have one, for the loss of the
/// golden values.
fn gradients(model: &Model, x: &Tensor) -> BTreeMap<String, Vec<f32>> {
    let y = model.forward(x, Mode { training: true, kind: Kind::Float }).unwrap();
    let loss = (&y * wave(&y.size()).cos()).sum(Kind::Float);
    if !loss.requires_grad() {
        return BTreeMap::new();
    }
    loss.backward();
    let trained = model.trained();
    trained.map(|n| (n.name.clone(), floats(&n.tensor.grad()))).collect()
}

fn channels_last(x: &Tensor) -> Tensor {
    x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

/// Each layer comes first, so its input needs no gradient.
#[test]
fn every_layer_trains_on_images_without_a_gradient() {
    for g in golden().layers {
        let layers = Layers::of(vec![from_toml(&g.layer)]);
        let [c, h, w] = g.input.map(|n| n as i64);
        for x in [wave(&[2, c, h, w]), channels_last(&wave(&[2, c, h, w]))] {
            let model =
                Model::body(&layers, g.input, &mut Generator::new(3), Device::Cpu)
                    .unwrap();
            for (name, gradient) in gradients(&model, &x) {
                let expected = &g.gradients[own_name(&name)];
                let what = format!("{} {name} gradient", g.layer);
                assert_close(&what, &gradient, expected, 1e-4);
            }
        }
    }
}

/// Each layer after a frozen one that changes nothing, and before one, with its own
/// parameters frozen.
#[test]
fn every_layer_trains_beside_frozen_ones() {
    for g in golden().layers {
        let [c, h, w] = g.input.map(|n| n as i64);
        let identity = format!(
            "{{name = \"pass\", type = \"Conv2d\", kernel_size = 1, groups = {c}, out_channels = {c}, \
             initialise = [{{weight = {{type = \"ones_\"}}, bias = {{type = \"zeros_\"}}}}]}}"
        );
        for frozen in ["pass.*", "1.*", "1"] {
            let mut layers = Layers::of(vec![from_toml(&identity), from_toml(&g.layer)]);
            layers.freeze = vec![frozen.to_owned()];
            for x in [wave(&[2, c, h, w]), channels_last(&wave(&[2, c, h, w]))] {
                let built =
                    Model::body(&layers, g.input, &mut Generator::new(3), Device::Cpu);
                // Without parameters, nothing can be frozen or trained.
                let Ok(model) = built else { continue };
                let gradients = gradients(&model, &x);
                assert!(!gradients.is_empty(), "{} {frozen}", g.layer);
                for (name, gradient) in gradients {
                    let what = format!("{} {frozen}: {name} gradient", g.layer);
                    assert!(gradient.iter().all(|x| x.is_finite()), "{what}");
                    if name.starts_with("pass") {
                        continue;
                    }
                    // Random weights differ: the first layer's are drawn before them.
                    if !g.layer.contains("Conv2d")
                        && !g.layer.contains("Linear")
                        && !g.layer.contains("Attention")
                    {
                        let expected =
                            &g.gradients[name.strip_prefix("1.").unwrap_or("0")];
                        assert_close(&what, &gradient, expected, 1e-4);
                    }
                }
            }
        }
    }
}

#[test]
fn initial_weights_are_bit_for_bit_pytorchs() {
    for g in golden()
        .layers
        .iter()
        .filter(|g| g.layer.contains("Conv2d") || g.layer.contains("Linear"))
    {
        let layers = Layers::of(vec![from_toml(&g.layer)]);
        let model =
            Model::body(&layers, g.input, &mut Generator::new(3), Device::Cpu).unwrap();
        for named in model.parameters() {
            assert_eq!(
                floats(&named.tensor),
                g.state[own_name(&named.name)],
                "{}",
                g.layer
            );
        }
    }
}

/// An optimizer for a single parameter group.
fn optimizer(typed: &Typed) -> Optimizer {
    let rules =
        Rules::read(&Train { optimizer: typed.clone(), ..Train::default() }).unwrap();
    let groups = rules.settings();
    Optimizer::new(rules, groups)
}

#[test]
fn optimizers_track_pytorchs_for_a_hundred_steps() {
    let golden = golden().optimizers;
    assert!(golden.len() > 12);
    for g in golden {
        let typed: Typed = from_toml(&g.optimizer);
        let mut optimizer = optimizer(&typed);
        let mut params = [wave(&[5]), wave(&[2, 3])].map(|tensor| Param::new(tensor, 0));
        for step in 0..100 {
            let gradients = params.each_ref().map(|param| gradient(&param.tensor, step));
            optimizer.step(&mut params, &gradients, None).unwrap();
        }
        for (param, expected) in params.iter().zip(&g.parameters) {
            assert_close(&g.optimizer, &floats(&param.tensor), expected, 1e-5);
        }
    }
}

/// The steps in which nn.py makes a gradient overflow.
const OVERFLOWS: [u32; 5] = [0, 1, 30, 31, 77];

#[test]
fn optimizers_skip_the_steps_that_grad_scaler_skips() {
    let golden = golden().scaled;
    assert!(golden.len() > 12);
    for g in golden {
        let mut optimizer = optimizer(&from_toml(&g.optimizer));
        let mut scaler = Scaler::new(ScalerState::default(), Device::Cpu).unwrap();
        let mut params = [wave(&[5]), wave(&[2, 3])].map(|tensor| Param::new(tensor, 0));
        for step in 0..100 {
            let mut gradients = params
                .each_ref()
                .map(|param| gradient(&param.tensor, step) * scaler.scale());
            if OVERFLOWS.contains(&step) {
                let _ = gradients[1].get(1).get(2).fill_(f64::INFINITY);
            }
            let overflow = scaler.unscale(&mut gradients).unwrap();
            optimizer.step(&mut params, &gradients, Some(&overflow)).unwrap();
        }
        assert_eq!(optimizer.steps().unwrap(), 95);
        assert_eq!(floats(scaler.scale()), [g.scale]);
        for (param, expected) in params.iter().zip(&g.parameters) {
            assert_close(&g.optimizer, &floats(&param.tensor), expected, 1e-5);
        }
    }
}

/// A four-dimensional parameter in both layouts, which are the same matrix to Muon. In
/// bfloat16, or float32 if the processor has no bfloat16.
#[test]
fn muon_tracks_pytorchs() {
    for g in golden().muon {
        for lay_out in [Tensor::contiguous, channels_last] {
            let mut optimizer = optimizer(&from_toml(&g.optimizer));
            let mut tensors = vec![wave(&[2, 3]), wave(&[6, 4])];
            if g.parameters.len() > 2 {
                tensors.push(lay_out(&wave(&[4, 2, 3, 2])));
            }
            let mut params: Vec<Param> =
                tensors.into_iter().map(|tensor| Param::new(tensor, 0)).collect();
            for step in 0..20 {
                let mut gradients = Vec::new();
                for param in &params {
                    gradients.push(gradient(&param.tensor, step));
                }
                optimizer.step(&mut params, &gradients, None).unwrap();
            }
            for (param, expected) in params.iter().zip(&g.parameters) {
                assert_close(&g.optimizer, &floats(&param.tensor), expected, 2e-3);
            }
        }
    }
}

/// The gradient of a step in nn.py.
fn gradient(parameter: &Tensor, step: u32) -> Tensor {
    let shift = f64::from(0.1_f32) * f64::from((step as f32).sin());
    let factors = wave(&[parameter.numel() as i64]) + 1.2;
    parameter * factors.reshape(parameter.size()) + shift
}

/// A recipe's `[train]` without a schedule, with these keys added.
fn train(keys: &str) -> Train {
    toml::from_str(keys).unwrap()
}

#[test]
fn schedules_are_pytorchs() {
    let (epochs, batches) = (12, 3);
    let golden = golden().schedules;
    assert!(golden.len() > 14);
    for g in golden {
        let learning_rate = LearningRate::new(&train(&g.train)).unwrap();
        // Whatever the schedule, a group's learning rate follows its own, here 0.1.
        let mut plateau = PlateauState::new(vec![0.1]);
        for (step, (expected, expected_momentum)) in
            g.rates.iter().zip(&g.momenta).enumerate()
        {
            let step = step as u64;
            let at =
                Position { epoch: step / batches, epochs, step, steps: epochs * batches };
            let got = learning_rate.rate(plateau.rates()[0], at);
            assert!(
                (got - expected).abs() < 1e-8,
                "{} step {step}: {got}, PyTorch has {expected}",
                g.train
            );
            let got = learning_rate.momentum(at).unwrap_or(0.9);
            assert!(
                (got - expected_momentum).abs() < 1e-8,
                "{} step {step}: momentum {got}",
                g.train
            );
            if let Some(settings) = learning_rate.plateau()
                && (step + 1).is_multiple_of(batches)
            {
                // As in nn.py.
                let value = 1.0 / (at.epoch.min(3) as f64 + 1.0);
                let metric = settings.metric().unwrap();
                let value = if metric.name == "accuracy" { 1.0 - value } else { value };
                plateau.step(settings, metric.direction, value);
            }
        }
    }
}

#[test]
fn losses_are_pytorchs_with_their_gradients() {
    let golden = golden().losses;
    assert!(golden.len() > 8);
    for g in golden {
        let loss = loss::build(&from_toml(&g.loss), 3, Device::Cpu).unwrap();
        let labels = Tensor::from_slice(&[2_i64, 0, 1, 2]);
        let mixed = wave(&[4, 3]).softmax(1, Kind::Float);
        let targets = if g.mixed { mixed } else { labels };
        let outputs = wave(&[4, 3]).set_requires_grad(true);
        let inputs = if g.log_softmax {
            outputs.log_softmax(1, Kind::Float)
        } else {
            outputs.shallow_clone()
        };
        let mean = loss::compute(&*loss, &inputs, &targets, Reduction::Mean).unwrap();
        assert_close(&g.loss, &floats(&mean), &[g.mean], 1e-6);
        mean.backward();
        assert_close(
            &format!("{} gradient", g.loss),
            &floats(&outputs.grad()),
            &g.gradient,
            1e-6,
        );
        // The evaluation recomputes the mean from the losses of the images.
        let each = loss::compute(&*loss, &inputs, &targets, Reduction::None).unwrap();
        let each = floats(&each);
        assert_close(&g.loss, &each, &g.each, 1e-6);
        let weight = loss::weights(&*loss, &targets).unwrap();
        let weight = weight.map_or(vec![1.0; 4], |w| floats(&w));
        let total = each.iter().sum::<f32>() / weight.iter().sum::<f32>();
        assert_close(&g.loss, &[total], &[g.mean], 1e-6);
    }
}

#[test]
fn clipping_is_pytorchs() {
    for g in golden().clipped {
        let mut gradients = [wave(&[5]), wave(&[2, 3]) * 3.0];
        if g.by == "norm" {
            clip_norm(&mut gradients, g.limit).unwrap();
        } else {
            clip_value(&mut gradients, g.limit).unwrap();
        }
        for (got, expected) in gradients.iter().zip(&g.gradients) {
            assert_close(&g.by, &floats(got), expected, 1e-6);
        }
    }
}
