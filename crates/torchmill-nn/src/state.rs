//! The training state next to a checkpoint, `epoch-0010.state`: everything needed to
//! continue as if training had not stopped. Magic `TMSTATE\0`, version and CRC-32C (u32
//! little-endian each), then [`State`] encoded by [`encoding`]. docs/formats.md describes
//! the bytes.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor, no_grad};
use torchmill::recipe::Train;
use torchmill::schedule::PlateauState;
use torchmill::{Context, Error, Result, atomic, encoding};

use crate::generator::Generator;
use crate::scaler::ScalerState;
use crate::tensor::{f_download, f_floats};
use crate::torch_error;

const MAGIC: [u8; 8] = *b"TMSTATE\0";
const VERSION: u32 = 6;
/// The size of the header in bytes.
const HEAD: usize = 16;

/// Everything about a run that its weights do not hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The CRC-32C of the checkpoint file that this state belongs to.
    pub weights: u32,
    /// The images of the run. Resuming needs the same images.
    pub splits: Vec<SplitDigest>,
    /// The number of images in each evaluation. Metrics of different numbers of images
    /// are not compared.
    pub evaluated: EvaluatedImages,
    /// The number of epochs completed.
    pub epoch: u64,
    /// The number of batches done in the current epoch.
    pub batch: u64,
    /// How the current epoch's batches are made.
    pub order: BatchOrder,
    /// The number of optimizer steps made.
    pub step: u64,
    /// The default generator's state at the start of the current epoch.
    pub generator: Generator,
    /// The state of the training step.
    pub train: TrainState,
    /// Length of metrics.csv in bytes. Rows after it will be written again.
    pub metrics: u64,
    /// The learning rate of the last step.
    pub lr: f64,
}

/// The images of a split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitDigest {
    /// The purpose of the split: `train`, `val` or `test`.
    pub purpose: String,
    /// The digest of the shards, and which part of them is used.
    pub digest: String,
}

/// The number of images that are evaluated after each epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvaluatedImages {
    /// The number of images.
    pub count: u64,
    /// The last epoch that was evaluated with another number; 0 if there is none.
    pub after_epoch: u64,
}

/// How an epoch's batches are made, apart from the images and the generator. It must not
/// change during an epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchOrder {
    /// The batch size.
    pub batch_size: u64,
    /// The order of the images, in words.
    pub order: String,
}

/// The suffix of an order whose images several processes share.
const SHARED: &str = ", shared by ";
const PROCESSES: &str = " processes";

impl BatchOrder {
    /// The order in this recipe, with this number of processes.
    pub fn of(train: &Train, processes: u32) -> Self {
        let order = match (&train.sampler, train.overfit_batches, train.shuffle) {
            (_, Some(_), _) | (None, None, false) => "in their own order".to_owned(),
            (Some(sampler), None, _) => format!("drawn by {sampler:?}"),
            (None, None, true) => "in a random order".to_owned(),
        };
        let order = if processes > 1 {
            format!("{order}{SHARED}{processes}{PROCESSES}")
        } else {
            order
        };
        Self { batch_size: train.batch_size as u64, order }
    }

    /// The number of processes that share the images.
    pub fn processes(&self) -> u32 {
        let number = self.order.strip_suffix(PROCESSES);
        let number = number.and_then(|text| text.rsplit_once(SHARED));
        number.and_then(|(_, number)| number.parse().ok()).unwrap_or(1)
    }
}

impl fmt::Display for BatchOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batches of {} {}", self.batch_size, self.order)
    }
}

/// The state that the training step keeps between steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainState {
    /// The optimizer's steps, without those that fp16 skipped.
    pub steps: u64,
    /// The optimizers, with the buffers that each keeps for every parameter.
    pub optimizers: Vec<OptimizerKind>,
    /// The trained parameters, in the network's order.
    pub params: Vec<ParamState>,
    /// fp16's loss scale.
    pub scaler: Option<ScalerState>,
    /// The state of ReduceLROnPlateau.
    pub plateau: Option<PlateauState>,
}

/// The state of one parameter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ParamState {
    /// The index of the parameter's optimizer.
    pub optimizer: usize,
    /// The optimizer's buffers; empty before the first step.
    pub buffers: Vec<SavedTensor>,
    /// The trained parameter, if the checkpoint holds its moving average instead.
    pub trained: Option<SavedTensor>,
}

/// An optimizer and the buffers that it keeps for each parameter, by torch.optim's names.
/// Another optimizer cannot use the buffers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptimizerKind {
    /// `SGD`, `AdamW`, ...
    pub optimizer: String,
    /// `momentum_buffer`, ...
    pub buffers: Vec<String>,
}

impl fmt::Display for OptimizerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let buffers = if self.buffers.is_empty() {
            "no buffers".to_owned()
        } else {
            self.buffers.join(", ")
        };
        write!(f, "{} with {buffers}", self.optimizer)
    }
}

/// A saved tensor of float32 values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedTensor {
    shape: Vec<i64>,
    values: Vec<f32>,
}

impl SavedTensor {
    /// Copies float32 tensors, which must be on one device.
    pub fn copy_all(tensors: &[&Tensor]) -> Result<Vec<Self>> {
        no_grad(|| Self::download(tensors)).map_err(|e| torch_error(&e))
    }

    fn download(tensors: &[&Tensor]) -> Result<Vec<Self>, TchError> {
        let mut saved = Vec::with_capacity(tensors.len());
        for tensor in f_download(tensors)? {
            saved.push(Self { shape: tensor.size(), values: f_floats(&tensor)? });
        }
        Ok(saved)
    }

    /// Recreates the tensor with the memory layout of `like`. Its shape must be that of
    /// `like`.
    pub fn tensor(&self, like: &Tensor) -> Result<Tensor> {
        if self.shape != like.size() || self.values.len() != like.numel() {
            return Err(Error::failed("the training state is another network's"));
        }
        let tensor = no_grad(|| {
            let values = Tensor::f_from_slice(&self.values)?.f_reshape(&self.shape)?;
            let mut tensor = like.f_zeros_like()?;
            tensor.f_copy_(&values)?;
            Ok(tensor)
        });
        tensor.map_err(|e| torch_error(&e).within("restoring the training state"))
    }
}

impl State {
    /// Writes the state atomically.
    pub fn write(&self, path: &Path) -> Result<()> {
        let body =
            encoding::encode_compact(self).map_err(|e| e.within("the training state"))?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(crc32c::crc32c(&body).to_le_bytes());
        bytes.extend(body);
        atomic::write(path, &bytes)
    }

    /// Reads a state written by [`State::write`].
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).doing("read", path)?;
        Self::decode(&bytes).map_err(|e| e.within(path.display()))
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let (head, body) = bytes
            .split_at_checked(HEAD)
            .filter(|(head, _)| head.starts_with(&MAGIC))
            .ok_or_else(|| {
                Error::failed("is not a training state (it does not start with TMSTATE)")
            })?;
        let version = word(head, 8);
        if version != VERSION {
            return Err(Error::failed(format_args!(
                "is a training state of version {version}, and this train continues \
                 only from version {VERSION}: start a new run with --init and the \
                 checkpoint's weights"
            )));
        }
        if crc32c::crc32c(body) != word(head, 12) {
            return Err(Error::failed(
                "its checksum is wrong: it is damaged; resume from another checkpoint",
            ));
        }
        let (state, _): (Self, usize) = encoding::decode_compact(body)
            .map_err(|e| Error::failed(format_args!("is damaged ({e})")))?;
        if !state.generator.is_valid() {
            return Err(Error::failed("its random generator is damaged"));
        }
        if !state.has_possible_counts() {
            return Err(Error::failed(format_args!(
                "counts {} epochs, {} batches and {} steps: it is damaged; resume from \
                 another checkpoint",
                state.epoch, state.batch, state.step
            )));
        }
        Ok(state)
    }

    /// Whether the counts can be those of a run. If not, sums and products of them might
    /// overflow.
    fn has_possible_counts(&self) -> bool {
        const MOST: u64 = 1 << 48;
        let images = self.batch.checked_mul(self.order.batch_size);
        let counts = [self.epoch, self.batch, self.step, self.train.steps];
        images.is_some() && counts.iter().all(|&count| count <= MOST)
    }
}

/// The little-endian u32 at an offset in the header.
fn word(head: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn counts_that_would_overflow_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("epoch-0001.state");
        let state = State {
            weights: 0,
            splits: Vec::new(),
            evaluated: EvaluatedImages::default(),
            epoch: 1,
            batch: 2,
            order: BatchOrder { batch_size: 8, order: String::new() },
            step: 12,
            generator: Generator::new(0),
            train: TrainState::default(),
            metrics: 0,
            lr: 0.1,
        };
        state.write(&path).unwrap();
        assert_eq!(State::read(&path).unwrap(), state);
        let steps = TrainState { steps: u64::MAX, ..TrainState::default() };
        for wrong in [
            State { epoch: u64::MAX, ..state.clone() },
            State { step: u64::MAX, ..state.clone() },
            State { batch: 1 << 61, ..state.clone() },
            State { train: steps, ..state.clone() },
        ] {
            wrong.write(&path).unwrap();
            let error = State::read(&path).unwrap_err().to_string();
            assert!(error.contains("epoch-0001.state: counts"), "{error}");
        }
    }
}
