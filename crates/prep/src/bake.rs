//! Images through the baked part of their pipeline into arrays: on all cores, in order.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use half::{bf16, f16};
use rayon::prelude::*;
use torchmill::dataset::{self, Dataset};
use torchmill::shard::DType;
use torchmill::transform::{self, Image, Sample};
use torchmill::{Error, Result, interrupt};

use crate::format::encode::{self, Encoding};
use crate::pipelines::Cut;

/// The images of one split and what becomes of them.
pub struct Job<'a> {
    /// The data set.
    pub set: &'a Dataset,
    /// `train`, `test`, `val`.
    pub split: String,
    /// The split's samples, in order.
    pub samples: Vec<dataset::Sample>,
    /// What is done to them.
    pub cut: Cut,
    /// What an element becomes.
    pub dtype: DType,
    /// Seeds what is drawn at random.
    pub seed: u64,
    /// What is kept of an image.
    pub encoding: Encoding,
    /// The shape of the first image, `[C, H, W]`, which the others must have.
    pub shape: [usize; 3],
    /// Where the first image came from.
    pub first: String,
}

/// A stretch of a split, ready to be written.
pub struct Chunk {
    /// The index of the first image in its split.
    pub start: usize,
    /// The shape of an image, `[C, H, W]`.
    pub shape: [usize; 3],
    /// What an element is.
    pub dtype: DType,
    /// `count * C * H * W` little-endian elements; empty where images are encoded one by one.
    pub pixels: Vec<u8>,
    /// Each image's own bytes, for the formats that keep them apart.
    pub encoded: Vec<Vec<u8>>,
    /// Each image's label.
    pub labels: Vec<i64>,
    /// Where each image came from.
    pub sources: Vec<String>,
}

impl Job<'_> {
    /// How many images are written.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Bytes of pixels in one image.
    pub fn image_bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.size() as usize
    }

    /// Bakes the images of `range`. `stop` is looked at between images, as Ctrl-C is.
    ///
    /// Fails on the first image that cannot be read or has another shape than the others.
    pub fn chunk(&self, range: Range<usize>, stop: &AtomicBool) -> Result<Chunk> {
        let samples = &self.samples[range.clone()];
        let mut chunk = Chunk {
            start: range.start,
            shape: self.shape,
            dtype: self.dtype,
            pixels: Vec::new(),
            encoded: Vec::new(),
            labels: samples.iter().map(|s| s.label.into()).collect(),
            sources: samples.iter().map(|&s| self.set.source(s)).collect(),
        };
        let go_on = || {
            interrupt::check()?;
            if stop.load(Ordering::Relaxed) { Err(Error::ClosedPipe) } else { Ok(()) }
        };
        let failed = if self.encoding == Encoding::Pixels {
            chunk.pixels = vec![0; samples.len() * self.image_bytes()];
            let places = chunk.pixels.par_chunks_exact_mut(self.image_bytes());
            let jobs = places.zip(samples.par_iter()).zip(range.into_par_iter());
            jobs.map(|((place, &sample), i)| go_on().and_then(|()| self.bake_into(sample, i, place)))
                .find_map_first(Result::err)
        } else {
            chunk.encoded = vec![Vec::new(); samples.len()];
            let places = chunk.encoded.par_iter_mut();
            let jobs = places.zip(samples.par_iter()).zip(range.into_par_iter());
            jobs.map(|((place, &sample), i)| {
                go_on().and_then(|()| encode::image(self, sample, i)).map(|bytes| *place = bytes)
            })
            .find_map_first(Result::err)
        };
        failed.map_or(Ok(chunk), Err)
    }

    /// Image `i` through the baked part of the pipeline.
    pub fn bake(&self, sample: dataset::Sample, i: usize) -> Result<Sample> {
        let image = self.set.image(sample)?;
        // Nothing random is baked unless copies are drawn, so that the generator is for those alone.
        let mut rng = transform::rng(self.seed, 0, i as u64);
        let baked = self.cut.baked.apply(Sample::Image(image), &mut rng);
        baked.map_err(|e| e.within(self.set.place(sample)))
    }

    fn bake_into(&self, sample: dataset::Sample, i: usize, place: &mut [u8]) -> Result<()> {
        if self.cut.baked.steps().is_empty()
            && let Some((planar, shape)) = self.set.planar(sample)
        {
            self.check_shape(sample, shape)?;
            place.copy_from_slice(planar);
            return Ok(());
        }
        let baked = self.bake(sample, i)?;
        self.check_shape(sample, baked.shape())?;
        lay_out(&baked, self.dtype, place);
        Ok(())
    }

    /// Image `i`'s shape after the pipeline, `[C, H, W]`, and its elements as they are written.
    pub fn elements(&self, sample: dataset::Sample, i: usize) -> Result<([usize; 3], Vec<u8>)> {
        let baked = self.bake(sample, i)?;
        let shape = baked.shape();
        if self.encoding.needs_equal_sizes() {
            self.check_shape(sample, shape)?;
        }
        let mut elements = vec![0; shape.iter().product::<usize>() * self.dtype.size() as usize];
        lay_out(&baked, self.dtype, &mut elements);
        Ok((shape, elements))
    }

    fn check_shape(&self, sample: dataset::Sample, shape: [usize; 3]) -> Result<()> {
        if shape == self.shape {
            return Ok(());
        }
        let [_, height, width] = self.shape;
        Err(Error::failed(format_args!(
            "{}: is {shape:?} ([channels, height, width]) after the pipeline, but {} is {:?}, and all must be \
             of one size: put Resize(({height}, {width})), or Resize({height}) | CenterCrop({height}), into the \
             pipeline",
            self.set.place(sample),
            self.first,
            self.shape
        )))
    }
}

/// A sample's elements, channels first, as little-endian bytes.
fn lay_out(sample: &Sample, dtype: DType, place: &mut [u8]) {
    match sample {
        Sample::Image(image) => to_planar(image, place),
        Sample::Tensor(tensor) => to_elements(&tensor.values, dtype, place),
    }
}

/// Channels last to channels first.
fn to_planar(image: &Image, place: &mut [u8]) {
    let plane = (image.width * image.height).max(1);
    for (c, out) in place.chunks_exact_mut(plane).enumerate() {
        for (to, pixel) in out.iter_mut().zip(image.pixels.chunks_exact(image.channels)) {
            *to = pixel[c];
        }
    }
}

/// float32 values as elements of `dtype`, rounded to nearest.
fn to_elements(values: &[f32], dtype: DType, place: &mut [u8]) {
    match dtype {
        DType::Float16 => {
            for (to, &v) in place.chunks_exact_mut(2).zip(values) {
                to.copy_from_slice(&f16::from_f32(v).to_le_bytes());
            }
        }
        DType::BFloat16 => {
            for (to, &v) in place.chunks_exact_mut(2).zip(values) {
                to.copy_from_slice(&bf16::from_f32(v).to_le_bytes());
            }
        }
        _ => {
            for (to, &v) in place.chunks_exact_mut(4).zip(values) {
                to.copy_from_slice(&v.to_le_bytes());
            }
        }
    }
}

/// What [`to_elements`] wrote.
pub fn float32(elements: &[u8]) -> impl Iterator<Item = f32> {
    elements.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

/// What [`to_elements`] wrote.
pub fn float16(elements: &[u8]) -> impl Iterator<Item = f16> {
    elements.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]))
}

/// What [`to_elements`] wrote.
pub fn bfloat16(elements: &[u8]) -> impl Iterator<Item = bf16> {
    elements.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]))
}
