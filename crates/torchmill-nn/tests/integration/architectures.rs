//! The built-in architectures compared with torchvision's: names, shapes, initial weights
//! and logits (golden/architectures.json, made by golden/architectures.py). Also initial
//! weights from other files.

use std::collections::BTreeMap;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor, no_grad};
use torchmill::recipe::{ARCHITECTURES, Model as Layers, default_loss};
use torchmill_nn::generator::Generator;
use torchmill_nn::model::{Mode, Model};
use torchmill_nn::spec::Spec;
use torchmill_nn::state_dict::StateDict;
use torchmill_nn::summary;
use torchmill_nn::tensor::floats;

#[derive(Deserialize)]
struct Golden {
    model: String,
    size: usize,
    tensors: usize,
    shapes: String,
    parameters: usize,
    squares: Option<BTreeMap<String, f64>>,
    logits: Option<Vec<f32>>,
}

const EVAL: Mode = Mode { training: false, kind: Kind::Float };

fn spec(model: &str, size: usize, classes: usize) -> Spec {
    Spec {
        model: toml::from_str::<Layers>(model).unwrap(),
        input: [3, size, size],
        classes: (0..classes).map(|i| i.to_string()).collect(),
        transform: "ToTensor".into(),
        batch_size: 1,
        dataset: String::new(),
        loss: default_loss(),
    }
}

/// sin(0), sin(1), ... as in architectures.py.
fn wave(shape: &[i64]) -> Tensor {
    let values: Vec<f32> =
        (0..shape.iter().product()).map(|i: i64| (i as f64).sin() as f32).collect();
    Tensor::from_slice(&values).reshape(shape)
}

#[test]
fn architectures_are_torchvisions() {
    let all: Vec<Golden> =
        serde_json::from_str(include_str!("../golden/architectures.json")).unwrap();
    for g in all {
        let spec = spec(&g.model, g.size, 10);
        let model = match g.logits {
            Some(_) => Model::new(&spec, &mut Generator::new(7), Device::Cpu).unwrap(),
            None => Model::empty(&spec, Device::Cpu).unwrap(),
        };
        let mut lines: Vec<String> = model
            .state_dict()
            .map(|n| format!("{} {:?}\n", n.name, n.tensor.size()))
            .collect();
        lines.sort();
        let digest: String = Sha256::digest(lines.concat())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            (lines.len(), model.parameter_count()),
            (g.tensors, g.parameters),
            "{}",
            g.model
        );
        assert_eq!(digest, g.shapes, "{}: {}", g.model, lines.concat());
        for (name, expected) in g.squares.unwrap_or_default() {
            let tensor =
                &model.parameters().iter().find(|n| n.name == name).unwrap().tensor;
            let squares =
                tensor.to_kind(Kind::Double).square().sum(Kind::Double).double_value(&[]);
            assert!(
                (squares - expected).abs() <= 1e-5 * expected,
                "{} {name}: {squares}, {expected}",
                g.model
            );
        }
        let Some(expected) = g.logits else { continue };
        no_grad(|| {
            for n in model.state_dict() {
                let biased = n.tensor.dim() == 1 && n.name.ends_with("bias");
                if biased || n.name.starts_with("heads.head") {
                    n.tensor.shallow_clone().copy_(&(wave(&n.tensor.size()) * 0.1));
                }
            }
        });
        let size = g.size as i64;
        let got =
            floats(&no_grad(|| model.forward(&wave(&[2, 3, size, size]), EVAL)).unwrap());
        let scale = expected.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
        for (g_, e) in got.iter().zip(&expected) {
            assert!(
                (g_ - e).abs() <= 1e-4 * scale,
                "{}: {got:?}, torchvision has {expected:?}",
                g.model
            );
        }
    }
}

#[test]
fn every_architecture_trains_in_both_precisions() {
    for architecture in &ARCHITECTURES {
        // The large ones differ from the small ones only in sizes.
        if ["vgg", "resnet34", "resnet50", "vit_b"]
            .iter()
            .any(|n| architecture.name.starts_with(n))
        {
            continue;
        }
        let patch = if architecture.name == "vit_tiny" { "patch_size = 8" } else { "" };
        let spec =
            spec(&format!("architecture = \"{}\"\n{patch}", architecture.name), 32, 3);
        let model = Model::new(&spec, &mut Generator::new(0), Device::Cpu).unwrap();
        for kind in [Kind::Float, Kind::BFloat16] {
            let logits = model
                .forward(&wave(&[2, 3, 32, 32]), Mode { training: true, kind })
                .unwrap();
            assert_eq!(logits.size(), [2, 3]);
            let loss = logits.cross_entropy_for_logits(&Tensor::from_slice(&[0_i64, 2]));
            let gradients =
                Tensor::run_backward(&[loss], &model.parameter_tensors(), false, false);
            let finite =
                gradients.iter().all(|g| g.isfinite().all().int64_value(&[]) == 1);
            assert!(finite, "{} in {kind:?}", architecture.name);
        }
    }
}

#[test]
fn the_summary_counts_as_torchvision_does() {
    // `_ops` in torchvision's metadata of its weights: 10^9 multiply-adds at 224 x 224.
    for (name, expected) in [
        ("resnet18", 1.814),
        ("resnet50", 4.089),
        ("mobilenet_v2", 0.301),
        ("mobilenet_v3_small", 0.057),
        ("efficientnet_b0", 0.386),
        ("convnext_tiny", 4.456),
    ] {
        let model = Model::empty(
            &spec(&format!("architecture = \"{name}\""), 224, 1000),
            Device::Cpu,
        )
        .unwrap();
        let leaves = model.summary().iter().filter(|row| row.inner == 0);
        let (adds, parameters) = leaves
            .fold((0, 0), |(a, p), row| (a + row.multiply_adds, p + row.parameters));
        assert!((adds as f64 / 1e9 - expected).abs() < 0.001, "{name}: {adds}");
        // ConvNeXt's scales are parameters of leaf layers, too.
        assert_eq!(parameters, model.parameter_count(), "{name}");
    }
}

#[test]
fn the_summary_is_a_table() {
    let model =
        Model::empty(&spec("architecture = \"article\"", 32, 10), Device::Cpu).unwrap();
    let text = summary::text(model.summary(), [3, 32, 32]);
    assert!(text.contains("module1.0 (Conv2d)"), "{text}");
    assert!(text.contains("145,578"), "{text}");
    let conv = text.lines().find(|l| l.contains("module1.0 ")).unwrap();
    assert!(
        conv.contains("[32, 32, 32]")
            && conv.contains("2,432")
            && conv.contains("2,457,600"),
        "{conv}"
    );
}

fn tensors(model: &Model, prefix: &str) -> Vec<(String, Tensor)> {
    let copy = |t: &Tensor| no_grad(|| t.detach().copy());
    model.state_dict().map(|n| (format!("{prefix}{}", n.name), copy(&n.tensor))).collect()
}

/// The same tensors as a state dict.
fn dict(tensors: &[(String, Tensor)]) -> StateDict {
    let mut clones = Vec::new();
    for (name, tensor) in tensors {
        clones.push((name.clone(), tensor.shallow_clone()));
    }
    clones.into()
}

const SMALL: &str = "architecture = \"lenet5\"";

fn lenet(seed: u64, classes: usize) -> Model {
    Model::new(&spec(SMALL, 32, classes), &mut Generator::new(seed), Device::Cpu).unwrap()
}

#[test]
fn weights_for_other_classes_leave_the_head_new() {
    let (theirs, fresh, mut ours) = (lenet(1, 10), lenet(2, 3), lenet(2, 3));
    let loaded = ours.load_initial(&tensors(&theirs, "module.").into(), &[]).unwrap();
    assert_eq!(
        (loaded.count, loaded.prefix.as_str(), loaded.fresh.len()),
        (8, "module.", 2)
    );
    for ((own, theirs), fresh) in
        ours.state_dict().zip(theirs.state_dict()).zip(fresh.state_dict())
    {
        let expected = if own.name.starts_with("fc3.") { fresh } else { theirs };
        assert_eq!(floats(&own.tensor), floats(&expected.tensor), "{}", own.name);
    }
    assert!(
        loaded.to_string().contains("fc3.weight [3, 84] (the file's is [10, 84])"),
        "{loaded}"
    );
}

#[test]
fn a_head_for_other_classes_of_the_same_number_is_said() {
    let names = |names: [&str; 3]| names.map(str::to_owned);
    let (theirs, mut ours) = (lenet(1, 3), lenet(2, 3));
    let weights = dict(&tensors(&theirs, ""));
    let loaded = ours.load_initial(&weights, &[]).unwrap();
    let animals = names(["cat", "dog", "bird"]);
    let note = loaded.other_classes(&animals, &names(["cat", "dog", "fish"])).unwrap();
    assert!(note.contains("its class 2 is `bird`, here it is `fish`"), "{note}");
    assert!(note.contains("--init-except 'fc3.*'"), "{note}");
    assert_eq!(loaded.other_classes(&animals, &animals), None);
    assert_eq!(loaded.other_classes(&[], &animals), None);
    let loaded = ours.load_initial(&weights, &["fc3.*".to_owned()]).unwrap();
    assert_eq!(loaded.other_classes(&animals, &names(["a", "b", "c"])), None);
}

#[test]
fn a_foreign_file_may_have_a_prefix_and_no_counters() {
    let small = |seed| {
        let spec = spec("architecture = \"resnet18\"\nstem = \"cifar\"", 8, 3);
        Model::new(&spec, &mut Generator::new(seed), Device::Cpu).unwrap()
    };
    let (theirs, mut ours) = (small(1), small(2));
    let mut weights = tensors(&theirs, "module.");
    weights.retain(|(name, _)| !name.ends_with("num_batches_tracked"));
    ours.load_foreign(&dict(&weights), &[]).unwrap();
    for (own, theirs) in ours.parameters().iter().zip(theirs.parameters()) {
        assert_eq!(floats(&own.tensor), floats(&theirs.tensor), "{}", own.name);
    }
    let layers: Layers =
        toml::from_str("architecture = \"resnet18\"\nstem = \"cifar\"").unwrap();
    assert_eq!(Model::sizes_in(&layers, [1, 8, 8], &dict(&weights)).unwrap(), (3, 3));
    weights.retain(|(name, _)| name != "module.fc.bias");
    assert!(
        ours.load_foreign(&dict(&weights), &[])
            .unwrap_err()
            .to_string()
            .contains("1 missing (fc.bias)")
    );
}

#[test]
fn weights_that_do_not_fit_are_named_and_change_nothing() {
    let mut weights = tensors(&lenet(1, 10), "");
    weights.retain(|(n, _)| n != "conv2.bias");
    weights.push(("extra".into(), Tensor::from(0_f32)));
    weights.iter_mut().find(|(n, _)| n == "fc1.bias").unwrap().1 =
        Tensor::zeros([7], (Kind::Float, Device::Cpu));
    let mut ours = lenet(2, 10);
    let error = ours.load_initial(&dict(&weights), &[]).unwrap_err().to_string();
    for part in [
        "1 missing (conv2.bias)",
        "1 unexpected (extra)",
        "fc1.bias is [7], the network's is [120]",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(
        floats(&ours.parameters()[0].tensor),
        floats(&lenet(2, 10).parameters()[0].tensor)
    );
    let except = ["conv2.bias", "extra", "fc1.*"].map(str::to_owned);
    let loaded = ours.load_initial(&dict(&weights), &except).unwrap();
    let counts =
        [loaded.count, loaded.fresh.len(), loaded.excepted.len(), loaded.ignored.len()];
    assert_eq!(counts, [7, 0, 3, 1], "{loaded}");
    let idle = ours
        .load_initial(&dict(&weights), &["conv9.*".to_owned()])
        .unwrap_err()
        .to_string();
    assert!(idle.contains("no name matches `conv9.*`"), "{idle}");
}

#[test]
fn what_is_frozen_takes_no_gradient_and_keeps_its_statistics() {
    let frozen = "architecture = \"resnet18\"\nstem = \"cifar\"\nfreeze = [\"conv1.*\", \"bn1.*\", \"layer[1-4].*\"]";
    let model =
        Model::new(&spec(frozen, 32, 3), &mut Generator::new(0), Device::Cpu).unwrap();
    let names: Vec<&str> = model.trained().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["fc.weight", "fc.bias"]);
    let before = tensors(&model, "");
    let images = wave(&[4, 3, 32, 32]);
    let trained =
        model.forward(&images, Mode { training: true, kind: Kind::Float }).unwrap();
    for (n, (_, before)) in model.state_dict().zip(&before) {
        assert_eq!(floats(&n.tensor), floats(before), "{}", n.name);
    }
    assert_eq!(floats(&trained), floats(&model.forward(&images, EVAL).unwrap()));
    let misspelt = spec("architecture = \"lenet5\"\nfreeze = [\"conf1.*\"]", 32, 3);
    let error = Model::new(&misspelt, &mut Generator::new(0), Device::Cpu)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("no name fits `conf1.*`"), "{error}");
}

#[test]
fn names_that_collide_are_refused() {
    let twice = "layer = [{type = \"Flatten\"}, {name = \"a\", type = \"Linear\", out_features = 3}, \
                 {name = \"a\", type = \"Linear\"}]";
    let error = Model::new(&spec(twice, 8, 3), &mut Generator::new(0), Device::Cpu)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("called a.weight"), "{error}");
}
