//! Accumulation and averaging compared with their definitions.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use tch::Device;
use torchmill::launch::Launch;
use torchmill::recipe::{Recipe, default_loss};
use torchmill_nn::distributed::Processes;
use torchmill_nn::generator::Generator;
use torchmill_nn::spec::Spec;
use torchmill_nn::tensor::floats;

use crate::loss_log::LossLog;

use super::*;

/// A small network without batch norm or dropout, with these keys in `[train]`.
fn model(train: &str) -> TrainingModel {
    model_of(Kind::Float, train)
}

/// The same, with layers of this dtype.
fn model_of(kind: Kind, train: &str) -> TrainingModel {
    let layers = r#"
        name = "small"
        [model]
        layer = [{ type = "Conv2d", out_channels = 4, kernel_size = 3 }, { type = "Tanh" },
                 { type = "Flatten" }, { type = "Linear" }]
        [train]
    "#;
    built(&Recipe::parse(&format!("{layers}{train}\n")).unwrap(), kind)
}

/// The recipe's network with its initial weights.
fn built(recipe: &Recipe, kind: Kind) -> TrainingModel {
    let spec = Spec {
        model: recipe.model.clone(),
        input: [1, 6, 6],
        classes: ["a", "b", "c"].map(String::from).to_vec(),
        transform: String::new(),
        batch_size: 8,
        dataset: String::new(),
        loss: default_loss(),
    };
    let model = Model::new(&spec, &mut Generator::new(3), Device::Cpu).unwrap();
    TrainingModel::new(model, kind, recipe.train.clone(), 3).unwrap()
}

/// Does a step with 37 images, which no number of parts divides, and their labels. The
/// batch differs in each step.
fn step(model: &mut TrainingModel, step: u64) -> f64 {
    step_with(model, step, 1.0)
}

/// The same, with images multiplied by a factor.
fn step_with(model: &mut TrainingModel, step: u64, factor: f64) -> f64 {
    let values: Vec<f32> = (0..37 * 36)
        .map(|i| ((i * 37 + step as i32 * 11) % 101) as f32 / 50.0 - 1.0)
        .collect();
    let labels: Vec<i64> = (0..37).map(|i| (i * i + step as i64) % 3).collect();
    let images = Tensor::from_slice(&values).reshape([37, 1, 6, 6]) * factor;
    let batch = Batch::upload(&images, labels, Device::Cpu).unwrap();
    let at = Position { epoch: 0, epochs: 1, step, steps: 10 };
    model.begin_step(at);
    let batch = model.mix(&batch, at).unwrap();
    let loss = model.train(&batch).unwrap();
    let mut losses = LossLog::default();
    losses.push(step, loss.unwrap(), batch.weight);
    losses.take(&Processes::single()).unwrap()[0].loss
}

fn weights(model: &TrainingModel) -> Vec<f32> {
    model.params.iter().flat_map(|p| floats(&p.tensor)).collect()
}

/// Calls `create` while libtorch uses this many threads, and starts as many for parts.
fn on_threads(count: i32, create: impl Fn() -> TrainingModel) -> TrainingModel {
    let threads = tch::get_num_threads();
    tch::set_num_threads(count);
    let mut model = create();
    model.start_part_threads().unwrap();
    tch::set_num_threads(threads);
    model
}

#[test]
fn a_batch_in_parts_makes_the_step_of_the_whole_batch() {
    for train in [
        "optimizer = { type = \"SGD\", lr = 0.1, momentum = 0.9 }",
        "loss = { type = \"CrossEntropyLoss\", weight = [0.2, 1.0, 5.0], \
         label_smoothing = 0.1 }",
        "loss = { type = \"CrossEntropyLoss\", ignore_index = 1 }",
        "loss = { type = \"MSELoss\" }\nclip_grad_norm = 0.05",
        "loss = { type = \"BCEWithLogitsLoss\", pos_weight = [1.0, 2.0, 3.0] }\nmixup = 0.4\ncutmix = 1.0",
    ] {
        let mut whole = on_threads(1, || model(train));
        assert!(whole.part_threads.is_none());
        let before = weights(&whole);
        let one_after_the_other =
            [2, 3, 7].map(|n| model(&format!("{train}\naccumulate = {n}")));
        let mut parts = Vec::from(one_after_the_other);
        for _ in 0..2 {
            let at_once = on_threads(2, || model(train));
            assert!(at_once.part_threads.is_some());
            parts.push(at_once);
        }
        for i in 0..4 {
            let loss = step(&mut whole, i);
            for parts in &mut parts {
                let got = step(parts, i);
                assert!(
                    (got - loss).abs() < 1e-5 * loss.abs(),
                    "{train}: {got}, not {loss}"
                );
            }
        }
        assert_eq!(weights(&parts[3]), weights(&parts[4]), "{train}: two runs differ");
        let after = weights(&whole);
        let moved =
            before.iter().zip(&after).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        for parts in &parts {
            let off = weights(parts)
                .iter()
                .zip(&after)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(off < 1e-4 * moved, "{train}: {off} off after moving {moved}");
        }
    }
}

#[test]
fn a_batch_is_not_divided_if_its_images_depend_on_each_other() {
    let batch_norm = r#"{ type = "BatchNorm2d" }"#;
    let dropout = r#"{ type = "Dropout" }"#;
    for (layer, freeze, divides) in [
        (r#"{ type = "GroupNorm", num_groups = 1 }"#, "", true),
        (r#"{ type = "Dropout", p = 0.0 }"#, "", true),
        (batch_norm, r#"freeze = ["*running*"]"#, true),
        (batch_norm, "", false),
        (dropout, "", false),
        (r#"{ type = "StochasticDepth", p = 0.1 }"#, "", false),
    ] {
        let recipe = format!(
            r#"
            name = "small"
            [model]
            {freeze}
            layer = [{layer}, {{ type = "Flatten" }}, {{ type = "Linear" }}]
            [train]
            "#
        );
        let recipe = Recipe::parse(&recipe).unwrap();
        let float = on_threads(2, || built(&recipe, Kind::Float));
        assert_eq!(float.part_threads.is_some(), divides, "{layer} {freeze}");
        let half = on_threads(2, || built(&recipe, Kind::Half));
        assert!(half.part_threads.is_none());
    }
}

#[test]
fn the_average_is_the_first_weights_and_then_moves_by_what_is_left_of_the_decay() {
    let mut model =
        model("ema = { decay = 0.75 }\noptimizer = { type = \"SGD\", lr = 0.5 }");
    let start = weights(&model);
    // AveragedModel copies the weights at its first update.
    let mut expected: Vec<f64> = Vec::new();
    for i in 0..5 {
        step(&mut model, i);
        let now: Vec<f64> = weights(&model).into_iter().map(f64::from).collect();
        if i == 0 {
            expected = now;
        } else {
            expected
                .iter_mut()
                .zip(now)
                .for_each(|(average, now)| *average = 0.75 * *average + 0.25 * now);
        }
    }
    let trained = weights(&model);
    model.swap_average().unwrap();
    let average = weights(&model);
    for (got, expected) in average.iter().zip(&expected) {
        assert!((f64::from(*got) - expected).abs() < 1e-6, "{got}, not {expected}");
    }
    assert!(average != trained && average != start);
    model.swap_average().unwrap();
    assert_eq!(weights(&model), trained);
}

#[test]
fn a_step_that_overflows_in_fp16_changes_nothing_but_the_loss_scale() {
    for optimizer in ["SGD", "Adam", "RMSprop"] {
        let train = format!(
            "ema = {{ decay = 0.75 }}\noptimizer = {{ type = \"{optimizer}\", lr = 0.01 }}"
        );
        let mut model = model_of(Kind::Half, &train);
        // Before the first step, and after it.
        for steps in [0, 3] {
            for i in 0..steps {
                step(&mut model, i);
            }
            let [before, after] = [1.0, f64::INFINITY].map(|factor| {
                if factor > 1.0 {
                    step_with(&mut model, steps, factor);
                }
                let state = model.state().unwrap();
                let trained = weights(&model);
                model.swap_average().unwrap();
                let average = weights(&model);
                model.swap_average().unwrap();
                (state, trained, average)
            });
            assert_eq!((&before.1, &before.2), (&after.1, &after.2), "{train}");
            assert_eq!(before.0.steps, steps);
            assert_ne!(before.0.scaler, after.0.scaler);
            assert_eq!(TrainState { scaler: before.0.scaler, ..after.0 }, before.0);
        }
    }
}

/// Calls `work` on two threads that stand in for processes.
fn together<T: Send>(work: impl Fn(&Processes) -> T + Sync) -> Vec<T> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let run = |rank| {
        let launch = Launch {
            launcher: "this test",
            rank,
            size: 2,
            local_rank: 0,
            host: "127.0.0.1".to_owned(),
            port,
            launcher_hosts_store: false,
            restarts: 0,
        };
        let timeout = Duration::from_secs(60);
        let processes = Processes::meet(Some(launch), "this test", timeout).unwrap();
        let result = work(&processes);
        processes.end(Ok(())).unwrap();
        result
    };
    thread::scope(|scope| {
        let run = &run;
        let threads = [0, 1].map(|rank| scope.spawn(move || run(rank)));
        threads.map(|thread| thread.join().unwrap()).into()
    })
}

#[test]
fn both_processes_skip_a_step_that_overflows_in_one() {
    for optimizer in ["SGD", "Adam", "RMSprop"] {
        let train = format!(
            "ema = {{ decay = 0.75 }}\noptimizer = {{ type = \"{optimizer}\", lr = 0.01 }}"
        );
        let ends = together(|processes| {
            let mut model = model_of(Kind::Half, &train);
            model.connect(processes.group().unwrap()).unwrap();
            // Before the first step, and after it.
            for steps in [0, 3] {
                for i in 0..steps {
                    step(&mut model, i);
                }
                let before = (model.state().unwrap(), weights(&model));
                let is_second = processes.rank() == 1;
                step_with(&mut model, steps, if is_second { f64::INFINITY } else { 1.0 });
                let after = (model.state().unwrap(), weights(&model));
                assert_eq!(before.1, after.1, "{train}");
                assert_eq!(before.0.steps, steps);
                assert_ne!(before.0.scaler, after.0.scaler);
                assert_eq!(TrainState { scaler: before.0.scaler, ..after.0 }, before.0);
            }
            let skipped = weights(&model);
            step(&mut model, 4);
            assert_ne!(weights(&model), skipped);
            (model.state().unwrap(), weights(&model))
        });
        assert_eq!(ends[0], ends[1], "{train}");
    }
}

#[test]
fn fp16_trains_like_fp32() {
    let train = "ema = { decay = 0.75 }\noptimizer = { type = \"Adam\", lr = 0.01 }";
    let [mut half, mut full] =
        [Kind::Half, Kind::Float].map(|kind| model_of(kind, train));
    for i in 0..6 {
        let (got, expected) = (step(&mut half, i), step(&mut full, i));
        assert!((got - expected).abs() < 5e-3 * expected, "{got}, not {expected}");
    }
    half.swap_average().unwrap();
    full.swap_average().unwrap();
    for (got, expected) in weights(&half).iter().zip(&weights(&full)) {
        assert!((got - expected).abs() < 1e-2, "{got}, not {expected}");
    }
}
