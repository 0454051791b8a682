//! A network's loss and accuracy on a data set, the article's way.

use tch::{Kind, Reduction, Tensor, no_grad};
use torchmill::recipe::Loss;
use torchmill::{Result, interrupt};

use crate::loader::{Batch, Dataset, Target};
use crate::loss::{loss, weights};
use crate::model::{Mode, Model};
use crate::parallel;
use crate::sampler::Epoch;
use crate::tensor::floats;

/// How many images of shape `[C, H, W]` are computed at a time: few enough that what lies
/// between layers fits in memory, and in a cache where it can. It changes nothing in the
/// result: losses are kept image by image and summed afterwards as the caller's batch
/// size says.
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

/// Runs the network over every image. `batch_size` is the one that
/// [`Evaluation::total_loss`] is summed by. `each` sees every image's index and its
/// logits, in order.
///
/// Each of libtorch's threads makes and computes chunks of its own: threads that share a
/// chunk wait for each other after every layer, and for the one that makes the next
/// chunk.
pub fn evaluate(
    model: &Model,
    dataset: &Dataset,
    settings: &Loss,
    batch_size: usize,
    kind: Kind,
    mut each: impl FnMut(usize, &[f32]) -> Result<()>,
) -> Result<Evaluation> {
    let device = model.device();
    let chunk = chunk(dataset.image_shape()?);
    let (threads, chunk) = if device.is_cuda() {
        // One makes a chunk while the other's is computed.
        (2, chunk)
    } else {
        let threads = tch::get_num_threads().max(1) as usize;
        // 64 images of CIFAR's size on each of two threads took 0.91 of the time of 250.
        // Many threads share the memory.
        (threads, chunk.min(64).min((512 / threads).max(8)))
    };
    let epoch = Epoch::sequential(dataset.len(), chunk);
    let target = Target { kind, device, seed: 0, epoch: 0 };
    let mut tally = Tally::new(settings.clone());
    let network = Shared(model);
    let compute = |i| {
        interrupt::check()?;
        Outputs::of(
            network.model(),
            &dataset.batch(epoch.batch(i), target)?,
            settings,
            kind,
        )
    };
    let _single = SingleThreads::start();
    parallel::in_order(threads, epoch.batches(), compute, |outputs| {
        let before = tally.count();
        outputs
            .logits
            .iter()
            .enumerate()
            .try_for_each(|(i, row)| each(before + i, row))?;
        tally.push(outputs);
        Ok(())
    })?;
    Ok(tally.finish(batch_size))
}

/// While it lives, libtorch's operations do their work on the thread that calls them.
struct SingleThreads(i32);

impl SingleThreads {
    fn start() -> Self {
        let threads = tch::get_num_threads();
        tch::set_num_threads(1);
        Self(threads)
    }
}

impl Drop for SingleThreads {
    fn drop(&mut self) {
        tch::set_num_threads(self.0);
    }
}

/// A network that several threads run forward.
struct Shared<'a>(&'a Model);

// SAFETY: evaluating reads the network's tensors alone, with no gradients recorded, and
// reading one from several threads is what libtorch allows; tch leaves Sync out since
// tensors can be changed through shared references.
unsafe impl Sync for Shared<'_> {}

impl Shared<'_> {
    fn model(&self) -> &Model {
        self.0
    }
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

    /// Runs the network over a batch and adds what it makes of it, whose logits are
    /// returned.
    pub fn add(&mut self, model: &Model, batch: &Batch, kind: Kind) -> Result<Logits> {
        let outputs = Outputs::of(model, batch, &self.settings, kind)?;
        Ok(self.push(outputs))
    }

    fn push(&mut self, outputs: Outputs) -> Logits {
        let Outputs { logits, labels, losses, weights } = outputs;
        let hits =
            logits.iter().zip(labels).filter(|&(row, label)| argmax(row) as i64 == label);
        self.correct += hits.count();
        self.losses.extend(losses);
        self.weights.extend(weights);
        logits
    }

    /// The sums, the total loss over batches of `batch_size`.
    pub fn finish(self, batch_size: usize) -> Evaluation {
        let sum = |values: &[f32]| values.iter().map(|&x| f64::from(x)).sum::<f64>();
        // Images that weigh nothing at all have no mean loss; it is 0 rather than NaN.
        let mean = |range: std::ops::Range<usize>| {
            let weight = if self.weights.is_empty() {
                range.len() as f64
            } else {
                sum(&self.weights[range.clone()])
            };
            if weight > 0.0 { sum(&self.losses[range]) / weight } else { 0.0 }
        };
        let (count, batch_size) = (self.losses.len(), batch_size.max(1));
        let batches =
            (0..count).step_by(batch_size).map(|i| i..(i + batch_size).min(count));
        Evaluation {
            count: self.losses.len(),
            correct: self.correct,
            total_loss: batches.map(mean).sum(),
            mean_loss: mean(0..count),
        }
    }
}

/// What the network makes of a batch.
struct Outputs {
    logits: Logits,
    labels: Vec<i64>,
    losses: Vec<f32>,
    /// Empty where all images weigh the same.
    weights: Vec<f32>,
}

impl Outputs {
    fn of(model: &Model, batch: &Batch, settings: &Loss, kind: Kind) -> Result<Self> {
        no_grad(|| {
            let logits = model.forward(&batch.images, Mode { training: false, kind })?;
            let losses = loss(settings, &logits, &batch.labels, Reduction::None)?;
            Ok(Self {
                logits: Logits::of(&logits),
                labels: integers(&batch.labels),
                losses: floats(&losses),
                weights: weights(settings, &batch.labels)
                    .map_or(Vec::new(), |weights| floats(&weights)),
            })
        })
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
    let better = |best: usize, i: usize| {
        if row[i] > row[best] || row[best].is_nan() { i } else { best }
    };
    (1..row.len()).fold(0, better)
}

/// An int64 tensor's elements in row-major order.
fn integers(tensor: &Tensor) -> Vec<i64> {
    let flat = tensor.to_device(tch::Device::Cpu).contiguous();
    let mut values = vec![0; flat.numel()];
    flat.copy_data(&mut values, flat.numel());
    values
}
