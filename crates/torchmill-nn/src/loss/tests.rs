//! The arguments that loss functions reject, and class weights.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

fn typed(text: &str) -> Typed {
    toml::from_str(text).unwrap()
}

fn counts(counts: [u64; 3]) -> Vec<(String, u64)> {
    ["cat", "dog", "bird"].into_iter().map(str::to_owned).zip(counts).collect()
}

#[test]
fn impossible_values_are_usage_errors() {
    for (bad, key) in [
        ("type = \"CrossEntropyLoss\"\nlabel_smoothing = 1.1", "loss.label_smoothing"),
        ("type = \"CrossEntropyLoss\"\nweight = [1.0, -1.0]", "loss.weight"),
        ("type = \"BCEWithLogitsLoss\"\npos_weight = [nan]", "loss.pos_weight"),
        ("type = \"CrossEntropyLoss\"\nweight = 1", "expected a list"),
        ("type = \"CrossEntropyLoss\"\nweight = \"even\"", "or \"balanced\""),
        ("type = \"BCEWithLogitsLoss\"\npos_weight = \"balanced\"", "loss.pos_weight"),
        ("type = \"MSELoss\"\nweight = [1.0]", "unknown field `weight`"),
        ("type = \"CrossEntropy\"", "(did you mean CrossEntropyLoss?)"),
    ] {
        let error = read(&typed(bad)).unwrap_err();
        assert_eq!(error.exit_status(), 2, "{bad}: {error}");
        assert!(error.to_string().contains(key), "{bad}: {error}");
    }
}

#[test]
fn there_is_a_weight_for_each_class() {
    let loss = typed("type = \"NLLLoss\"\nweight = [1.0, 2.0]");
    let error = build(&loss, 3, Device::Cpu).unwrap_err();
    assert_eq!(
        error.to_string(),
        "[train] loss.weight has 2 values, but there are 3 classes"
    );
    assert_eq!(error.exit_status(), 2);
    build(&loss, 2, Device::Cpu).unwrap();
}

#[test]
fn balanced_weights_are_scikit_learns() {
    // compute_class_weight("balanced", classes=[0, 1, 2], y=[0]*5 + [1]*2 + [2]*3).
    let expected =
        [0.666_666_666_666_666_6, 1.666_666_666_666_666_7, 1.111_111_111_111_111_2];
    for (text, key) in [
        ("type = \"CrossEntropyLoss\"\nweight = \"balanced\"", "weight"),
        ("type = \"NLLLoss\"\nweight = \"balanced\"", "weight"),
    ] {
        let loss = balanced(&typed(text), &counts([5, 2, 3])).unwrap();
        let weights = loss.arguments[key].as_array().unwrap();
        for (got, expected) in weights.iter().zip(expected) {
            let got = got.as_float().unwrap();
            assert!((got - expected).abs() < 1e-15, "{got}, not {expected}");
        }
        build(&loss, 3, Device::Cpu).unwrap();
        // Without the class that has no images: compute_class_weight("balanced",
        // classes=[0, 2], y=[0]*6 + [2]*2).
        let loss = balanced(&typed(text), &counts([6, 0, 2])).unwrap();
        let weights = loss.arguments[key].as_array().unwrap();
        let weights: Vec<f64> = weights.iter().filter_map(|w| w.as_float()).collect();
        assert_eq!(weights, [8.0 / 12.0, 1.0, 2.0]);
        assert!(build(&typed(text), 3, Device::Cpu).is_err());
    }
    let plain = typed("type = \"CrossEntropyLoss\"\nweight = [1.0, 2.0, 3.0]");
    let same = balanced(&plain, &counts([5, 2, 3])).unwrap();
    assert_eq!(same.arguments["weight"], plain.arguments["weight"]);
}
