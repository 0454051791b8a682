//! What torchvision makes of the same images: see tests/golden/transforms.py.

use std::collections::HashMap;

use safetensors::{Dtype, SafeTensors};

use super::{Image, Pipeline, Sample, Tensor, rng};

/// The goldens, or those in the file that TORCHMILL_GOLDENS names.
fn goldens() -> HashMap<String, Sample> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/transforms.safetensors");
    let path = std::env::var("TORCHMILL_GOLDENS").unwrap_or(path.to_owned());
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let sample = |name: &str| {
        let view = file.tensor(name).unwrap();
        let shape: [usize; 3] = view.shape().try_into().unwrap();
        if view.dtype() == Dtype::U8 {
            let [height, width, channels] = shape;
            return Sample::Image(Image { width, height, channels, pixels: view.data().to_vec() });
        }
        let values = view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        Sample::Tensor(Tensor { shape, values })
    };
    file.names().into_iter().map(|name| (name.to_owned(), sample(name))).collect()
}

/// What may differ: the share of pixels that are off, and how far.
struct Difference {
    share: f64,
    most: f64,
}

fn difference(ours: &Sample, theirs: &Sample) -> Difference {
    assert_eq!(ours.shape(), theirs.shape());
    let off: Vec<f64> = match (ours, theirs) {
        (Sample::Image(a), Sample::Image(b)) => {
            a.pixels.iter().zip(&b.pixels).map(|(&a, &b)| f64::from(a.abs_diff(b))).collect()
        }
        (Sample::Tensor(a), Sample::Tensor(b)) => {
            a.values.iter().zip(&b.values).map(|(&a, &b)| f64::from((a - b).abs())).collect()
        }
        _ => panic!("one is an image and one a tensor"),
    };
    let count = off.iter().filter(|&&d| d > 0.0).count();
    Difference { share: count as f64 / off.len() as f64, most: off.into_iter().fold(0.0, f64::max) }
}

/// Whether a pipeline computes new levels from several pixels in floats; everything else is exact, Resize too.
fn resamples(pipeline: &str) -> bool {
    let filters = ["BILINEAR", "BICUBIC", "Blur"];
    filters.iter().any(|f| pipeline.contains(f)) && !pipeline.contains("Resize")
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
        let pipeline = Pipeline::parse(text).unwrap();
        let ours = pipeline.apply(goldens[image].clone(), &mut rng(0, 0, 0)).unwrap();
        let Difference { share, most } = difference(&ours, &goldens[name]);
        let step = if pipeline.makes_tensors() { 1.01 / 255.0 } else { 1.0 };
        let (allowed, far) = if resamples(text) { (0.01, step) } else { (0.0, 0.0) };
        let ok = share <= allowed && most <= far;
        failed += usize::from(!ok);
        if share > 0.0 {
            let verdict = if ok { "within bounds" } else { "FAILED" };
            worst.push(format!("{name}: {:.3} % differ, by up to {most}: {verdict}", 100.0 * share));
        }
    }
    println!("{}", worst.join("\n"));
    assert_eq!(failed, 0, "{}", worst.join("\n"));
}
