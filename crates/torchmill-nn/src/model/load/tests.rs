//! How a file's names are matched with the network's. tests/golden/torch_save.py makes
//! the .pt files.

use tch::Kind;
use torchmill::recipe::{Recipe, default_loss};

use super::*;
use crate::checkpoint::decode;
use crate::generator::Generator;
use crate::spec::Spec;
use crate::tensor::floats;

macro_rules! golden {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/golden/", $name))
    };
}

/// Flatten and Linear(4, 3), as in torch_save.py.
fn model() -> Model {
    let recipe = "name = \"x\"\n[[model.layer]]\ntype = \"Flatten\"\n\
                  [[model.layer]]\ntype = \"Linear\"\n";
    let spec = Spec {
        model: Recipe::parse(recipe).unwrap().model,
        input: [1, 2, 2],
        classes: ["a", "b", "c"].map(String::from).to_vec(),
        transform: "ToTensor".into(),
        batch_size: 1,
        dataset: String::new(),
        loss: default_loss(),
    };
    Model::new(&spec, &mut Generator::new(0), Device::Cpu).unwrap()
}

fn file(bytes: &[u8]) -> StateDict {
    decode(bytes.to_vec()).unwrap().tensors
}

fn memory(names: &[(&str, &[i64])]) -> StateDict {
    let mut tensors = Vec::new();
    for (name, shape) in names {
        let tensor = tch::Tensor::zeros(*shape, (Kind::Float, Device::Cpu));
        tensors.push(((*name).to_owned(), tensor));
    }
    tensors.into()
}

fn except(patterns: &[&str]) -> Vec<String> {
    patterns.iter().map(|pattern| (*pattern).to_owned()).collect()
}

fn bias(model: &Model) -> Vec<f32> {
    floats(&model.state_dict().find(|named| named.name == "1.bias").unwrap().tensor)
}

#[test]
fn wrapped_state_dicts_of_pytorch_are_loaded() {
    for (bytes, patterns, prefix) in [
        (&golden!("averaged.pt")[..], &["n_averaged"][..], "module."),
        (golden!("lightning.pt"), &["criterion.*"], "model."),
        (golden!("compiled.pt"), &[], ""),
    ] {
        let mut model = model();
        let loaded = model.load_foreign(&file(bytes), &except(patterns)).unwrap();
        assert_eq!((loaded.count, loaded.prefix.as_str()), (2, prefix));
        assert_eq!(bias(&model), [1.0, 2.0, 3.0]);
        let mut model = self::model();
        let loaded = model.load_initial(&file(bytes), &except(patterns)).unwrap();
        assert_eq!((loaded.count, loaded.ignored.len()), (2, patterns.len()));
    }
}

#[test]
fn what_is_left_over_is_named() {
    let mut model = model();
    let error = model.load_foreign(&file(golden!("averaged.pt")), &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the weights are another network's: 1 unexpected (n_averaged); --except PATTERN \
         leaves names out"
    );
}

#[test]
fn similar_names_are_at_the_same_place() {
    let mut model = model();
    let weights = memory(&[("x", &[1]), ("1.bais", &[3]), ("head.weight", &[3, 4])]);
    let error = model.load_state_dict(&weights).unwrap_err().to_string();
    assert_eq!(
        error,
        "the weights are another network's: 2 missing (1.bias, 1.weight), 3 unexpected \
         (1.bais, head.weight, x)"
    );
}

#[test]
fn nothing_changes_if_one_name_is_wrong() {
    let mut model = model();
    let before = bias(&model);
    let weights = memory(&[("1.bias", &[3]), ("1.weight", &[3, 5])]);
    let error = model.load_state_dict(&weights).unwrap_err().to_string();
    assert!(error.contains("1 of another shape (1.weight is [3, 5]"), "{error}");
    assert_eq!(bias(&model), before);
}

#[test]
fn the_prefix_that_fits_most_names_is_removed() {
    let known = HashSet::from(["a.weight", "a.bias", "b.weight"]);
    let prefix = |names: &[&str]| best_prefix(names.iter().copied(), &known);
    assert_eq!(prefix(&["a.weight", "a.bias", "c"]), "");
    assert_eq!(prefix(&["m.a.weight", "m.b.weight", "n"]), "m.");
    assert_eq!(prefix(&["m.n.a.weight", "m.n.a.bias", "m.b.weight"]), "m.n.");
    assert_eq!(prefix(&["x", "y"]), "");
}
