//! The training state beside a checkpoint, `epoch-0010.state`: what it takes to go on as
//! if nothing had happened. Magic `TMSTATE\0`, version and CRC-32C (u32 little-endian
//! each), then bincode 2.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};
use torchmill::recipe::Train;
use torchmill::{Context, Error, Result, atomic};

use crate::generator::Generator;
use crate::plateau::Plateau;
use crate::scaler::Scaler;

const MAGIC: [u8; 8] = *b"TMSTATE\0";
const VERSION: u32 = 4;

/// Everything of a run that its weights do not hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// CRC-32C of the checkpoint file that this belongs to.
    pub weights: u32,
    /// Digest of the shards trained on: resuming on others would be another run.
    pub data: String,
    /// Epochs completed.
    pub epoch: u64,
    /// Batches done of the epoch that is under way.
    pub batch: u64,
    /// What its batches are made by.
    pub order: Order,
    /// Optimizer steps made.
    pub step: u64,
    /// The default generator as it was when the epoch under way began.
    pub generator: Generator,
    /// What the training step keeps.
    pub learner: Learned,
    /// Length of metrics.csv in bytes; rows after it will be made again.
    pub metrics: u64,
    /// The learning rate of the last step.
    pub lr: f64,
}

/// What an epoch's batches are made by, besides the images and the generator: it must not
/// change in the middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Images a batch.
    pub batch_size: u64,
    /// Whether they come in a random order.
    pub shuffled: bool,
}

impl Order {
    /// As the recipe says.
    pub fn of(train: &Train) -> Self {
        let shuffled = train.shuffle && train.overfit_batches.is_none();
        Self { batch_size: train.batch_size as u64, shuffled }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order =
            if self.shuffled { "in a random order" } else { "in their own order" };
        write!(f, "batches of {} {order}", self.batch_size)
    }
}

/// What the training step keeps from one to the next.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    /// Steps that the optimizer has made: fewer than the run's where fp16 had some left
    /// out.
    pub steps: u64,
    /// What the optimizer is and keeps.
    pub keeps: Keeps,
    /// The optimizer's buffers, one list a trained parameter: shape and float32 values.
    pub optimizer: Vec<Vec<Buffer>>,
    /// The weights as they are trained, where the checkpoint holds their moving average;
    /// else empty.
    pub weights: Vec<Buffer>,
    /// fp16's loss scale.
    pub scaler: Option<Scaler>,
    /// ReduceLROnPlateau's memory.
    pub plateau: Option<Plateau>,
}

/// An optimizer and what it keeps for each parameter, in torch.optim's words. Buffers of
/// one mean nothing to another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keeps {
    /// `SGD`, `AdamW`, ...
    pub optimizer: String,
    /// `momentum_buffer`, ...
    pub buffers: Vec<String>,
}

impl fmt::Display for Keeps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let buffers = if self.buffers.is_empty() {
            "no buffers".to_owned()
        } else {
            self.buffers.join(", ")
        };
        write!(f, "{} with {buffers}", self.optimizer)
    }
}

/// A saved tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Buffer {
    shape: Vec<i64>,
    values: Vec<f32>,
}

impl Buffer {
    /// Copies a float32 tensor.
    pub fn of(tensor: &Tensor) -> Self {
        let flat = tensor.to_device(Device::Cpu).to_kind(Kind::Float).contiguous();
        let mut values = vec![0.0; flat.numel()];
        flat.copy_data(&mut values, flat.numel());
        Self { shape: tensor.size(), values }
    }

    /// Makes the tensor again, laid out as `like` is; its shape must be `like`'s.
    pub fn tensor(&self, like: &Tensor) -> Result<Tensor> {
        if self.shape != like.size() || self.values.len() != like.numel() {
            return Err(Error::failed("the training state is another network's"));
        }
        let mut tensor = like.detach().zeros_like();
        tensor.copy_(&Tensor::from_slice(&self.values).reshape(&self.shape));
        Ok(tensor)
    }
}

/// The state file beside a checkpoint.
pub fn path_beside(checkpoint: &Path) -> PathBuf {
    checkpoint.with_extension("state")
}

impl State {
    /// Writes the state, complete or not at all.
    pub fn write(&self, path: &Path) -> Result<()> {
        let body = bincode::serde::encode_to_vec(self, bincode::config::standard())
            .map_err(|e| Error::failed(format_args!("the training state: {e}")))?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(crc32c::crc32c(&body).to_le_bytes());
        bytes.extend(body);
        atomic::write(path, &bytes)
    }

    /// Reads a state that [`State::write`] wrote.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).doing("read", path)?;
        Self::decode(&bytes).map_err(|e| e.within(path.display()))
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let Some((head, body)) =
            bytes.split_at_checked(16).filter(|(head, _)| head[..8] == MAGIC)
        else {
            return Err(Error::failed(
                "is no training state (it does not start with TMSTATE)",
            ));
        };
        let word = |at: usize| {
            u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
        };
        if word(8) != VERSION {
            return Err(Error::failed(format_args!(
                "is a version {} state of another torchmill's, this one goes on from version {VERSION} only: start a new run with --init and the checkpoint's weights",
                word(8)
            )));
        }
        if crc32c::crc32c(body) != word(12) {
            return Err(Error::failed(
                "its checksum is wrong: it is damaged; resume from another checkpoint",
            ));
        }
        // The checksum has been right, and no list can be longer than the file: bincode
        // reads element by element and ends with the bytes.
        let (state, _): (Self, usize) =
            bincode::serde::decode_from_slice(body, bincode::config::standard())
                .map_err(|e| Error::failed(format_args!("is damaged ({e})")))?;
        if state.generator.is_valid() {
            Ok(state)
        } else {
            Err(Error::failed("its random generator is damaged"))
        }
    }
}
