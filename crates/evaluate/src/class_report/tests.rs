//! The figures compared with scikit-learn's (see golden/make.py).

use serde_json::Value;
use torchmill::metric::{self, EvaluatedImage, argmax};

use super::{ClassReport, Scores, ranked_classes};
use crate::report::classification_report;
use torchmill_nn::loss::softmax;

const CLASSES: [&str; 7] = ["ant", "bee", "crow", "dove", "emu", "mole", "newt"];

fn golden() -> (Value, ClassReport) {
    let golden: Value = serde_json::from_str(include_str!("golden/golden.json")).unwrap();
    let mut report = ClassReport::new(CLASSES.len());
    let labels = golden["labels"].as_array().unwrap();
    for (label, row) in labels.iter().zip(golden["logits"].as_array().unwrap()) {
        let row: Vec<f32> =
            row.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
        report.push(label.as_u64().unwrap() as usize, &row, &softmax(&row));
    }
    (golden, report)
}

#[track_caller]
fn near(ours: f64, theirs: &Value) {
    assert!(
        (ours - theirs.as_f64().unwrap()).abs() < 1e-12,
        "{ours}, scikit-learn has {theirs}"
    );
}

#[test]
fn every_metric_is_scikit_learns() {
    let (golden, report) = golden();
    let scores = &golden["report"];
    let same = |ours: Scores, theirs: &Value| {
        near(ours.precision, &theirs["precision"]);
        near(ours.recall, &theirs["recall"]);
        near(ours.f1, &theirs["f1-score"]);
        near(ours.support as f64, &theirs["support"]);
    };
    for (class, scores) in CLASSES.iter().zip(report.scores()) {
        same(scores, &golden["report"][class]);
    }
    same(report.macro_average(), &scores["macro avg"]);
    same(report.weighted_average(), &scores["weighted avg"]);
    near(report.top_k(1), &scores["accuracy"]);
    for k in [1, 2, 5] {
        near(report.top_k(k), &golden["top_k"][k.to_string()]);
    }
    let rows: Vec<&[u64]> = report.rows().collect();
    assert_eq!(serde_json::json!(rows), golden["confusion_matrix"]);
    // Our probabilities are float32.
    let error = golden["calibration_error"].as_f64().unwrap();
    assert!(
        (report.calibration().error() - error).abs() < 1e-6,
        "{} {error}",
        report.calibration().error()
    );
}

#[test]
fn the_metrics_of_train_are_those_of_the_report() {
    let (golden, report) = golden();
    let types = ["macro F1", "calibration error"].map(|n| metric::named(n).unwrap());
    let mut metrics = types.map(|metric| (metric.new)(64));
    let labels = golden["labels"].as_array().unwrap();
    for (label, row) in labels.iter().zip(golden["logits"].as_array().unwrap()) {
        let outputs: Vec<f32> =
            row.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
        for metric in &mut metrics {
            metric.update(&EvaluatedImage {
                label: label.as_u64().unwrap() as usize,
                outputs: &outputs,
                prediction: argmax(&outputs),
                probabilities: &softmax(&outputs),
                loss: 0.0,
                weight: 1.0,
            });
        }
    }
    let [macro_f1, calibration_error] = metrics.map(|metric| metric.compute());
    near(macro_f1, &golden["report"]["macro avg"]["f1-score"]);
    assert_eq!(macro_f1, report.macro_average().f1);
    assert_eq!(calibration_error, report.calibration().error());
}

#[test]
fn the_text_is_scikit_learns() {
    let (_, report) = golden();
    let classes = CLASSES.map(String::from);
    assert_eq!(
        classification_report(&report, &classes, usize::MAX),
        include_str!("golden/report.txt")
    );
}

#[test]
fn confused_pairs_come_by_their_counts() {
    let (_, report) = golden();
    let pairs = report.confused();
    assert_eq!((pairs[0].label, pairs[0].prediction, pairs[0].count), (0, 1, 7));
    assert!(pairs.is_sorted_by_key(|p| std::cmp::Reverse(p.count)));
    let right: u64 = (0..7).map(|i| report.confusion(i, i)).sum();
    assert_eq!(pairs.iter().map(|p| p.count).sum::<u64>() + right, report.count());
}

#[test]
fn ties_do_not_break_it() {
    let mut report = ClassReport::new(3);
    report.push(1, &[1.0, 1.0, 0.0], &softmax(&[1.0, 1.0, 0.0]));
    report.push(2, &[0.0, 0.0, f32::INFINITY], &softmax(&[0.0, 0.0, f32::INFINITY]));
    assert_eq!((report.count(), report.top_k(3)), (2, 1.0));
    assert_eq!(report.confusion(1, 0), 1, "the first of equal outputs is the prediction");
    let empty = ClassReport::new(2);
    assert_eq!(empty.calibration().error(), 0.0);
    assert_eq!(empty.macro_average(), Scores::default());
}

#[test]
fn nan_is_the_highest_output_as_in_torch() {
    // One image of each of ten classes, all outputs NaN. torch.topk gives 10, 30, 50 %.
    let mut report = ClassReport::new(10);
    for label in 0..10 {
        report.push(label, &[f32::NAN; 10], &softmax(&[f32::NAN; 10]));
    }
    assert_eq!([1, 3, 5].map(|k| report.top_k(k)), [0.1, 0.3, 0.5]);
    assert_eq!(report.nan(), 10);
    // NaN for only one class: every image is predicted as that class.
    let mut report = ClassReport::new(10);
    for label in 0..10 {
        let mut outputs = [0.0; 10];
        outputs[label] = 5.0;
        outputs[7] = f32::NAN;
        report.push(label, &outputs, &softmax(&outputs));
    }
    assert_eq!([1, 2].map(|k| report.top_k(k)), [0.1, 1.0]);
    assert_eq!(ranked_classes(&[1.0, f32::NAN, 2.0, 1.0]), [1, 2, 0, 3]);
    assert_eq!(ranked_classes(&[-0.0, 0.0]), [0, 1]);
}
