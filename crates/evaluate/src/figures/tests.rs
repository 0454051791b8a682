//! The figures are scikit-learn's (see golden/make.py).

use serde_json::Value;

use super::{Figures, Scores};
use crate::tables::classification_report;
use torchmill_nn::loss::softmax;

const CLASSES: [&str; 7] = ["ant", "bee", "crow", "dove", "emu", "mole", "newt"];

fn golden() -> (Value, Figures) {
    let golden: Value = serde_json::from_str(include_str!("golden/golden.json")).unwrap();
    let mut figures = Figures::new(CLASSES.len());
    let labels = golden["labels"].as_array().unwrap();
    for (label, row) in labels.iter().zip(golden["logits"].as_array().unwrap()) {
        let row: Vec<f32> =
            row.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
        figures.push(label.as_u64().unwrap() as usize, &row, &softmax(&row));
    }
    (golden, figures)
}

#[track_caller]
fn near(ours: f64, theirs: &Value) {
    assert!(
        (ours - theirs.as_f64().unwrap()).abs() < 1e-12,
        "{ours}, scikit-learn has {theirs}"
    );
}

#[test]
fn every_figure_is_scikit_learns() {
    let (golden, figures) = golden();
    let report = &golden["report"];
    let same = |ours: Scores, theirs: &Value| {
        near(ours.precision, &theirs["precision"]);
        near(ours.recall, &theirs["recall"]);
        near(ours.f1, &theirs["f1-score"]);
        near(ours.support as f64, &theirs["support"]);
    };
    for (class, scores) in CLASSES.iter().zip(figures.scores()) {
        same(scores, &report[class]);
    }
    same(figures.macro_average(), &report["macro avg"]);
    same(figures.weighted_average(), &report["weighted avg"]);
    near(figures.top_k(1), &report["accuracy"]);
    for k in [1, 2, 5] {
        near(figures.top_k(k), &golden["top_k"][k.to_string()]);
    }
    let rows: Vec<&[u64]> = figures.rows().collect();
    assert_eq!(serde_json::json!(rows), golden["confusion_matrix"]);
    // Our probabilities are float32.
    let error = golden["calibration_error"].as_f64().unwrap();
    assert!(
        (figures.calibration_error() - error).abs() < 1e-6,
        "{} {error}",
        figures.calibration_error()
    );
}

#[test]
fn the_text_is_scikit_learns() {
    let (_, figures) = golden();
    let classes = CLASSES.map(String::from);
    assert_eq!(
        classification_report(&figures, &classes, usize::MAX),
        include_str!("golden/report.txt")
    );
}

#[test]
fn confused_pairs_come_by_their_counts() {
    let (_, figures) = golden();
    let pairs = figures.confused();
    assert_eq!((pairs[0].label, pairs[0].prediction, pairs[0].count), (0, 1, 7));
    assert!(pairs.is_sorted_by_key(|p| std::cmp::Reverse(p.count)));
    let right: u64 = (0..7).map(|i| figures.confusion(i, i)).sum();
    assert_eq!(pairs.iter().map(|p| p.count).sum::<u64>() + right, figures.count());
}

#[test]
fn ties_and_what_is_no_number_do_not_break_it() {
    let mut figures = Figures::new(3);
    figures.push(1, &[1.0, 1.0, 0.0], &softmax(&[1.0, 1.0, 0.0]));
    figures.push(0, &[f32::NAN; 3], &softmax(&[f32::NAN; 3]));
    figures.push(2, &[0.0, 0.0, f32::INFINITY], &softmax(&[0.0, 0.0, f32::INFINITY]));
    assert_eq!((figures.count(), figures.top_k(3)), (3, 1.0));
    assert_eq!(
        figures.confusion(1, 0),
        1,
        "the first of equal outputs is the prediction"
    );
    let empty = Figures::new(2);
    assert_eq!(
        (empty.calibration_error(), empty.macro_average()),
        (0.0, Scores::default())
    );
}
