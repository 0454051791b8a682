//! `--html`: the results as a self-contained page with data, pictures, style and script.

use std::collections::HashMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use serde::Serialize;
use torchmill::metric::{BINS, Bin, MetricType};
use torchmill::shard::{DType, ShardSet};
use torchmill::transform::Image;
use torchmill::{Error, Result, html};
use torchmill_nn::evaluation::Evaluation;

use crate::class_report::Scores;
use crate::collector::{Collected, Example};
use crate::outcome::Outcome;

const PAGE: &str = include_str!("page.html");

#[derive(Serialize)]
struct Data<'a> {
    checkpoint: &'a str,
    on: String,
    images: usize,
    correct: u64,
    accuracy: f64,
    top_5: Option<f64>,
    total_loss: f64,
    mean_loss: f64,
    macro_average: Scores,
    weighted_average: Scores,
    calibration_error: f64,
    /// Every other metric.
    others: Vec<Other>,
    classes: &'a [String],
    scores: Vec<Scores>,
    /// For each label, pairs of a predicted class and its count, without zeros.
    confusion: Vec<Vec<u64>>,
    bins: [Bin; BINS],
    mistakes: Vec<Shown<'a>>,
    label_errors: Vec<Shown<'a>>,
    /// The number of label errors, shown or not.
    label_error_count: usize,
    /// The pictures as data URIs.
    pictures: Vec<String>,
}

/// A metric's name and its value as text.
#[derive(Debug, PartialEq, Serialize)]
struct Other {
    name: &'static str,
    value: String,
}

impl Other {
    fn new(metric: &'static MetricType, value: f64) -> Self {
        let value = if value.is_finite() {
            (metric.format)(value)
        } else {
            "not finite".to_owned()
        };
        Self { name: metric.name, value }
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    source: &'a str,
    label: usize,
    prediction: usize,
    confidence: f32,
    /// For a label error, the class that the label should probably be.
    suggested: Option<usize>,
    /// The index of the picture.
    picture: usize,
}

/// The pictures on the page, without duplicates.
struct Pictures<F> {
    /// Returns the picture of an image.
    read: F,
    /// The index of each image's picture.
    indices: HashMap<usize, usize>,
    uris: Vec<String>,
}

/// Writes the page. `-` is standard output. `picture` returns the picture of an image.
pub fn write(
    path: &Path,
    outcome: &Outcome,
    collected: &Collected,
    picture: impl Fn(&Example) -> Result<Image>,
) -> Result<()> {
    let page = page(outcome, collected, picture)?;
    html::write(path, &page)
}

fn page(
    outcome: &Outcome,
    collected: &Collected,
    picture: impl Fn(&Example) -> Result<Image>,
) -> Result<String> {
    let mut pictures =
        Pictures { read: picture, indices: HashMap::new(), uris: Vec::new() };
    let mut mistakes = Vec::new();
    for mistake in &collected.mistakes {
        mistakes.push(pictures.shown(mistake, None)?);
    }
    let mut label_errors = Vec::new();
    for error in &collected.label_errors {
        label_errors.push(pictures.shown(&error.example, Some(error.suggested))?);
    }
    let mut others = Vec::new();
    for metric in Evaluation::other_metrics() {
        others.push(Other::new(metric, outcome.evaluation.value(metric)));
    }
    let Outcome { checkpoint, evaluation, report, classes, .. } = outcome;
    let data = Data {
        checkpoint,
        on: outcome.describe_images(),
        images: evaluation.count,
        correct: report.correct(),
        accuracy: evaluation.accuracy(),
        top_5: (classes.len() > 10).then(|| report.top_k(5)),
        total_loss: evaluation.total_loss(),
        mean_loss: evaluation.mean_loss(),
        macro_average: report.macro_average(),
        weighted_average: report.weighted_average(),
        calibration_error: evaluation.calibration_error(),
        others,
        classes,
        scores: report.scores(),
        confusion: report.rows().map(sparse).collect(),
        bins: report.calibration().bins(),
        mistakes,
        label_errors,
        label_error_count: collected.label_error_count,
        pictures: pictures.uris,
    };
    html::fill(PAGE, &data)
}

/// Nonzero counts, each after its index. With many classes, most counts are zero.
fn sparse(counts: &[u64]) -> Vec<u64> {
    let mut sparse = Vec::new();
    for (index, &count) in counts.iter().enumerate() {
        if count > 0 {
            sparse.extend([index as u64, count]);
        }
    }
    sparse
}

impl<F: Fn(&Example) -> Result<Image>> Pictures<F> {
    fn shown<'a>(
        &mut self,
        example: &'a Example,
        suggested: Option<usize>,
    ) -> Result<Shown<'a>> {
        let picture = match self.indices.get(&example.index) {
            Some(&picture) => picture,
            None => {
                self.uris.push(data_uri(&(self.read)(example)?)?);
                self.indices.insert(example.index, self.uris.len() - 1);
                self.uris.len() - 1
            }
        };
        Ok(Shown {
            source: &example.source,
            label: example.label,
            prediction: example.prediction,
            confidence: example.confidence,
            suggested,
            picture,
        })
    }
}

/// Encodes an image as a PNG in a data URI.
fn data_uri(image: &Image) -> Result<String> {
    let colour =
        if image.channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let mut png = Vec::new();
    let (width, height) = (image.width as u32, image.height as u32);
    let written =
        PngEncoder::new(&mut png).write_image(&image.pixels, width, height, colour);
    written.map_err(|e| Error::failed(format_args!("cannot write a picture: {e}")))?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(png)))
}

/// Image `index` of the shards as a picture: its pixels, or its floats scaled from black
/// to white.
pub fn stored_picture(set: &ShardSet, index: usize) -> Result<Image> {
    let image = set.pixels(index)?;
    let [stored, height, width] = image.shape;
    let channels = if stored == 3 { 3 } else { 1 };
    let bytes = &image.bytes[..];
    let values: Vec<u8> = match set.dtype() {
        DType::Uint8 => bytes.to_vec(),
        DType::Float32 => levels(words(bytes).map(f32::from_le_bytes)),
        DType::Float16 => {
            levels(words(bytes).map(|b| half::f16::from_le_bytes(b).to_f32()))
        }
        _ => levels(words(bytes).map(|b| half::bf16::from_le_bytes(b).to_f32())),
    };
    let pixels = values.chunks_exact(stored.max(1)).flat_map(|p| &p[..channels]);
    Ok(Image { width, height, channels, pixels: pixels.copied().collect() })
}

fn words<const SIZE: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; SIZE]> + Clone {
    bytes.as_chunks::<SIZE>().0.iter().copied()
}

/// Scales the lowest value to 0 and the highest to 255.
fn levels(values: impl Iterator<Item = f32> + Clone) -> Vec<u8> {
    let (low, high) = values
        .clone()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
    let scale = 255.0 / (high - low).max(f32::MIN_POSITIVE);
    values.map(|x| ((x - low) * scale) as u8).collect()
}

#[cfg(test)]
mod tests {
    use torchmill::metric;

    use super::*;
    use crate::label_errors::LabelError;
    use crate::outcome;

    #[test]
    fn the_page_is_whole_and_names_nothing_outside() {
        let outcome = outcome::example();
        let image =
            Image { width: 2, height: 1, channels: 3, pixels: vec![0, 1, 2, 3, 4, 5] };
        let example = Example {
            index: 0,
            source: "a.png".to_owned(),
            label: 0,
            prediction: 1,
            confidence: 0.7,
        };
        let error = LabelError { example: example.clone(), suggested: 1, margin: -0.4 };
        let collected = Collected {
            report: outcome.report.clone(),
            mistakes: vec![example],
            label_errors: vec![error],
            label_error_count: 1,
            samples: Vec::new(),
        };
        let page = page(&outcome, &collected, |_| Ok(image.clone())).unwrap();
        assert!(
            page.contains(
                r#"{"checkpoint":"\u003c/script>\u003cb>","on":"1 test image""#
            )
        );
        assert!(page.contains(r#""confusion":[[1,1],[]]"#));
        // An image that is shown twice is stored once.
        assert_eq!(page.matches("\"data:image/png;base64,iVBOR").count(), 1);
        assert!(
            !page.contains("/*DATA*/")
                && !page.contains("src=")
                && !page.contains("href=")
        );
        assert_eq!(
            page.matches("://").count(),
            page.matches("http://www.w3.org/2000/svg").count()
        );
    }

    #[test]
    fn other_metrics_are_shown_in_their_own_format() {
        let accuracy = metric::named("accuracy").unwrap();
        let shown = Other { name: "accuracy", value: "27.50 %".to_owned() };
        assert_eq!(Other::new(accuracy, 0.275), shown);
        assert_eq!(Other::new(accuracy, f64::NAN).value, "not finite");
    }

    #[test]
    fn floats_go_from_black_to_white() {
        assert_eq!(levels([-2.0, 0.0, 2.0].into_iter()), [0, 127, 255]);
        assert_eq!(levels([1.0, 1.0].into_iter()), [0, 0]);
    }
}
