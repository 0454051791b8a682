//! Every layer class is among the layers that PyTorch and onnxruntime compute in tests.

use torchmill::recipe::Model;

use super::CLASSES;

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
