//! Compares with torchvision's results for the same images: see
//! tests/golden/transforms.py and, for random transforms with given draws,
//! tests/golden/draws.py.

mod draws;

use std::collections::HashMap;

use safetensors::{Dtype, SafeTensors};

use super::augment::tests::{apply_named, magnitudes};
use super::{Image, Pipeline, Sample, Tensor, rng};

/// The goldens, or those in the file that TORCHMILL_GOLDENS names.
fn goldens() -> HashMap<String, Sample> {
    if let Ok(path) = std::env::var("TORCHMILL_GOLDENS") {
        return read(&path);
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let mut goldens = read(&format!("{folder}/transforms.safetensors"));
    goldens.extend(read(&format!("{folder}/draws.safetensors")));
    goldens
}

fn read(path: &str) -> HashMap<String, Sample> {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let sample = |name: &str| {
        let view = file.tensor(name).unwrap();
        let shape: [usize; 3] = view.shape().try_into().unwrap();
        if view.dtype() == Dtype::U8 {
            let [height, width, channels] = shape;
            return Sample::Image(Image {
                width,
                height,
                channels,
                pixels: view.data().to_vec(),
            });
        }
        let values =
            view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        Sample::Tensor(Tensor { shape, values })
    };
    file.names().into_iter().map(|name| (name.to_owned(), sample(name))).collect()
}

/// The allowed difference: the share of pixels that may differ, and by how much.
struct Difference {
    share: f64,
    most: f64,
}

fn difference(ours: &Sample, theirs: &Sample) -> Difference {
    assert_eq!(ours.shape(), theirs.shape());
    let off: Vec<f64> = match (ours, theirs) {
        (Sample::Image(a), Sample::Image(b)) => a
            .pixels
            .iter()
            .zip(&b.pixels)
            .map(|(&a, &b)| f64::from(a.abs_diff(b)))
            .collect(),
        (Sample::Tensor(a), Sample::Tensor(b)) => a
            .values
            .iter()
            .zip(&b.values)
            .map(|(&a, &b)| f64::from((a - b).abs()))
            .collect(),
        _ => panic!("one is an image and one a tensor"),
    };
    let count = off.iter().filter(|&&d| d > 0.0).count();
    Difference {
        share: count as f64 / off.len() as f64,
        most: off.into_iter().fold(0.0, f64::max),
    }
}

/// The result, and the share of values that may differ and by how much.
fn carried_out(text: &str, image: &Sample) -> (Sample, (f64, f64)) {
    let pipeline = Pipeline::parse(text).unwrap();
    let ours = pipeline.apply(image.clone(), &mut rng(0, 0, 0)).unwrap();
    // Everything is exact except sums of floats, which torch computes in its own order.
    let allowed = match (text.contains("Blur"), pipeline.makes_tensors()) {
        (false, _) => (0.0, 0.0),
        (true, false) => (0.01, 1.0),
        (true, true) => (1.0, 1e-6),
    };
    (ours, allowed)
}

#[test]
fn pipelines_agree_with_torchvision() {
    let goldens = goldens();
    let mut worst: Vec<String> = Vec::new();
    let mut failed = 0;
    let mut names: Vec<_> = goldens.keys().collect();
    names.sort();
    for name in names {
        let Some((image, text)) = name.split_once(": ") else { continue };
        if image == "distribution" {
            continue;
        }
        let (ours, allowed) = if image == "magnitudes" {
            (Sample::Tensor(magnitudes(text)), (0.0, 0.0))
        } else if let Some(operation) = text.strip_prefix("operation ") {
            let image = goldens[image].clone().into_image().unwrap();
            (Sample::Image(apply_named(operation, &image)), (0.0, 0.0))
        } else if let Some(given) = text.strip_prefix("given ") {
            let image = goldens[image].clone().into_image().unwrap();
            // torch adds floats in another order.
            let allowed =
                if given.starts_with("elastic") { (0.01, 1.0) } else { (0.0, 0.0) };
            (Sample::Image(draws::apply(given, &image, &goldens)), allowed)
        } else {
            carried_out(text, &goldens[image])
        };
        let Difference { share, most } = difference(&ours, &goldens[name]);
        let (allowed, far) = allowed;
        let ok = share <= allowed && most <= far;
        failed += usize::from(!ok);
        if share > 0.0 {
            let verdict = if ok { "within bounds" } else { "FAILED" };
            worst.push(format!(
                "{name}: {:.3} % differ, by up to {most}: {verdict}",
                100.0 * share
            ));
        }
    }
    println!("{}", worst.join("\n"));
    assert!(goldens.len() > 100);
    assert_eq!(failed, 0, "{}", worst.join("\n"));
}

/// The number of draws that each distribution is compared with.
const DRAWS: u64 = 3000;

/// The means of three parts of the result, which are enough to tell where and how it was
/// changed.
fn statistics(sample: &Sample) -> [f32; 3] {
    let [_, height, width] = sample.shape();
    let value = |channel: usize, y: usize, x: usize| match sample {
        Sample::Image(image) => {
            f32::from(image.pixels[(y * width + x) * image.channels + channel])
        }
        Sample::Tensor(tensor) => tensor.values[(channel * height + y) * width + x],
    };
    let mean = |channel: usize,
                rows: std::ops::Range<usize>,
                columns: std::ops::Range<usize>| {
        let n = (rows.len() * columns.len()) as f32;
        rows.flat_map(|y| columns.clone().map(move |x| (y, x)))
            .map(|(y, x)| value(channel, y, x))
            .sum::<f32>()
            / n
    };
    let (h, w) = (height / 2, width / 2);
    [mean(0, 0..h, 0..w), mean(1, h..height, w..width), mean(2, 0..height, 0..width)]
}

#[test]
fn what_is_random_is_distributed_as_in_torchvision() {
    let goldens = goldens();
    let image = &goldens.get("distribution");
    let (mut off, mut compared) = (Vec::new(), 0);
    for (name, golden) in &goldens {
        let (Some(text), Sample::Tensor(golden), Some(image)) =
            (name.strip_prefix("distribution: "), golden, image)
        else {
            continue;
        };
        compared += 1;
        let pipeline = Pipeline::parse(text).unwrap();
        let draw =
            |i| statistics(&pipeline.apply((*image).clone(), &mut rng(1, 2, i)).unwrap());
        let drawn: Vec<[f32; 3]> = (0..DRAWS).map(draw).collect();
        for (statistic, rows) in
            golden.values.chunks_exact(2 * golden.shape[2]).enumerate()
        {
            let (thresholds, theirs) = rows.split_at(golden.shape[2]);
            for (&threshold, &theirs) in thresholds.iter().zip(theirs) {
                let below = drawn.iter().filter(|d| d[statistic] <= threshold).count();
                let ours = below as f32 / DRAWS as f32;
                // Two samples of thousands from the same distribution differ by less than
                // this, except once in 10,000.
                if (ours - theirs).abs() > 0.05 {
                    off.push(format!(
                        "{text}: statistic {statistic}: {ours} <= {threshold}, theirs \
                         {theirs}"
                    ));
                }
            }
        }
    }
    assert!(off.is_empty(), "{}", off.join("\n"));
    // The goldens of photographs have no distributions.
    assert!(compared > 0 || image.is_none());
}
