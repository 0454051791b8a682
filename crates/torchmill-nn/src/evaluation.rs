//! Evaluates a network: the values of every metric on the images of a split.

use tch::{Kind, Reduction, TchError, Tensor, no_grad};
use torchmill::metric::{EvaluatedImage, METRICS, Metric, MetricType};
use torchmill::parallel::{self, Stop};
use torchmill::{Error, ErrorKind, Result};

pub use torchmill::metric::argmax;

use crate::distributed::Group;
use crate::kernel::single_thread::SingleThreads;
use crate::loader::{Batch, BatchOptions, ShardData};
use crate::loss::{self, Loss};
use crate::model::{Mode, Model};
use crate::sampler::Epoch;
use crate::tensor::{f_download, f_floats};
use crate::tensor_access::ReadOnly;
use crate::torch_error;
use crate::tta::{self, Copies};

/// The number of images of shape `[C, H, W]` to compute at a time, small enough that the
/// values between layers fit in memory, and if possible in a cache. It does not affect
/// the results: losses are kept per image and summed afterwards over batches of the
/// caller's size.
pub fn chunk(shape: [usize; 3]) -> usize {
    const ELEMENTS: usize = 4 << 20;
    (ELEMENTS / shape.iter().product::<usize>().max(1)).clamp(8, 250)
}

/// The names of the metrics that have methods of their own.
const ACCURACY: &str = "accuracy";
const TOTAL_LOSS: &str = "loss";
const MEAN_LOSS: &str = "mean loss";
const MACRO_F1: &str = "macro F1";
const CALIBRATION_ERROR: &str = "calibration error";

/// The result of an evaluation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// The number of images.
    pub count: usize,
    /// The metrics' values, in the order of [`METRICS`].
    pub values: [f64; METRICS.len()],
}

impl Evaluation {
    /// The value of the metric of this name, such as `accuracy`.
    pub fn get(&self, name: &str) -> Option<f64> {
        let at = METRICS.iter().position(|metric| metric.name == name)?;
        Some(self.values[at])
    }

    /// The value of a metric.
    pub fn value(&self, metric: &MetricType) -> f64 {
        self.known(metric.name)
    }

    /// The metrics that have no method here. Reports have a place for each metric with a
    /// method, and list these others.
    pub fn other_metrics() -> impl Iterator<Item = &'static MetricType> {
        let named = [ACCURACY, TOTAL_LOSS, MEAN_LOSS, MACRO_F1, CALIBRATION_ERROR];
        METRICS.iter().filter(move |metric| !named.contains(&metric.name))
    }

    /// The share of images that are classified correctly, from 0 to 1.
    pub fn accuracy(&self) -> f64 {
        self.known(ACCURACY)
    }

    /// The article's total loss: the sum over batches of the batch's mean loss.
    pub fn total_loss(&self) -> f64 {
        self.known(TOTAL_LOSS)
    }

    /// The mean loss over all images.
    pub fn mean_loss(&self) -> f64 {
        self.known(MEAN_LOSS)
    }

    /// The mean of the classes' F1 scores, from 0 to 1.
    pub fn macro_f1(&self) -> f64 {
        self.known(MACRO_F1)
    }

    /// The expected calibration error, from 0 to 1.
    pub fn calibration_error(&self) -> f64 {
        self.known(CALIBRATION_ERROR)
    }

    #[allow(clippy::expect_used, reason = "a test looks up every name")]
    fn known(&self, name: &str) -> f64 {
        self.get(name).expect("the table has the metric")
    }
}

/// How a network is evaluated.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The total loss is summed over batches of this size.
    pub batch_size: usize,
    /// The dtype that the layers compute in.
    pub kind: Kind,
    /// Test-time augmentation: the copies of each image whose outputs are averaged.
    pub copies: Option<Copies>,
}

/// Runs the network over every image. `each` gets every image's index and its logits, in
/// order.
///
/// With a `group`, its processes divide the images among them and exchange the results.
/// All of them get the result that one process would get.
///
/// Each of libtorch's threads makes and computes whole chunks. Threads that share a chunk
/// would wait for each other after every layer, and for the next chunk to be made.
pub fn evaluate(
    model: &Model,
    dataset: &ShardData,
    loss: &dyn Loss,
    settings: Settings,
    group: Option<&Group>,
    mut each: impl FnMut(usize, &[f32]) -> Result<()>,
) -> Result<Evaluation> {
    let device = model.device();
    let chunk = chunk(dataset.image_shape()?);
    let (threads, chunk) = if device.is_cuda() {
        // One thread makes a chunk while the other computes one.
        (2, chunk)
    } else {
        let threads = tch::get_num_threads().max(1) as usize;
        // On two threads, chunks of 64 CIFAR images took 0.91 of the time of 250. With
        // more threads, each has a smaller share of the memory.
        (threads, chunk.min(64).min((512 / threads).max(8)))
    };
    let chunk = match group {
        Some(group) => smallest(chunk, group)?,
        None => chunk,
    };
    let epoch = Epoch::sequential(dataset.len(), chunk);
    let options = BatchOptions { kind: settings.kind, device, seed: 0, epoch: 0 };
    let mut tally = Tally::new(loss, settings.batch_size);
    let shared = ReadOnly::new((model, loss));
    let single = SingleThreads::start();
    let compute = |i, stop: &Stop| {
        stop.check()?;
        single.enter();
        let (model, loss) = *shared;
        let batch = dataset.batch(epoch.batch(i), options)?;
        let outputs = Outputs::of(model, &batch, loss, settings);
        outputs.map_err(|e| e.within("the evaluation"))
    };
    let mut add = |outputs: Outputs| {
        let before = tally.count();
        for (i, row) in outputs.logits.iter().enumerate() {
            each(before + i, row)?;
        }
        tally.push(outputs);
        Ok(())
    };
    match group {
        None => parallel::in_order(threads, epoch.batches(), compute, add)?,
        Some(group) => {
            let own = compute_share(threads, epoch.batches(), compute, group)?;
            let classes = dataset.set().meta().classes.len();
            let exchange = Exchange { group, dataset, epoch: &epoch, chunk, classes };
            exchange.for_each(&own, &mut add)?;
        }
    }
    Ok(tally.finish())
}

/// The minimum of this number over all processes.
fn smallest(number: usize, group: &Group) -> Result<usize> {
    let negative = [-(number as i64)];
    let mut largest = Tensor::f_from_slice(&negative).map_err(|e| torch_error(&e))?;
    group.all_reduce_max(&mut largest)?;
    let largest = largest.f_int64_value(&[0]).map_err(|e| torch_error(&e))?;
    Ok(-largest as usize)
}

/// Computes this process's share of the chunks: every `size`-th, starting with `rank`.
fn compute_share(
    threads: usize,
    chunks: usize,
    compute: impl Fn(usize, &Stop) -> Result<Outputs> + Sync,
    group: &Group,
) -> Result<Vec<Outputs>> {
    let rank = group.rank() as usize;
    let size = group.size() as usize;
    let count = chunks.saturating_sub(rank).div_ceil(size);
    let mut own = Vec::with_capacity(count);
    let compute = |i: usize, stop: &Stop| compute(rank + i * size, stop);
    let computed = parallel::in_order(threads, count, compute, |outputs| {
        own.push(outputs);
        Ok(())
    });
    // If one process is interrupted, all stop. Any other error ends this process, and the
    // others notice its closed connections.
    let is_interrupted = match &computed {
        Err(e) if e.kind() == ErrorKind::Interrupted => true,
        Err(_) => return computed.map(|()| own),
        Ok(()) => false,
    };
    let [is_any_interrupted] = group.any([is_interrupted])?;
    if is_any_interrupted {
        return Err(Error::interrupted("interrupted"));
    }
    Ok(own)
}

/// Exchanges the computed outputs between the processes.
struct Exchange<'a> {
    group: &'a Group,
    dataset: &'a ShardData,
    /// The chunks.
    epoch: &'a Epoch,
    /// The largest number of images in a chunk.
    chunk: usize,
    classes: usize,
}

impl Exchange<'_> {
    /// Calls `each` with the outputs of all chunks, in order. Each round exchanges one
    /// chunk per process.
    fn for_each(
        &self,
        own: &[Outputs],
        each: &mut impl FnMut(Outputs) -> Result<()>,
    ) -> Result<()> {
        let size = self.group.size() as usize;
        let chunks = self.epoch.batches();
        for round in 0..chunks.div_ceil(size) {
            let sent = self.pack(own.get(round))?;
            for (rank, received) in self.group.all_gather(&sent)?.iter().enumerate() {
                let chunk = round * size + rank;
                if chunk < chunks {
                    each(self.unpack(chunk, received)?)?;
                }
            }
        }
        Ok(())
    }

    /// The number of columns: an image's logits, its loss and its weight.
    fn columns(&self) -> usize {
        self.classes + 2
    }

    /// One row for each image of a chunk, `[chunk, columns]`. Missing rows are 0.
    fn pack(&self, outputs: Option<&Outputs>) -> Result<Tensor> {
        let mut values = vec![0.0_f32; self.chunk * self.columns()];
        if let Some(outputs) = outputs {
            let rows = values.chunks_exact_mut(self.columns());
            for ((i, logits), row) in outputs.logits.iter().enumerate().zip(rows) {
                row[..self.classes].copy_from_slice(logits);
                row[self.classes] = outputs.losses[i];
                row[self.classes + 1] = outputs.weights.get(i).copied().unwrap_or(1.0);
            }
        }
        let shape = [self.chunk as i64, self.columns() as i64];
        Tensor::f_from_slice(&values)
            .and_then(|rows| rows.f_reshape(shape))
            .map_err(|e| torch_error(&e))
    }

    fn unpack(&self, chunk: usize, rows: &Tensor) -> Result<Outputs> {
        let images = self.epoch.batch(chunk);
        let values = f_floats(rows).map_err(|e| torch_error(&e))?;
        let mut outputs = Outputs {
            logits: Logits { classes: self.classes, values: Vec::new() },
            labels: Vec::new(),
            losses: Vec::new(),
            weights: Vec::new(),
        };
        for (&image, row) in images.iter().zip(values.chunks_exact(self.columns())) {
            outputs.labels.push(self.dataset.label(image)?);
            outputs.logits.values.extend_from_slice(&row[..self.classes]);
            outputs.losses.push(row[self.classes]);
            outputs.weights.push(row[self.classes + 1]);
        }
        Ok(outputs)
    }
}

/// Accumulates the metrics batch by batch.
pub struct Tally<'a> {
    loss: &'a dyn Loss,
    count: usize,
    metrics: Vec<Box<dyn Metric>>,
}

impl<'a> Tally<'a> {
    /// An empty tally. The total loss is summed over batches of `batch_size`.
    pub fn new(loss: &'a dyn Loss, batch_size: usize) -> Self {
        let metrics = METRICS.iter().map(|metric| (metric.new)(batch_size)).collect();
        Self { loss, count: 0, metrics }
    }

    /// The number of images added so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Runs the network over a batch, adds the results to the metrics and returns the
    /// logits.
    pub fn add(
        &mut self,
        model: &Model,
        batch: &Batch,
        settings: Settings,
    ) -> Result<Logits> {
        let outputs = Outputs::of(model, batch, self.loss, settings)?;
        Ok(self.push(outputs))
    }

    fn push(&mut self, outputs: Outputs) -> Logits {
        for (i, row) in outputs.logits.iter().enumerate() {
            let image = EvaluatedImage {
                label: outputs.labels[i] as usize,
                outputs: row,
                prediction: argmax(row),
                probabilities: &self.loss.probabilities(row),
                loss: outputs.losses[i],
                weight: outputs.weights.get(i).copied().unwrap_or(1.0),
            };
            for metric in &mut self.metrics {
                metric.update(&image);
            }
        }
        self.count += outputs.losses.len();
        outputs.logits
    }

    /// The metrics of all images added so far.
    pub fn finish(self) -> Evaluation {
        let mut values = [0.0; METRICS.len()];
        for (value, metric) in values.iter_mut().zip(&self.metrics) {
            *value = metric.compute();
        }
        Evaluation { count: self.count, values }
    }
}

/// The network's results for a batch.
struct Outputs {
    logits: Logits,
    labels: Vec<i64>,
    losses: Vec<f32>,
    /// Empty if all images weigh the same.
    weights: Vec<f32>,
}

impl Outputs {
    fn of(
        model: &Model,
        batch: &Batch,
        loss: &dyn Loss,
        settings: Settings,
    ) -> Result<Self> {
        let Settings { kind, copies, .. } = settings;
        no_grad(|| {
            let mode = Mode { training: false, kind };
            let logits = tta::forward(model, &batch.images, mode, copies)?;
            let losses = loss::compute(loss, &logits, &batch.labels, Reduction::None)?;
            let weights = loss::weights(loss, &batch.labels)?;
            let labels = batch.label_values.clone();
            Self::read_back(&logits, labels, &losses, weights.as_ref())
                .map_err(|e| torch_error(&e))
        })
    }

    /// Copies the results to the CPU.
    fn read_back(
        logits: &Tensor,
        labels: Vec<i64>,
        losses: &Tensor,
        weights: Option<&Tensor>,
    ) -> Result<Self, TchError> {
        let mut computed = vec![logits, losses];
        computed.extend(weights);
        let mut copies = f_download(&computed)?.into_iter();
        let mut next = || match copies.next() {
            Some(copy) => f_floats(&copy),
            None => Ok(Vec::new()),
        };
        let classes = logits.size().last().map_or(1, |&n| n.max(1) as usize);
        Ok(Self {
            logits: Logits { classes, values: next()? },
            labels,
            losses: next()?,
            weights: next()?,
        })
    }
}

/// A network's outputs for a batch, in CPU memory.
pub struct Logits {
    classes: usize,
    values: Vec<f32>,
}

impl Logits {
    /// Iterates over images: each item has one output per class.
    pub fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.classes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_metrics_with_a_method() {
        let mut values = [0.0; METRICS.len()];
        for (i, value) in values.iter_mut().enumerate() {
            *value = i as f64;
        }
        let evaluation = Evaluation { count: 2, values };
        let losses = [evaluation.total_loss(), evaluation.mean_loss()];
        assert_eq!((evaluation.accuracy(), losses), (1.0, [0.0, 2.0]));
        let others = [evaluation.macro_f1(), evaluation.calibration_error()];
        assert_eq!(others, [3.0, 4.0]);
        assert_eq!(Evaluation::other_metrics().count(), METRICS.len() - 5);
        assert_eq!(evaluation.get("acuracy"), None);
    }
}
