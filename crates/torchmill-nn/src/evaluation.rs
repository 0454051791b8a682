//! A network's loss and accuracy on a data set, the article's way.

use std::ops::ControlFlow;

use tch::{Kind, Reduction, Tensor, no_grad};
use torchmill::recipe::Loss;
use torchmill::{Result, interrupt};

use crate::loader::{Dataset, Target};
use crate::loss::loss;
use crate::model::{Mode, Model};
use crate::sampler::Epoch;

/// Images computed at a time. It changes nothing in the result: losses are kept image by image and summed
/// afterwards as the caller's batch size says.
const CHUNK: usize = 250;

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
    let epoch = Epoch::sequential(dataset.len(), CHUNK);
    let target = Target { kind, device: model.device(), seed: 0, epoch: 0 };
    let mut losses: Vec<f32> = Vec::with_capacity(dataset.len());
    let mut correct = 0;
    dataset.for_each_batch(&epoch, 0, target, |_, batch| {
        interrupt::check()?;
        let (logits, loss) = no_grad(|| {
            let logits = model.forward(&batch.images, Mode { training: false, kind })?;
            let loss = loss(settings, &logits, &batch.labels, Reduction::None)?;
            Ok::<_, torchmill::Error>((logits, loss))
        })?;
        let classes = logits.size()[1] as usize;
        let logits = floats(&logits);
        let right = batch.labels.to_device(tch::Device::Cpu);
        for (i, row) in logits.chunks_exact(classes).enumerate() {
            correct += usize::from(argmax(row) as i64 == right.int64_value(&[i as i64]));
            each(losses.len() + i, row)?;
        }
        losses.extend(floats(&loss));
        Ok(ControlFlow::Continue(()))
    })?;
    let mean =
        |losses: &[f32]| losses.iter().map(|&l| f64::from(l)).sum::<f64>() / losses.len().max(1) as f64;
    Ok(Evaluation {
        count: losses.len(),
        correct,
        total_loss: losses.chunks(batch_size.max(1)).map(mean).sum(),
        mean_loss: mean(&losses),
    })
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
