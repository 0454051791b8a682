//! From mapped shards to batches of tensors, on a thread of its own so that the next batch is ready in time.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc;

use half::{bf16, f16};
use tch::{Device, Kind, Tensor};
use torchmill::shard::{DType, ShardSet};
use torchmill::transform::{Image, Pipeline, Sample, Transform, rng};
use torchmill::{Error, Result};

use crate::sampler::Epoch;
use crate::torch_error;

/// Batches made ahead of the one in use.
const AHEAD: usize = 2;

/// The images of a split, with what the shards leave to do to them.
pub struct Dataset {
    set: ShardSet,
    finish: Finish,
}

/// How a stored image becomes numbers.
enum Finish {
    /// uint8 pixels, then `ToTensor` and perhaps `Normalize`: one of 256 values for each channel.
    Table { before: Pipeline, values: Vec<[f32; 256]> },
    /// uint8 pixels through steps of any kind.
    Steps(Pipeline),
    /// Floats, used as they are.
    Baked,
}

/// Some images and their labels.
pub struct Batch {
    /// `[N, C, H, W]` in channels-last layout, of the kind asked for, on the device asked for.
    pub images: Tensor,
    /// `[N]`, int64, on the same device.
    pub labels: Tensor,
}

/// What batches are made for.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The images' element type: float32, bfloat16 or float16.
    pub kind: Kind,
    /// Where they go.
    pub device: Device,
    /// Seeds the random transforms.
    pub seed: u64,
    /// Which epoch's draws the random transforms make.
    pub epoch: u64,
}

impl Dataset {
    /// Opens the shards of `split` in `folder`, checks every byte of them, and reads off what is left to do.
    pub fn open(folder: &Path, split: &str) -> Result<Self> {
        let set = ShardSet::open(folder, split)?;
        set.verify()?;
        Self::new(set)
    }

    /// Takes a set of shards and reads off what is left to do.
    pub fn new(set: ShardSet) -> Result<Self> {
        let finish = match set.dtype() {
            DType::Uint8 => finish(&set)?,
            DType::Int64 => {
                return Err(Error::failed("the shards' images are int64: write them again with prep"));
            }
            _ => Finish::Baked,
        };
        Ok(Self { set, finish })
    }

    /// The shards.
    pub fn set(&self) -> &ShardSet {
        &self.set
    }

    /// The shape of an image as the network gets it, `[C, H, W]`.
    pub fn image_shape(&self) -> Result<[usize; 3]> {
        let stored = self.set.image_shape();
        match &self.finish {
            Finish::Table { before: pipeline, .. } | Finish::Steps(pipeline) => pipeline.output_shape(stored),
            Finish::Baked => Ok(stored),
        }
    }

    /// Makes one batch.
    pub fn batch(&self, indices: &[u32], target: Target) -> Result<Batch> {
        let [c, h, w] = self.image_shape()?;
        let n = indices.len();
        let size = [n, c, h, w].map(|n| n as i64);
        let strides = [c * h * w, 1, w * c, c].map(|n| n as i64);
        let images = Tensor::f_empty_strided(size, strides, (target.kind, Device::Cpu))
            .map_err(|e| torch_error(&e))?;
        let per_image = c * h * w;
        for (slot, &index) in indices.iter().enumerate() {
            match target.kind {
                // SAFETY: `images` was made just above with n * per_image elements of this kind, densely, and
                // nobody else has it; image `slot` has its own stretch of it.
                Kind::Float => unsafe {
                    let start = images.data_ptr().cast::<f32>().add(slot * per_image);
                    self.image(index, target, std::slice::from_raw_parts_mut(start, per_image), |x| x)?;
                },
                // SAFETY: as above; bf16 is two bytes, as libtorch's BFloat16.
                Kind::BFloat16 => unsafe {
                    let start = images.data_ptr().cast::<bf16>().add(slot * per_image);
                    self.image(
                        index,
                        target,
                        std::slice::from_raw_parts_mut(start, per_image),
                        bf16::from_f32,
                    )?;
                },
                // SAFETY: as above; f16 is two bytes, as libtorch's Half.
                Kind::Half => unsafe {
                    let start = images.data_ptr().cast::<f16>().add(slot * per_image);
                    self.image(
                        index,
                        target,
                        std::slice::from_raw_parts_mut(start, per_image),
                        f16::from_f32,
                    )?;
                },
                other => return Err(Error::failed(format_args!("batches of {other:?} are not made"))),
            }
        }
        let labels = indices.iter().map(|&i| self.set.label(i as usize)).collect::<Result<Vec<_>>>()?;
        Ok(Batch {
            images: images.to_device(target.device),
            labels: Tensor::from_slice(&labels).to_device(target.device),
        })
    }

    /// Writes image `index` to `out`, channels last.
    fn image<T: Copy>(&self, index: u32, target: Target, out: &mut [T], of: impl Fn(f32) -> T) -> Result<()> {
        let stored = self.set.image(index as usize)?;
        let [channels, height, width] = self.set.image_shape();
        match &self.finish {
            Finish::Table { before, values } if before.is_empty() => {
                let planes = stored.chunks_exact(height * width);
                for ((c, table), plane) in values.iter().enumerate().zip(planes) {
                    place(plane, |&level| of(table[usize::from(level)]), channels, &mut out[c..]);
                }
            }
            Finish::Table { before, values } => {
                let sample = self.draw(before, stored, index, target)?;
                let Sample::Image(image) = sample else {
                    return Err(Error::failed("a tensor before ToTensor"));
                };
                for (pixel, from) in
                    out.chunks_exact_mut(image.channels).zip(image.pixels.chunks_exact(image.channels))
                {
                    for c in 0..image.channels {
                        pixel[c] = of(values[c][usize::from(from[c])]);
                    }
                }
            }
            Finish::Steps(steps) => {
                let sample = self.draw(steps, stored, index, target)?;
                let Sample::Tensor(tensor) = sample else { return Err(no_to_tensor(&self.set)) };
                interleave(&tensor.values, |&x| of(x), tensor.shape, out);
            }
            Finish::Baked => {
                let shape = [channels, height, width];
                match self.set.dtype() {
                    DType::Float32 => {
                        interleave(stored.as_chunks().0, |&b| of(f32::from_le_bytes(b)), shape, out);
                    }
                    DType::BFloat16 => {
                        let value = |&b: &[u8; 2]| of(bf16::from_le_bytes(b).to_f32());
                        interleave(stored.as_chunks().0, value, shape, out);
                    }
                    _ => {
                        let value = |&b: &[u8; 2]| of(half::f16::from_le_bytes(b).to_f32());
                        interleave(stored.as_chunks().0, value, shape, out);
                    }
                }
            }
        }
        Ok(())
    }

    /// An image through steps that may be random, drawn from its own generator.
    fn draw(&self, steps: &Pipeline, stored: &[u8], index: u32, target: Target) -> Result<Sample> {
        let [channels, height, width] = self.set.image_shape();
        let mut pixels = vec![0; stored.len()];
        interleave(stored, |&level| level, [channels, height, width], &mut pixels);
        let image = Image { width, height, channels, pixels };
        let mut rng = rng(target.seed, target.epoch, u64::from(index));
        steps.apply(Sample::Image(image), &mut rng)
    }

    /// Calls `each` with every batch of `epoch` from the `from`th on, in order, until it breaks. The batches
    /// are made on another thread, [`AHEAD`] of them ahead.
    pub fn for_each_batch(
        &self,
        epoch: &Epoch,
        from: usize,
        target: Target,
        mut each: impl FnMut(usize, Batch) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::sync_channel(AHEAD);
            scope.spawn(move || {
                for i in from..epoch.batches() {
                    // An error ends the epoch; so does a receiver that has heard enough.
                    let batch = self.batch(epoch.batch(i), target);
                    let failed = batch.is_err();
                    if sender.send((i, batch)).is_err() || failed {
                        break;
                    }
                }
            });
            for (i, batch) in receiver {
                if each(i, batch?)?.is_break() {
                    break;
                }
            }
            Ok(())
        })
    }
}

/// What is left to do to uint8 images.
fn finish(set: &ShardSet) -> Result<Finish> {
    let deferred = Pipeline::parse(&set.meta().deferred)?;
    if !deferred.makes_tensors() {
        return Err(no_to_tensor(set));
    }
    let steps = deferred.steps();
    let pixelwise = |step: &Transform| matches!(step, Transform::ToTensor(_) | Transform::Normalize(_));
    let at = steps.iter().position(pixelwise).unwrap_or(steps.len());
    if !steps[at..].iter().all(pixelwise) {
        return Ok(Finish::Steps(deferred));
    }
    let (before, tail) = (Pipeline::from(steps[..at].to_vec()), Pipeline::from(steps[at..].to_vec()));
    let [channels, ..] = before.output_shape(set.image_shape())?;
    // The tail treats each pixel alike, so an image of all 256 levels says what it makes of each.
    let levels = (0..=255_u8).flat_map(|level| std::iter::repeat_n(level, channels)).collect();
    let ramp = Image { width: 16, height: 16, channels, pixels: levels };
    let Sample::Tensor(tensor) = tail.apply(Sample::Image(ramp), &mut rng(0, 0, 0))? else {
        return Err(no_to_tensor(set));
    };
    Ok(Finish::Table { before, values: tensor.values.as_chunks::<256>().0.to_vec() })
}

fn no_to_tensor(set: &ShardSet) -> Error {
    let pipeline = &set.meta().pipeline;
    Error::failed(format_args!(
        "the shards' pipeline `{pipeline}` has no ToTensor, so a network cannot take their images"
    ))
}

/// From channels first, `[C, H, W]`, to channels last.
fn interleave<S, T>(
    values: &[S],
    of: impl Fn(&S) -> T,
    [channels, height, width]: [usize; 3],
    out: &mut [T],
) {
    for (c, plane) in values.chunks_exact(height * width).enumerate().take(channels) {
        place(plane, &of, channels, &mut out[c..]);
    }
}

/// Writes a plane to every `channels`th element of `out`. Dividing for each pixel to find its place instead took
/// 18 microseconds for 3x32x32 bytes; this takes 3.
fn place<S, T>(plane: &[S], of: impl Fn(&S) -> T, channels: usize, out: &mut [T]) {
    out.iter_mut().step_by(channels).zip(plane).for_each(|(x, value)| *x = of(value));
}
