//! The arguments that optimizers reject, and the messages.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::tensor::floats;

fn typed(text: &str) -> Typed {
    toml::from_str(text).unwrap()
}

#[test]
fn impossible_values_are_usage_errors() {
    for (bad, argument) in [
        ("type = \"SGD\"\nlr = -1.0", "optimizer.lr"),
        ("type = \"SGD\"\nlr = nan", "optimizer.lr"),
        ("type = \"SGD\"\nmomentum = -0.9", "momentum"),
        ("type = \"SGD\"\nmomentum = 0.9\ndampening = inf", "optimizer.dampening"),
        ("type = \"SGD\"\nnesterov = true", "optimizer.nesterov"),
        ("type = \"AdamW\"\nbetas = [0.9, 1.0]", "betas"),
        ("type = \"Adam\"\neps = -1e-8", "eps"),
        ("type = \"RMSprop\"\nalpha = -1.0", "alpha"),
        ("type = \"Muon\"\nns_steps = 100", "optimizer.ns_steps"),
        ("type = \"Muon\"\nmomentum = -0.9", "momentum"),
        ("type = \"Muon\"\nns_coefficients = [1.0, nan, 1.0]", "ns_coefficients"),
        ("type = \"Muon\"\nadjust_lr_fn = \"none\"", "adjust_lr_fn"),
    ] {
        let error = read(&typed(bad)).unwrap_err();
        assert_eq!(error.exit_status(), 2, "{bad}: {error}");
        assert!(error.to_string().contains(argument), "{bad}: {error}");
    }
}

#[test]
fn messages_are_in_the_words_of_recipes() {
    for (bad, expected) in [
        (
            "type = \"SGD\"\nlr = \"f64\"",
            "lr: invalid type: string \"f64\", expected a number",
        ),
        ("type = \"SGD\"\nmomentun = 0.5", "(did you mean momentum?)"),
        ("type = \"SDG\"", "(did you mean SGD?)"),
        ("type = \"Adam\"\nbetas = 0.9", "betas: "),
        ("type = \"Adam\"\nbetas = [0.9]", "betas: "),
    ] {
        let error = read(&typed(bad)).unwrap_err();
        assert_eq!(error.exit_status(), 2, "{bad}: {error}");
        let message = error.to_string();
        assert!(message.contains(expected), "{bad}: {message}");
        let said = message.replace("\"f64\"", "");
        for word in ["f64", "struct", "enum", "tuple", "sequence"] {
            assert!(!said.contains(word), "{bad}: {message}");
        }
    }
}

#[test]
fn each_type_has_torch_optims_defaults() {
    for (name, lr, weight_decay) in [
        ("SGD", 1e-3, 0.0),
        ("Adam", 1e-3, 0.0),
        ("AdamW", 1e-3, 1e-2),
        ("RMSprop", 1e-2, 0.0),
        ("Muon", 1e-3, 0.1),
    ] {
        let (rule, resolved) = read(&Typed::new(name)).unwrap();
        assert_eq!((rule.lr(), rule.weight_decay()), (lr, weight_decay), "{name}");
        assert_eq!(resolved.arguments["lr"].as_float(), Some(lr), "{name}");
        assert_eq!(read(&resolved).unwrap().1, resolved, "{name}");
    }
}

#[test]
fn other_buffers_are_refused_with_the_argument_that_makes_the_difference() {
    let rule = |text: &str| PlacedRule::new(&typed(text), None).unwrap();
    for (saved, own, argument) in [
        ("type = \"SGD\"", "type = \"Adam\"", "type"),
        ("type = \"SGD\"\nmomentum = 0.9", "type = \"SGD\"", "momentum"),
        ("type = \"Adam\"", "type = \"Adam\"\namsgrad = true", "amsgrad"),
        ("type = \"RMSprop\"\ncentered = true", "type = \"RMSprop\"", "centered"),
    ] {
        let error = rule(own).check_continues(&rule(saved).kind());
        let error = error.unwrap_err().to_string();
        let expected = format!("leave train.optimizer.{argument} as it is");
        assert!(error.contains(&expected), "{error}");
    }
    let nesterov = rule("type = \"SGD\"\nmomentum = 0.9\nnesterov = true");
    let saved = rule("type = \"SGD\"\nmomentum = 0.5").kind();
    nesterov.check_continues(&saved).unwrap();
}

#[test]
fn muon_takes_matrices_and_with_flatten_filters() {
    let check = |text: &str, shape: &[i64]| {
        let checked = read(&typed(text)).unwrap().0.check_shape(shape);
        checked.map_err(|e| e.to_string())
    };
    let plain = "type = \"Muon\"";
    let flat = "type = \"Muon\"\nflatten = true";
    check(plain, &[4, 3]).unwrap();
    check(flat, &[4, 3, 3, 3]).unwrap();
    let error = check(plain, &[4, 3, 3, 3]).unwrap_err();
    assert!(error.contains("flatten = true"), "{error}");
    let error = check(flat, &[4]).unwrap_err();
    assert!(error.contains("[[train.group]]"), "{error}");
}

/// Two parameters, whose gradients are `2 * parameter + shift`.
fn gradients(params: &[Param], shift: f64) -> Vec<Tensor> {
    params.iter().map(|param| &param.tensor * 2.0 + shift).collect()
}

/// Every number that a step changes.
fn changed(params: &[Param]) -> Vec<f32> {
    let tensors = params.iter().flat_map(|p| std::iter::once(&p.tensor).chain(&p.state));
    tensors.flat_map(floats).collect()
}

#[test]
fn a_skipped_step_leaves_no_trace() {
    for text in [
        "type = \"SGD\"\nmomentum = 0.9\ndampening = 0.5",
        "type = \"Adam\"\namsgrad = true",
        "type = \"AdamW\"",
        "type = \"RMSprop\"\nmomentum = 0.9\ncentered = true",
        "type = \"Muon\"",
    ] {
        let train = Train { optimizer: typed(text), ..Train::default() };
        let [mut skipping, mut plain] = [(); 2].map(|()| {
            let rules = Rules::read(&train).unwrap();
            let groups = rules.settings();
            let matrix = Tensor::arange(6, (Kind::Float, Device::Cpu)).reshape([2, 3]);
            let params = [matrix.copy(), matrix + 3.0].map(|t| Param::new(t, 0));
            (Optimizer::new(rules, groups), params)
        });
        for (shift, is_skipped) in
            [(f64::NAN, true), (0.1, false), (0.2, false), (f64::NAN, true), (0.3, false)]
        {
            let overflow = Tensor::from(f32::from(u8::from(is_skipped)));
            let (optimizer, params) = &mut skipping;
            let of_these = gradients(params, shift);
            optimizer.step(params, &of_these, Some(&overflow)).unwrap();
            if !is_skipped {
                let (optimizer, params) = &mut plain;
                let of_these = gradients(params, shift);
                optimizer.step(params, &of_these, None).unwrap();
            }
            assert_eq!(changed(&skipping.1), changed(&plain.1), "{text}");
        }
        assert_eq!(skipping.0.steps().unwrap(), 3);
    }
}
