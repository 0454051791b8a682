//! Every layer, optimizer and schedule against what PyTorch gave (golden/nn.json, made by golden/nn.py).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use serde::Deserialize;
use tch::{Device, Kind, Tensor};
use torchmill::recipe::{Layer, Model as Layers, Optimizer as Settings, Schedule};
use torchmill_nn::evaluation::floats;
use torchmill_nn::generator::Generator;
use torchmill_nn::model::{Mode, Model};
use torchmill_nn::optimizer::Optimizer;
use torchmill_nn::schedule::{Position, learning_rate};

#[derive(Deserialize)]
struct Golden {
    layers: Vec<GoldenLayer>,
    optimizers: Vec<GoldenOptimizer>,
    schedules: Vec<GoldenSchedule>,
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
    parameters: [Vec<f32>; 2],
}

#[derive(Deserialize)]
struct GoldenSchedule {
    schedule: String,
    rates: Vec<f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/nn.json")).unwrap()
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
    let values: Vec<f32> = (0..shape.iter().product()).map(|i: i64| (i as f64).sin() as f32).collect();
    Tensor::from_slice(&values).reshape(shape)
}

/// A parameter's name within the one layer.
fn own_name(name: &str) -> &str {
    name.strip_prefix("0.").unwrap()
}

#[track_caller]
fn assert_close(what: &str, got: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        assert!((g - e).abs() <= tolerance * e.abs().max(1.0), "{what}: element {i} is {g}, PyTorch has {e}");
    }
}

#[test]
fn layers_are_pytorchs_forward_and_backward() {
    let golden = golden().layers;
    assert!(golden.len() > 30);
    for g in golden {
        let layer: Layer = from_toml(&g.layer);
        let layers = Layers::of(vec![layer]);
        let model = Model::body(&layers, g.input, &mut Generator::new(3), Device::Cpu).unwrap();
        let [c, h, w] = g.input.map(|n| n as i64);
        let x = wave(&[2, c, h, w]).set_requires_grad(true);
        let y = model.forward(&x, Mode { training: true, kind: Kind::Float }).unwrap();
        assert_eq!(y.size(), g.output_shape, "{}", g.layer);
        assert_close(&g.layer, &floats(&y), &g.output, 1e-5);
        (&y * wave(&y.size()).cos()).sum(Kind::Float).backward();
        assert_close(&format!("{} input gradient", g.layer), &floats(&x.grad()), &g.input_gradient, 1e-4);
        let names: Vec<&str> = model.state_dict().map(|n| own_name(&n.name)).collect();
        assert_eq!(names.len(), g.state.len(), "{}: {names:?}", g.layer);
        for named in model.state_dict() {
            let name = own_name(&named.name);
            // Initial weights are drawn as PyTorch draws them, so they are equal; running statistics moved.
            assert_close(&format!("{} {name}", g.layer), &floats(&named.tensor), &g.state[name], 1e-6);
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

#[test]
fn initial_weights_are_bit_for_bit_pytorchs() {
    for g in golden().layers.iter().filter(|g| g.layer.contains("Conv2d") || g.layer.contains("Linear")) {
        let layers = Layers::of(vec![from_toml(&g.layer)]);
        let model = Model::body(&layers, g.input, &mut Generator::new(3), Device::Cpu).unwrap();
        for named in model.parameters() {
            assert_eq!(floats(&named.tensor), g.state[own_name(&named.name)], "{}", g.layer);
        }
    }
}

#[test]
fn optimizers_track_pytorchs_for_a_hundred_steps() {
    for g in golden().optimizers {
        let mut optimizer = Optimizer::new(from_toml::<Settings>(&g.optimizer));
        let parameters = [wave(&[5]), wave(&[2, 3])];
        for step in 0..100 {
            let shift = f64::from(0.1_f32) * f64::from((step as f32).sin());
            let gradient = |p: &Tensor| p * (wave(&[p.numel() as i64]) + 1.2).reshape(p.size()) + shift;
            let gradients = parameters.each_ref().map(gradient);
            optimizer.step(&parameters, &gradients);
        }
        for (p, expected) in parameters.iter().zip(&g.parameters) {
            assert_close(&g.optimizer, &floats(p), expected, 1e-5);
        }
    }
}

#[test]
fn schedules_are_pytorchs() {
    let (epochs, batches) = (12, 3);
    for g in golden().schedules {
        let schedule: Schedule = from_toml(&g.schedule);
        for (step, expected) in g.rates.iter().enumerate() {
            let step = step as u64;
            let at = Position { epoch: step / batches, epochs, step, steps: epochs * batches };
            let rate = learning_rate(Some(&schedule), 0.1, at);
            assert!(
                (rate - expected).abs() < 1e-8,
                "{} step {step}: {rate}, PyTorch has {expected}",
                g.schedule
            );
        }
    }
}
