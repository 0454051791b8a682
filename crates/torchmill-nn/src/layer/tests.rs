//! Every layer class is among the layers that PyTorch and onnxruntime compute in tests.

use tch::{Device, Kind, Tensor};
use torchmill::recipe::Model;

use super::{CLASSES, Mode};
use crate::generator::Generator;
use crate::kernel::conv_pool;
use crate::model;
use crate::precision::{cpu_has_amx, cpu_has_bf16};
use crate::tensor::{channels_last, floats};

const GOLDEN: &str = include_str!("../../tests/golden/nn.json");
const EXPORT: &str = include_str!("../../../../tests/export.rs");

#[test]
fn pytorch_computes_every_class() {
    for class in CLASSES {
        let layer = format!(r#"type=\"{}\""#, class.name);
        assert!(GOLDEN.contains(&layer), "golden/nn.py has no {}", class.name);
    }
}

#[test]
fn onnxruntime_computes_every_class() {
    // The networks of tests/export.rs: layers, and architectures written out as layers.
    let mut networks = EXPORT.to_owned();
    for name in ["mobilenet_v3_small", "vit_tiny"] {
        let architecture = format!("architecture = \"{name}\"");
        assert!(EXPORT.contains(&architecture.replace('"', "\\\"")), "{name}");
        let model: Model = toml::from_str(&architecture).unwrap();
        networks +=
            &toml::to_string(&*model.written_out([3, 224, 224]).unwrap()).unwrap();
    }
    for class in CLASSES {
        let as_call = format!("\"{}(", class.name);
        let as_table = format!("type = \"{}\"", class.name);
        let is_there = networks.contains(&as_call) || networks.contains(&as_table);
        assert!(is_there, "no network of tests/export.rs has {}", class.name);
    }
}

#[test]
fn a_relu_before_max_pooling_may_be_applied_after_it() {
    for (class, channels, kernel) in [
        ("ReLU", 32, 3),
        ("ReLU6", 32, 3),
        ("ReLU", 32, 5),
        ("ReLU", 3, 5),
        ("ReLU", 3, 3),
    ] {
        let layers = format!(
            "layer = [{{ type = 'Conv2d', out_channels = 32, kernel_size = {kernel} }}, \
             {{ type = '{class}' }}, {{ type = 'MaxPool2d', kernel_size = 2 }}]"
        );
        let layers: Model = toml::from_str(&layers).unwrap();
        let shape = [channels, 17, 17];
        let network =
            model::Model::body(&layers, shape, &mut Generator::new(0), Device::Cpu)
                .unwrap();
        // Small integers, so that all sums are exact and ties are common.
        tch::manual_seed(0);
        let integers =
            |size: &[i64]| Tensor::randint_low(-2, 3, size, (Kind::Float, Device::Cpu));
        let x = channels_last(&integers(&[5, channels as i64, 17, 17]));
        let parameters = network.parameter_tensors();
        tch::no_grad(|| {
            for mut parameter in network.parameter_tensors() {
                parameter.copy_(&integers(&parameter.size()));
            }
        });
        let pooled = (17 - kernel + 1) / 2;
        let gradient = integers(&[5, 32, pooled, pooled]);
        let with_gradients = |y: Tensor| {
            let loss = (&y * &gradient).sum(Kind::Float);
            let mut all = Tensor::run_backward(&[loss], &parameters, false, false);
            all.push(y);
            all
        };
        let mode = Mode { training: true, kind: Kind::Float };
        let ours = with_gradients(network.forward(&x, mode).unwrap());
        let [weight, bias] = &parameters[..] else { panic!("a convolution's") };
        if cpu_has_bf16() && !cpu_has_amx() && (channels == 32 || kernel == 5) {
            assert!(conv_pool::is_chosen(&x, &weight.size(), [0, 0], [2, 2]));
        }
        let y = x.conv2d(weight, Some(bias), [1, 1], [0, 0], [1, 1], 1);
        let y = if class == "ReLU" { y.relu() } else { y.relu6() };
        let atens = with_gradients(y.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false));
        for (ours, atens) in ours.iter().zip(&atens) {
            assert_eq!(floats(ours), floats(atens), "{class} {channels} {kernel}");
        }
    }
}
