//! The metrics' values on a few images, worked out by hand, and the table's promises.

use super::*;

/// The total loss, the accuracy and the mean loss of images of (label, outputs, loss,
/// weight).
fn compute(batch_size: usize, images: &[(usize, [f32; 3], f32, f32)]) -> Vec<f64> {
    let mut metrics = Vec::new();
    for name in ["loss", "accuracy", "mean loss"] {
        metrics.push((named(name).unwrap().new)(batch_size));
    }
    for (label, outputs, loss, weight) in images {
        let image = EvaluatedImage {
            label: *label,
            outputs,
            prediction: argmax(outputs),
            probabilities: outputs,
            loss: *loss,
            weight: *weight,
        };
        metrics.iter_mut().for_each(|metric| metric.update(&image));
    }
    metrics.iter().map(|metric| metric.compute()).collect()
}

#[test]
fn values_are_those_of_the_article_and_of_a_weighted_mean() {
    let images = [
        (0, [2.0, 1.0, 0.0], 1.0, 1.0),
        (1, [2.0, 1.0, 0.0], 3.0, 1.0),
        (2, [0.0, 1.0, 2.0], 5.0, 1.0),
    ];
    // Batches of 2: (1 + 3) / 2 + 5.
    assert_eq!(compute(2, &images), [7.0, 2.0 / 3.0, 3.0]);
    assert_eq!(compute(1, &images), [9.0, 2.0 / 3.0, 3.0]);
    assert_eq!(compute(64, &images), [3.0, 2.0 / 3.0, 3.0]);
    let weighted = images.map(|(label, outputs, loss, _)| {
        (label, outputs, loss, if label == 1 { 3.0 } else { 1.0 })
    });
    assert_eq!(compute(2, &weighted), [1.0 + 5.0, 2.0 / 3.0, 9.0 / 5.0]);
    let weightless = images.map(|(label, outputs, _, _)| (label, outputs, 0.0, 0.0));
    assert_eq!(compute(2, &weightless), [0.0, 2.0 / 3.0, 0.0]);
    assert_eq!(compute(2, &[]), [0.0, 0.0, 0.0]);
}

#[test]
fn names_are_unique_and_ranked_by_what_is_there() {
    for (i, metric) in METRICS.iter().enumerate() {
        assert!(METRICS[..i].iter().all(|other| other.name != metric.name));
        if let Some(other) = metric.ranked_by {
            let other = named(other).unwrap();
            assert_eq!(other.direction, metric.direction, "{}", metric.name);
        }
        assert_eq!(of_tag(&tag("val", metric)).unwrap().name, metric.name);
    }
    assert!(of_tag("train loss").is_none() && of_tag("x/learning rate").is_none());
    let directions = ["test accuracy", "val mean loss", "train loss", "x/learning rate"];
    assert_eq!(
        directions.map(direction_of_tag),
        [Direction::Max, Direction::Min, Direction::Min, Direction::Max]
    );
    let copies = ["x/test accuracy with flip", "x/test mean loss with flip"];
    assert_eq!(copies.map(direction_of_tag), [Direction::Max, Direction::Min]);
    let error = direction_of_tag("x/val calibration error with ten");
    assert_eq!(error, Direction::Min);
}

#[test]
fn no_image_gives_zero_and_no_class_is_forgotten() {
    for name in ["macro F1", "calibration error"] {
        assert_eq!((named(name).unwrap().new)(1).compute(), 0.0, "{name}");
    }
    // Class 0 has the F1 score 2/3. Class 1 is only a label, class 2 only predicted, and
    // class 3 is neither.
    let mut macro_f1 = (named("macro F1").unwrap().new)(1);
    for (label, prediction) in [(0, 0), (1, 2), (0, 2)] {
        macro_f1.update(&EvaluatedImage {
            label,
            outputs: &[0.0; 4],
            prediction,
            probabilities: &[0.25; 4],
            loss: 0.0,
            weight: 1.0,
        });
    }
    assert_eq!(macro_f1.compute(), 2.0 / 3.0 / 4.0);
}

#[test]
fn any_number_is_better_than_nan() {
    for direction in [Direction::Min, Direction::Max] {
        assert!(direction.is_better(1.0, f64::NAN, 0.1), "{direction:?}");
        assert!(!direction.is_better(f64::NAN, 1.0, 0.1), "{direction:?}");
        assert!(!direction.is_better(f64::NAN, f64::NAN, 0.0), "{direction:?}");
    }
    assert!(
        Direction::Min.is_better(0.8, 1.0, 0.1)
            && !Direction::Min.is_better(0.95, 1.0, 0.1)
    );
    assert!(
        Direction::Max.is_better(1.2, 1.0, 0.1)
            && !Direction::Max.is_better(1.05, 1.0, 0.1)
    );
}

#[test]
fn keys_headings_and_formats_fit() {
    for metric in METRICS {
        let key = metric.key();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        assert!(key.chars().all(is_plain), "{key} is a key of JSON");
        let Some(heading) = metric.heading else { continue };
        assert!(heading.is_ascii(), "{heading}");
        for value in [0.0, 0.123_456_789, 1.0] {
            let text = (metric.format)(value);
            assert!(text.len() <= 9.max(5 + heading.len()), "{}: {text}", metric.name);
        }
    }
}

#[test]
fn argmax_is_torchs() {
    let nan = f32::NAN;
    // torch 2.11: torch.tensor([...]).argmax().
    for (row, expected) in [
        ([1.0, 3.0, 2.0], 1),
        ([2.0, 2.0, 1.0], 0),
        ([1.0, nan, 2.0], 1),
        ([nan, nan, 2.0], 0),
        ([5.0, 1.0, nan], 2),
    ] {
        assert_eq!(argmax(&row), expected, "{row:?}");
    }
}
