//! From mapped shards to batches of tensors, on threads of their own so that the next
//! batch is ready in time.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, mpsc};

use half::{bf16, f16};
use tch::{Device, Kind, Tensor};
use torchmill::shard::{DType, ShardSet};
use torchmill::transform::{Image, Pipeline, PixelMap, Sample, rng};
use torchmill::{Error, Result};

use crate::resident::{Resident, Source};
use crate::sampler::Epoch;
use crate::torch_error;

/// Threads that make batches, at most.
const MAKERS: usize = 8;
/// What batches that are waiting may take, in bytes; each thread has two of them, and
/// there is one thread at least.
const WAITING: usize = 1 << 30;

/// The images of a split, or some of them, with what the shards leave to do to them.
#[derive(Clone)]
pub struct Dataset {
    set: Arc<ShardSet>,
    /// Which of the set's images these are; all of them where there is no list.
    indices: Option<Arc<[u32]>>,
    finish: Arc<Finish>,
    /// The images on the device, where they lie there.
    resident: Option<Arc<Resident>>,
}

/// How a stored image becomes numbers.
enum Finish {
    /// uint8 pixels, then `ToTensor` and perhaps `Normalize`: one of 256 values for each
    /// channel.
    Table { before: Before, values: Vec<[f32; 256]> },
    /// uint8 pixels through steps of any kind.
    Steps(Pipeline),
    /// Floats, used as they are.
    Baked,
}

/// What is done to uint8 pixels before `ToTensor`.
enum Before {
    Nothing,
    /// Steps that come to one [`PixelMap`], which needs no image of its own.
    Moves(Pipeline),
    Steps(Pipeline),
}

impl Before {
    fn new(pipeline: Pipeline, [_, height, width]: [usize; 3]) -> Result<Self> {
        Ok(match pipeline.pixel_map(height, width, &mut rng(0, 0, 0))? {
            _ if pipeline.is_empty() => Self::Nothing,
            Some(_) => Self::Moves(pipeline),
            None => Self::Steps(pipeline),
        })
    }
}

/// Some images and their labels.
pub struct Batch {
    /// `[N, C, H, W]` in channels-last layout, of the kind asked for, on the device asked
    /// for.
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
    /// Opens the shards of `split` in `folder`, checks every byte of them, and reads off
    /// what is left to do.
    pub fn open(folder: &Path, split: &str) -> Result<Self> {
        let set = ShardSet::open(folder, split)?;
        set.verify()?;
        Self::new(set)
    }

    /// Takes a set of shards and reads off what is left to do.
    pub fn new(set: ShardSet) -> Result<Self> {
        let finish = match set.dtype() {
            DType::Uint8 => finish(&set, Pipeline::parse(&set.meta().deferred)?)?,
            DType::Int64 => {
                return Err(Error::failed(
                    "the shards' images are int64: write them again with prep",
                ));
            }
            _ => Finish::Baked,
        };
        Ok(Self {
            set: Arc::new(set),
            indices: None,
            finish: Arc::new(finish),
            resident: None,
        })
    }

    /// These images of this data set, as a data set of their own. A random transform
    /// draws for an image what it would draw for it in the whole set.
    #[must_use]
    pub fn subset(&self, indices: &[u32]) -> Self {
        let indices = indices.iter().map(|&i| self.original(i)).collect();
        Self { indices: Some(indices), resident: None, ..self.clone() }
    }

    /// The same images, with `pipeline` done to them in all instead of the shards' own.
    /// It fails where the shards' images have already been through something else.
    pub fn prepared_by(&self, pipeline: &str) -> Result<Self> {
        let meta = self.set.meta();
        let (done, wanted) = (Pipeline::parse(&meta.baked)?, Pipeline::parse(pipeline)?);
        let (before, left) = wanted.split_at(done.steps().len());
        if before != done || (!left.is_empty() && self.set.dtype() != DType::Uint8) {
            return Err(Error::failed(format_args!(
                "the {} shards' images have been through `{}`, so `{pipeline}` can no longer be done to them",
                meta.split, meta.baked
            )));
        }
        let finish = if self.set.dtype() == DType::Uint8 {
            finish(&self.set, left)?
        } else {
            Finish::Baked
        };
        Ok(Self { finish: Arc::new(finish), resident: None, ..self.clone() })
    }

    /// The same, with the images on `device` once, where they are uint8 that are moved
    /// and looked up at most, and fit there; otherwise, and on the CPU, where the shards
    /// lie in memory anyway, as it was. Batches are then gathered on the device, and are
    /// the same.
    pub fn on(self, device: Device, kind: Kind) -> Result<Self> {
        if device == Device::Cpu { Ok(self) } else { self.resident_on(device, kind) }
    }

    /// [`Dataset::on`] for any device, as it can be tried without a GPU.
    pub fn resident_on(self, device: Device, kind: Kind) -> Result<Self> {
        let shape = self.set.image_shape();
        let Finish::Table { before, values } = &*self.finish else { return Ok(self) };
        let blank = match before {
            Before::Nothing => vec![0; shape[0]],
            Before::Moves(steps) => {
                let moved = steps.pixel_map(shape[1], shape[2], &mut rng(0, 0, 0))?;
                moved
                    .map_or(Ok(vec![0; shape[0]]), |moved| moved.fill_levels(shape[0]))?
            }
            Before::Steps(_) => return Ok(self),
        };
        let labels =
            (0..self.len() as u32).map(|i| self.label(i)).collect::<Result<Vec<_>>>()?;
        let image = |i: usize| self.set.image(self.original(i as u32) as usize);
        let source =
            Source { image: &image, labels: &labels, shape, values, blank: &blank };
        let resident = Resident::upload(&source, kind, device)?.map(Arc::new);
        Ok(Self { resident, ..self })
    }

    /// The shards that the images are in; not all of theirs need be in a subset.
    pub fn set(&self) -> &ShardSet {
        &self.set
    }

    /// How many images.
    pub fn len(&self) -> usize {
        self.indices.as_ref().map_or(self.set.len(), |indices| indices.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The label of image `i`.
    pub fn label(&self, i: u32) -> Result<i64> {
        self.set.label(self.original(i) as usize)
    }

    /// Where image `i` is in the set of shards; one that is not there is left to the set
    /// to refuse.
    fn original(&self, i: u32) -> u32 {
        self.indices
            .as_ref()
            .map_or(i, |indices| indices.get(i as usize).copied().unwrap_or(u32::MAX))
    }

    /// The shape of an image as the network gets it, `[C, H, W]`.
    pub fn image_shape(&self) -> Result<[usize; 3]> {
        let stored = self.set.image_shape();
        match &*self.finish {
            Finish::Table {
                before: Before::Moves(pipeline) | Before::Steps(pipeline),
                ..
            }
            | Finish::Steps(pipeline) => pipeline.output_shape(stored),
            Finish::Table { before: Before::Nothing, .. } | Finish::Baked => Ok(stored),
        }
    }

    /// Makes one batch, of the images at these places in this data set.
    pub fn batch(&self, indices: &[u32], target: Target) -> Result<Batch> {
        if let Some(resident) =
            self.resident.as_ref().filter(|r| r.serves(target.kind, target.device))
        {
            return self.resident_batch(resident, indices, target);
        }
        let [c, h, w] = self.image_shape()?;
        let n = indices.len();
        let size = [n, c, h, w].map(|n| n as i64);
        let strides = [c * h * w, 1, w * c, c].map(|n| n as i64);
        let images = Tensor::f_empty_strided(size, strides, (target.kind, Device::Cpu))
            .map_err(|e| torch_error(&e))?;
        let per_image = c * h * w;
        for (slot, index) in indices.iter().map(|&i| self.original(i)).enumerate() {
            match target.kind {
                // SAFETY: `images` was made just above with n * per_image elements of
                // this kind, densely, and nobody else has it; image `slot` has its own
                // stretch of it.
                Kind::Float => unsafe {
                    let start = images.data_ptr().cast::<f32>().add(slot * per_image);
                    self.image(
                        index,
                        target,
                        std::slice::from_raw_parts_mut(start, per_image),
                        |x| x,
                    )?;
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
                other => {
                    return Err(Error::failed(format_args!(
                        "batches of {other:?} are not made"
                    )));
                }
            }
        }
        let labels =
            indices.iter().map(|&i| self.label(i)).collect::<Result<Vec<_>>>()?;
        Ok(Batch {
            images: images.to_device(target.device),
            labels: Tensor::from_slice(&labels).to_device(target.device),
        })
    }

    /// Writes image `index` to `out`, channels last.
    fn image<T: Copy>(
        &self,
        index: u32,
        target: Target,
        out: &mut [T],
        of: impl Fn(f32) -> T,
    ) -> Result<()> {
        let stored = self.set.image(index as usize)?;
        let [channels, height, width] = self.set.image_shape();
        match &*self.finish {
            Finish::Table { before: Before::Nothing, values } => {
                let planes = stored.chunks_exact(height * width);
                for ((c, table), plane) in values.iter().enumerate().zip(planes) {
                    place(
                        plane,
                        |&level| of(table[usize::from(level)]),
                        channels,
                        &mut out[c..],
                    );
                }
            }
            Finish::Table { before: Before::Moves(steps), values } => {
                let moved = self.moved(steps, index, target)?;
                let blank = moved.fill_levels(channels)?;
                let planes = stored.chunks_exact(height * width);
                for (((c, table), plane), blank) in
                    values.iter().enumerate().zip(planes).zip(blank)
                {
                    let value = |level: u8| of(table[usize::from(level)]);
                    let rows = out[c..].chunks_mut(moved.columns.len() * channels);
                    for (row, out) in moved.rows.iter().zip(rows) {
                        let line = row.map(|y| &plane[y * width..][..width]);
                        for (out, column) in
                            out.iter_mut().step_by(channels).zip(&moved.columns)
                        {
                            *out = value(
                                line.zip(*column).map_or(blank, |(line, x)| line[x]),
                            );
                        }
                    }
                }
            }
            Finish::Table { before: Before::Steps(before), values } => {
                let sample = self.draw(before, stored, index, target)?;
                let Sample::Image(image) = sample else {
                    return Err(Error::failed("a tensor before ToTensor"));
                };
                for (pixel, from) in out
                    .chunks_exact_mut(image.channels)
                    .zip(image.pixels.chunks_exact(image.channels))
                {
                    for c in 0..image.channels {
                        pixel[c] = of(values[c][usize::from(from[c])]);
                    }
                }
            }
            Finish::Steps(steps) => {
                let sample = self.draw(steps, stored, index, target)?;
                let Sample::Tensor(tensor) = sample else {
                    return Err(no_to_tensor(&self.set));
                };
                interleave(&tensor.values, |&x| of(x), tensor.shape, out);
            }
            Finish::Baked => {
                let shape = [channels, height, width];
                match self.set.dtype() {
                    DType::Float32 => {
                        interleave(
                            stored.as_chunks().0,
                            |&b| of(f32::from_le_bytes(b)),
                            shape,
                            out,
                        );
                    }
                    DType::BFloat16 => {
                        let value = |&b: &[u8; 2]| of(bf16::from_le_bytes(b).to_f32());
                        interleave(stored.as_chunks().0, value, shape, out);
                    }
                    _ => {
                        let value =
                            |&b: &[u8; 2]| of(half::f16::from_le_bytes(b).to_f32());
                        interleave(stored.as_chunks().0, value, shape, out);
                    }
                }
            }
        }
        Ok(())
    }

    /// The same batch, gathered on the device.
    fn resident_batch(
        &self,
        resident: &Resident,
        indices: &[u32],
        target: Target,
    ) -> Result<Batch> {
        let moves = match &*self.finish {
            Finish::Table { before: Before::Moves(steps), .. } => {
                let draw = |&i: &u32| self.moved(steps, self.original(i), target);
                indices.iter().map(draw).collect::<Result<Vec<_>>>()?
            }
            _ => Vec::new(),
        };
        let places: Vec<i64> = indices.iter().map(|&i| i64::from(i)).collect();
        let (images, labels) = resident.batch(&places, &moves)?;
        Ok(Batch { images, labels })
    }

    /// Where the pixels of an image come from, drawn from its own generator.
    fn moved(&self, steps: &Pipeline, index: u32, target: Target) -> Result<PixelMap> {
        let [_, height, width] = self.set.image_shape();
        let mut rng = rng(target.seed, target.epoch, u64::from(index));
        let moved = steps.pixel_map(height, width, &mut rng)?;
        moved.ok_or_else(|| Error::failed("steps that moved pixels now do more"))
    }

    /// An image through steps that may be random, drawn from its own generator.
    fn draw(
        &self,
        steps: &Pipeline,
        stored: &[u8],
        index: u32,
        target: Target,
    ) -> Result<Sample> {
        let [channels, height, width] = self.set.image_shape();
        let mut pixels = vec![0; stored.len()];
        interleave(stored, |&level| level, [channels, height, width], &mut pixels);
        let image = Image { width, height, channels, pixels };
        let mut rng = rng(target.seed, target.epoch, u64::from(index));
        steps.apply(Sample::Image(image), &mut rng)
    }

    /// Calls `each` with every batch of `epoch` from the `from`th on, in order, until it
    /// breaks. The batches are made ahead on other threads: as many as there are cores,
    /// where memory allows.
    pub fn for_each_batch(
        &self,
        epoch: &Epoch,
        from: usize,
        target: Target,
        mut each: impl FnMut(usize, Batch) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let images = epoch.batch(from.min(epoch.batches().saturating_sub(1))).len();
        let bytes = images
            * self.image_shape()?.iter().product::<usize>()
            * target.kind.elt_size_in_bytes();
        let cores =
            std::thread::available_parallelism().map_or(1, |n| n.get().min(MAKERS));
        let makers = (WAITING / (2 * bytes.max(1))).clamp(1, cores);
        std::thread::scope(|scope| {
            // Each makes every so many'th batch, into a channel of its own: so they come
            // in order.
            let start = |maker: usize| {
                let (sender, receiver) = mpsc::sync_channel(1);
                scope.spawn(move || {
                    for i in (from + maker..epoch.batches()).step_by(makers) {
                        // An error ends the epoch; so does a receiver that has heard
                        // enough.
                        let batch = self.batch(epoch.batch(i), target);
                        let failed = batch.is_err();
                        if sender.send(batch).is_err() || failed {
                            break;
                        }
                    }
                });
                receiver
            };
            let receivers: Vec<_> = (0..makers).map(start).collect();
            for (i, receiver) in (from..epoch.batches()).zip(receivers.iter().cycle()) {
                let Ok(batch) = receiver.recv() else { break };
                if each(i, batch?)?.is_break() {
                    break;
                }
            }
            Ok(())
        })
    }
}

/// How uint8 images are done with what is left to do to them.
fn finish(set: &ShardSet, deferred: Pipeline) -> Result<Finish> {
    if !deferred.makes_tensors() {
        return Err(no_to_tensor(set));
    }
    let (before, last) = deferred.split_levels();
    if last.is_empty() {
        return Ok(Finish::Steps(deferred));
    }
    let [channels, ..] = before.output_shape(set.image_shape())?;
    let values = last.levels(channels)?;
    Ok(Finish::Table { before: Before::new(before, set.image_shape())?, values })
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

/// Writes a plane to every `channels`th element of `out`. Dividing for each pixel to find
/// its place instead took 18 microseconds for 3x32x32 bytes; this takes 3.
fn place<S, T>(plane: &[S], of: impl Fn(&S) -> T, channels: usize, out: &mut [T]) {
    out.iter_mut().step_by(channels).zip(plane).for_each(|(x, value)| *x = of(value));
}
