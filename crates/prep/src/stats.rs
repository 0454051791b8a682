//! `--stats`: prints the statistics of each split.

use std::cmp::Reverse;

use serde_json::json;
use torchmill::progress::{count, counted};
use torchmill::{Result, cli};

use crate::job::Job;
use crate::statistics::{self, Statistics, normalize};

/// How many sizes are listed.
const SIZES: usize = 5;

/// Prints the statistics of each job on standard output, as text or as JSON, one object
/// per line.
pub fn print(jobs: &[Job], as_json: bool) -> Result<()> {
    for job in jobs {
        let statistics = statistics::of(job)?;
        let text = if as_json { json(job, &statistics) } else { text(job, &statistics) };
        cli::print(text.as_bytes())?;
    }
    Ok(())
}

fn text(job: &Job, statistics: &Statistics) -> String {
    let classes = &job.set.classes;
    let images = counted(statistics.images(), "image", "images");
    let number = counted(classes.len() as u64, "class", "classes");
    let mut lines = vec![format!("{}: {images}, {number}", job.split)];
    for (label, class) in (0..).zip(classes) {
        let n = count(statistics.images_of(label));
        lines.push(format!("  {label:>6}  {class:<24} {n:>12}"));
    }
    lines.extend(sizes(statistics));
    lines.push(format!("  {}", normalize(&statistics.mean(), &statistics.std())));
    lines.push(String::new());
    lines.join("\n")
}

/// The range of the sizes, and the most frequent ones.
fn sizes(statistics: &Statistics) -> Vec<String> {
    let mut lines = Vec::new();
    let mut sizes: Vec<_> =
        statistics.sizes.iter().map(|(&size, &n)| (size, n)).collect();
    let smallest = sizes.iter().map(|(size, _)| *size).min_by_key(|(w, h)| w * h);
    let largest = sizes.iter().map(|(size, _)| *size).max_by_key(|(w, h)| w * h);
    if sizes.len() > 1
        && let (Some((w, h)), Some((wide, high))) = (smallest, largest)
    {
        let n = count(sizes.len() as u64);
        lines.push(format!("  {n} sizes, from {w} x {h} to {wide} x {high}"));
    }
    sizes.sort_by_key(|&(size, n)| (Reverse(n), size));
    for ((w, h), n) in sizes.into_iter().take(SIZES) {
        lines.push(format!("  {w} x {h} (width x height): {}", count(n)));
    }
    lines
}

fn json(job: &Job, statistics: &Statistics) -> String {
    let mut classes = serde_json::Map::new();
    for (label, class) in (0..).zip(&job.set.classes) {
        classes.insert(class.clone(), statistics.images_of(label).into());
    }
    let mut sizes = Vec::new();
    for ((width, height), n) in &statistics.sizes {
        sizes.push(json!({"width": width, "height": height, "images": n}));
    }
    let mean: Vec<f64> = statistics.mean().into_iter().map(as_written).collect();
    let std: Vec<f64> = statistics.std().into_iter().map(as_written).collect();
    let object = json!({
        "split": job.split,
        "images": statistics.images(),
        "classes": classes,
        "sizes": sizes,
        "baked": job.pipeline.baked.to_string(),
        "mean": mean,
        "std": std,
    });
    format!("{object}\n")
}

/// The float64 with the same decimal text: 0.49139, not 0.4913900136947632.
fn as_written(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| value.into())
}
