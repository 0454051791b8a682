//! A network's loss and accuracy on a data set, the article's way.

use std::ops::ControlFlow;

use tch::{Kind, Reduction, Tensor, no_grad};
use torchmill::recipe::Loss;
use torchmill::{Error, Result, interrupt};

use crate::loader::{Batch, Dataset, Target};
use crate::loss::{loss, weights};
use crate::model::{Mode, Model};
use crate::sampler::Epoch;

/// How many images of shape `[C, H, W]` are computed at a time: few enough that what lies between layers fits
/// in memory, and in a cache where it can. It changes nothing in the result: losses are kept image by image and
/// summed afterwards as the caller's batch size says.
pub fn chunk(shape: [usize; 3]) -> usize {
    const ELEMENTS: usize = 4 << 20;
    (ELEMENTS / shape.iter().product::<usize>().max(1)).clamp(8, 250)
}

/// What an evaluation found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// How many images.
    pub count: usize,
    /// How many of them have the highest output at their label.
    pub correct: usize,
    /// The article's total loss: the sum over batches of the batch's mean loss.
    pub total_loss: f64,
    /// The mean over all images.
    pub mean_loss: f64,
}

impl Evaluation {
    /// The share of images that are right.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.count.max(1) as f64
    }
}

/// Runs the network over every image in order. `batch_size` is the one that [`Evaluation::total_loss`] is
/// summed by. `each` sees every image's index and its logits.
pub fn evaluate(
    model: &Model,
    dataset: &Dataset,
    settings: &Loss,
    batch_size: usize,
    kind: Kind,
    mut each: impl FnMut(usize, &[f32]) -> Result<()>,
) -> Result<Evaluation> {
    let epoch = Epoch::sequential(dataset.set().len(), chunk(dataset.image_shape()?));
    let target = Target { kind, device: model.device(), seed: 0, epoch: 0 };
    let mut tally = Tally::new(settings.clone());
    dataset.for_each_batch(&epoch, 0, target, |_, batch| {
        interrupt::check()?;
        let before = tally.count();
        let logits = tally.add(model, &batch, kind)?;
        logits.iter().enumerate().try_for_each(|(i, row)| each(before + i, row))?;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(tally.finish(batch_size))
}

/// Losses and hits as they add up, batch by batch.
pub struct Tally {
    settings: Loss,
    losses: Vec<f32>,
    /// What each image weighs in a mean; empty where all weigh the same.
    weights: Vec<f32>,
    correct: usize,
}

impl Tally {
    /// Nothing yet.
    pub fn new(settings: Loss) -> Self {
        Self { settings, losses: Vec::new(), weights: Vec::new(), correct: 0 }
    }

    /// How many images were added.
    pub fn count(&self) -> usize {
        self.losses.len()
    }

    /// Runs the network over a batch and adds what it makes of it, whose logits are returned.
    pub fn add(&mut self, model: &Model, batch: &Batch, kind: Kind) -> Result<Logits> {
        let (logits, losses) = no_grad(|| {
            let logits = model.forward(&batch.images, Mode { training: false, kind })?;
            let losses = loss(&self.settings, &logits, &batch.labels, Reduction::None)?;
            Ok::<_, Error>((Logits::of(&logits), floats(&losses)))
        })?;
        let labels = integers(&batch.labels);
        let hits = logits.iter().zip(labels).filter(|&(row, label)| argmax(row) as i64 == label);
        self.correct += hits.count();
        self.losses.extend(losses);
        if let Some(weights) = weights(&self.settings, &batch.labels) {
            self.weights.extend(floats(&weights));
        }
        Ok(logits)
    }

    /// The sums, the total loss over batches of `batch_size`.
    pub fn finish(self, batch_size: usize) -> Evaluation {
        let sum = |values: &[f32]| values.iter().map(|&x| f64::from(x)).sum::<f64>();
        // Images that weigh nothing at all have no mean loss; it is 0 rather than NaN.
        let mean = |range: std::ops::Range<usize>| {
            let weight =
                if self.weights.is_empty() { range.len() as f64 } else { sum(&self.weights[range.clone()]) };
            if weight > 0.0 { sum(&self.losses[range]) / weight } else { 0.0 }
        };
        let (count, batch_size) = (self.losses.len(), batch_size.max(1));
        let batches = (0..count).step_by(batch_size).map(|i| i..(i + batch_size).min(count));
        Evaluation {
            count: self.losses.len(),
            correct: self.correct,
            total_loss: batches.map(mean).sum(),
            mean_loss: mean(0..count),
        }
    }
}

/// A network's outputs for a batch, in this process's memory.
pub struct Logits {
    classes: usize,
    values: Vec<f32>,
}

impl Logits {
    /// Copies a tensor `[N, classes]` off its device.
    pub fn of(tensor: &Tensor) -> Self {
        let classes = tensor.size().last().map_or(1, |&n| n.max(1) as usize);
        Self { classes, values: floats(tensor) }
    }

    /// An image's outputs at a time, one for each class.
    pub fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.classes)
    }
}

/// The index of the largest; of the first such where several are equal, as torch.argmax.
pub fn argmax(row: &[f32]) -> usize {
    let better = |best: usize, i: usize| if row[i] > row[best] || row[best].is_nan() { i } else { best };
    (1..row.len()).fold(0, better)
}

/// A float32 tensor's elements in row-major order.
pub fn floats(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.to_device(tch::Device::Cpu).to_kind(Kind::Float).contiguous();
    let mut values = vec![0.0; flat.numel()];
    flat.copy_data(&mut values, flat.numel());
    values
}

/// An int64 tensor's elements in row-major order.
fn integers(tensor: &Tensor) -> Vec<i64> {
    let flat = tensor.to_device(tch::Device::Cpu).contiguous();
    let mut values = vec![0; flat.numel()];
    flat.copy_data(&mut values, flat.numel());
    values
}
