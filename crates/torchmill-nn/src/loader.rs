//! Makes batches of tensors from mapped shards, on background threads so that the next
//! batch is ready in time.

mod deferred;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use half::{bf16, f16};
use rayon::prelude::*;
use tch::{Device, Kind, Tensor};
use torchmill::parallel::{self, Stop};
use torchmill::shard::{DType, ShardSet};
use torchmill::transform::{Pipeline, Rng, rng};
use torchmill::{Error, ErrorKind, Result};

use crate::kernel::single_thread::SingleHelpers;
use crate::resident::{Images, Resident};
use crate::sampler::Epoch;
use crate::tensor::f_upload;
use crate::tensor_access::{Element, ReadOnly, channels_last};
use crate::torch_error;
use deferred::{Deferred, ImageWriter, Prefix, pixel_map};

/// The largest number of threads that make batches.
const MAX_THREADS: usize = 8;
/// The largest number of bytes in waiting batches. Each thread holds two batches, and
/// there is always at least one thread.
const MAX_WAITING: usize = 1 << 30;

/// The images of a split of the shards, or a subset of them, with the deferred transforms.
#[derive(Clone)]
pub struct ShardData {
    set: Arc<ShardSet>,
    /// The indices of the subset's images in the shards; `None` for all images.
    indices: Option<Arc<[u32]>>,
    deferred: Arc<Deferred>,
    /// The images' pixels on a device, if they were copied there.
    resident: Option<Arc<ReadOnly<Resident>>>,
    /// Whether JPEG files may be decoded at a smaller scale.
    scales: bool,
}

/// A batch of images and their labels.
pub struct Batch {
    /// `[N, C, H, W]` in channels-last layout, with the dtype and device of
    /// [`BatchOptions`].
    pub images: Tensor,
    /// `[N]`, int64, on the same device.
    pub labels: Tensor,
    /// The same labels in CPU memory.
    pub label_values: Vec<i64>,
}

impl Batch {
    /// Copies images and their labels to a device.
    pub fn upload(
        images: &Tensor,
        label_values: Vec<i64>,
        device: Device,
    ) -> Result<Self> {
        let upload = || {
            let labels = Tensor::f_from_slice(&label_values)?;
            Ok((f_upload(images, device)?, f_upload(&labels, device)?))
        };
        let (images, labels) = upload().map_err(|e| torch_error(&e))?;
        Ok(Self { images, labels, label_values })
    }
}

/// The options of a batch.
#[derive(Debug, Clone, Copy)]
pub struct BatchOptions {
    /// The images' dtype: float32, bfloat16 or float16.
    pub kind: Kind,
    /// The device for images and labels.
    pub device: Device,
    /// The seed of the random transforms.
    pub seed: u64,
    /// The epoch, from 0. Random transforms draw anew in each epoch.
    pub epoch: u64,
}

impl ShardData {
    /// Opens the shards of `split` in `folder` and verifies every byte of them. Images
    /// with their own checksums are verified when they are read instead.
    pub fn open(folder: &Path, split: &str) -> Result<Self> {
        let set = ShardSet::open(folder, split)?;
        set.verify_index()?;
        Self::new(set)
    }

    /// Wraps a set of shards, with their deferred transforms.
    pub fn new(set: ShardSet) -> Result<Self> {
        let deferred = Deferred::new(&set, Pipeline::parse(&set.meta().deferred)?)?;
        Ok(Self {
            set: Arc::new(set),
            indices: None,
            deferred: Arc::new(deferred),
            resident: None,
            scales: false,
        })
    }

    /// The same images, with JPEG files decoded at 1/2, 1/4 or 1/8 of their size if a
    /// RandomResizedCrop needs no more. This is faster and changes the pixels slightly.
    #[must_use]
    pub fn with_scaled_decoding(self, scales: bool) -> Self {
        Self { scales, ..self }
    }

    /// A subset with the images at these indices. A random transform draws the same for
    /// an image as in the whole data set.
    #[must_use]
    pub fn subset(&self, indices: &[u32]) -> Self {
        let indices = indices.iter().map(|&i| self.original(i) as u32).collect();
        Self { indices: Some(indices), resident: None, ..self.clone() }
    }

    /// The same images with `pipeline` in place of the shards' own. Fails unless
    /// `pipeline` begins with the transforms that the shards' images have been through.
    pub fn prepared_by(&self, pipeline: &str) -> Result<Self> {
        let meta = self.set.meta();
        let baked = Pipeline::parse(&meta.baked)?;
        let wanted = Pipeline::parse(pipeline)?;
        let (beginning, rest) = wanted.split_at(baked.steps().len());
        let is_uint8 = self.set.dtype() == DType::Uint8;
        if beginning != baked || (!rest.is_empty() && !is_uint8) {
            return Err(Error::failed(format_args!(
                "the {} shards' images have been through `{}`, so `{pipeline}` can no \
                 longer be applied to them",
                meta.split, meta.baked
            )));
        }
        let deferred = Deferred::new(&self.set, rest)?;
        let deferred = Arc::new(deferred);
        Ok(Self { deferred, resident: None, scales: false, ..self.clone() })
    }

    /// The same images with their pixels on `device`, where batches are then gathered.
    /// Returns `self` unchanged on the CPU, if the images do not fit on the device, if
    /// they differ in size, or if their transforms do more than move rows and columns and
    /// look up levels.
    pub fn on(self, device: Device, kind: Kind) -> Result<Self> {
        if device == Device::Cpu { Ok(self) } else { self.resident_on(device, kind) }
    }

    /// [`ShardData::on`] for any device, so that it can be tested without a GPU.
    pub fn resident_on(self, device: Device, kind: Kind) -> Result<Self> {
        let Some(shape) = self.set.image_shape() else { return Ok(self) };
        let Deferred::Table { prefix, tables } = &*self.deferred else { return Ok(self) };
        let fill = match prefix {
            Prefix::Nothing => vec![0; shape[0]],
            Prefix::Gather(steps) => {
                let map = pixel_map(steps, shape, &mut rng(0, 0, 0))?;
                map.fill_levels(shape[0])?
            }
            Prefix::Steps { .. } => return Ok(self),
        };
        let labels = self.labels(&(0..self.len() as u32).collect::<Vec<_>>())?;
        let image = |i: usize| self.set.image(self.original(i as u32));
        let images =
            Images { image: &image, labels: &labels, shape, tables, fill: &fill };
        let resident = Resident::upload(&images, kind, device)?;
        let resident = resident.map(|resident| Arc::new(ReadOnly::new(resident)));
        Ok(Self { resident, ..self })
    }

    /// The shards. They may hold images that are not in this subset.
    pub fn set(&self) -> &ShardSet {
        &self.set
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.indices.as_ref().map_or(self.set.len(), |indices| indices.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The label of image `i`.
    pub fn label(&self, i: u32) -> Result<i64> {
        self.set.label(self.original(i))
    }

    /// Where image `i` came from. prep's augmented copies have the original's source.
    pub fn source(&self, i: u32) -> Result<String> {
        self.set.source(self.original(i))
    }

    fn labels(&self, indices: &[u32]) -> Result<Vec<i64>> {
        indices.iter().map(|&i| self.label(i)).collect()
    }

    /// The index of image `i` in the shards. If `i` is out of range, so is the result.
    fn original(&self, i: u32) -> usize {
        match &self.indices {
            Some(indices) => indices.get(i as usize).map_or(usize::MAX, |&i| i as usize),
            None => i as usize,
        }
    }

    /// The random number generator of image `i`'s transforms.
    fn rng(&self, i: u32, options: BatchOptions) -> Rng {
        rng(options.seed, options.epoch, self.original(i) as u64)
    }

    /// The shape of an image as the network sees it, `[C, H, W]`.
    pub fn image_shape(&self) -> Result<[usize; 3]> {
        self.deferred.output_shape(self.set.spec())
    }

    /// Makes a batch of the images with these indices.
    pub fn batch(&self, indices: &[u32], options: BatchOptions) -> Result<Batch> {
        let count = indices.len();
        let batch = self.batch_of(indices, options);
        batch.map_err(|e| e.within(format_args!("a batch of {count} images")))
    }

    fn batch_of(&self, indices: &[u32], options: BatchOptions) -> Result<Batch> {
        if let Some(resident) = &self.resident
            && resident.serves(options.kind, options.device)
        {
            return self.resident_batch(resident, indices, options);
        }
        let images = match options.kind {
            Kind::Float => self.images(indices, options, |x: f32| x)?,
            Kind::BFloat16 => self.images(indices, options, bf16::from_f32)?,
            Kind::Half => self.images(indices, options, f16::from_f32)?,
            other => {
                return Err(Error::failed(format_args!(
                    "batches are float32, bfloat16 or float16, not {other:?}"
                )));
            }
        };
        Batch::upload(&images, self.labels(indices)?, options.device)
    }

    /// The images of a batch, on the CPU.
    fn images<T: Element>(
        &self,
        indices: &[u32],
        options: BatchOptions,
        convert: fn(f32) -> T,
    ) -> Result<Tensor> {
        let [channels, height, width] = self.image_shape()?;
        let writer = ImageWriter::new(&self.set, &self.deferred, convert, self.scales);
        let size = channels * height * width;
        let write = |(&i, out): (&u32, &mut [T])| {
            writer.write(self.original(i), &mut self.rng(i, options), out)
        };
        channels_last([indices.len(), channels, height, width], |elements| {
            if !self.deferred.is_slow(&self.set) {
                let places = elements.chunks_exact_mut(size);
                return indices.iter().zip(places).try_for_each(write);
            }
            let places = elements.par_chunks_exact_mut(size);
            // The first error by index, whichever thread failed first.
            let error =
                indices.par_iter().zip(places).map(write).find_map_first(Result::err);
            error.map_or(Ok(()), Err)
        })
    }

    /// The same batch, gathered on the device.
    fn resident_batch(
        &self,
        resident: &Resident,
        indices: &[u32],
        options: BatchOptions,
    ) -> Result<Batch> {
        let maps = match &*self.deferred {
            Deferred::Table { prefix: Prefix::Gather(steps), .. } => {
                let draw = |&i: &u32| {
                    let shape = self.set.shape(self.original(i))?;
                    pixel_map(steps, shape, &mut self.rng(i, options))
                };
                indices.iter().map(draw).collect::<Result<Vec<_>>>()?
            }
            _ => Vec::new(),
        };
        let label_values = self.labels(indices)?;
        let indices: Vec<i64> = indices.iter().map(|&i| i64::from(i)).collect();
        let (images, labels) = resident.batch(&indices, &maps)?;
        Ok(Batch { images, labels, label_values })
    }

    /// Calls `each` with every batch of `epoch` from number `first` on, in order, until
    /// it breaks. Other threads make the batches ahead: one per core, as far as memory
    /// allows.
    pub fn for_each_batch(
        &self,
        epoch: &Epoch,
        first: usize,
        options: BatchOptions,
        mut each: impl FnMut(usize, Batch) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let count = epoch.batches().saturating_sub(first);
        let threads = self.threads(epoch.batch(first), options)?;
        let mut next = first;
        let mut is_ended = false;
        let helpers = SingleHelpers::start();
        let make = |i, _: &Stop| {
            // Copies to pinned memory, for example, would start threads on each of these
            // threads.
            helpers.enter();
            self.batch(epoch.batch(first + i), options)
        };
        let made = parallel::in_order(threads, count, make, |batch| {
            next += 1;
            is_ended = each(next - 1, batch)?.is_break();
            // The remaining batches are not needed.
            if is_ended {
                Err(Error::new(ErrorKind::Cancelled, "the end"))
            } else {
                Ok(())
            }
        });
        if is_ended { Ok(()) } else { made }
    }

    /// The number of threads for batches of this size.
    fn threads(&self, batch: &[u32], options: BatchOptions) -> Result<usize> {
        let elements = self.image_shape()?.iter().product::<usize>() * batch.len();
        let bytes = elements * options.kind.elt_size_in_bytes();
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        Ok((MAX_WAITING / (2 * bytes.max(1))).clamp(1, cores.min(MAX_THREADS)))
    }
}
