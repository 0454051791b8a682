//! Images through the baked part of their pipeline into arrays: on all cores, in order.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use half::{bf16, f16};
use rayon::prelude::*;
use torchmill::dataset::{self, Dataset};
use torchmill::shard::DType;
use torchmill::transform::{self, Image, Pipeline, Sample};
use torchmill::{Error, ErrorKind, Result, interrupt};

use crate::files::CHUNK;
use crate::format::encode::{self, Encoding};
use crate::levels::Levels;
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
    /// How many randomly drawn copies of each are made; 1 where nothing random is baked.
    pub copies: usize,
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
    /// Collects the images that cannot be read; `None` where the first of them is an
    /// error.
    pub bad: Option<BadImages>,
}

/// Images that were left out: their index, where they are, and what is wrong with them.
pub type BadImages = Mutex<Vec<(usize, String, String)>>;

/// A stretch of a split, ready to be written.
pub struct Chunk {
    /// The index of each image in its split.
    pub indices: Vec<usize>,
    /// The shape of an image, `[C, H, W]`.
    pub shape: [usize; 3],
    /// What an element is.
    pub dtype: DType,
    /// `count * C * H * W` little-endian elements; empty where images are encoded one by
    /// one.
    pub pixels: Vec<u8>,
    /// Each image's own bytes, for the formats that keep them apart.
    pub encoded: Vec<Vec<u8>>,
    /// Each image's label.
    pub labels: Vec<i64>,
}

impl Job<'_> {
    /// How many images there are to write.
    pub fn len(&self) -> usize {
        self.samples.len() * self.copies
    }

    /// Bytes of pixels in one image.
    pub fn image_bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.size() as usize
    }

    /// Image `i`'s sample: all images once, then all of them again for each further copy.
    pub fn sample(&self, i: usize) -> dataset::Sample {
        self.samples[i % self.samples.len()]
    }

    /// Bakes the images of `range`, their pixels into `place`, whatever is there, and
    /// takes them from the range: all, or where each is encoded by itself and they are
    /// large, as many as a chunk should hold. `stop` is looked at between images, as
    /// Ctrl-C is.
    ///
    /// Fails on the first image that cannot be read (unless bad ones are collected) or
    /// has another shape than the others.
    pub fn chunk(
        &self,
        range: &mut Range<usize>,
        place: Vec<u8>,
        stop: &AtomicBool,
    ) -> Result<Chunk> {
        let go_on = || {
            interrupt::check()?;
            if stop.load(Ordering::Relaxed) {
                Err(Error::new(ErrorKind::Cancelled, "cancelled"))
            } else {
                Ok(())
            }
        };
        let (mut pixels, mut encoded) = (place, Vec::new());
        let indices = match self.encoding {
            Encoding::Pixels => {
                self.bake_all(range.by_ref().collect(), &mut pixels, &go_on)?
            }
            _ => self.encode_some(range, &mut encoded, &go_on)?,
        };
        Ok(Chunk {
            shape: self.shape,
            dtype: self.dtype,
            pixels,
            encoded,
            labels: indices.iter().map(|&i| self.sample(i).label.into()).collect(),
            indices,
        })
    }

    /// Bakes these images into `pixels` and returns those that came through.
    fn bake_all(
        &self,
        mut indices: Vec<usize>,
        pixels: &mut Vec<u8>,
        go_on: &(impl Fn() -> Result<()> + Sync),
    ) -> Result<Vec<usize>> {
        let size = self.image_bytes();
        let mut kept = vec![true; indices.len()];
        pixels.resize(indices.len() * size, 0);
        let steps = Steps::new(self)?;
        let jobs = pixels.par_chunks_exact_mut(size).zip(&indices).zip(&mut kept);
        let baked = jobs.map(|((place, &i), kept)| {
            go_on()?;
            *kept = self.unless_bad(i, self.bake_into(i, &steps, place))?.is_some();
            Ok(())
        });
        if let Some(error) = baked.find_map_first(Result::err) {
            return Err(error);
        }
        if kept.contains(&false) {
            close_gaps(pixels, size, &kept);
            retain(&mut indices, &kept);
        }
        Ok(indices)
    }

    /// Encodes images of `range` until they make up a chunk, and returns those that came
    /// through.
    fn encode_some(
        &self,
        range: &mut Range<usize>,
        encoded: &mut Vec<Vec<u8>>,
        go_on: &(impl Fn() -> Result<()> + Sync),
    ) -> Result<Vec<usize>> {
        let threads = rayon::current_num_threads();
        let (mut indices, mut bytes, mut block) = (Vec::new(), 0, 4 * threads);
        while bytes < CHUNK.0 && range.start < range.end {
            let images: Vec<usize> = range.by_ref().take(block).collect();
            let one = |&i: &usize| {
                go_on().map_err(Failure::Other).and_then(|()| encode::image(self, i))
            };
            let done: Vec<_> = images.par_iter().map(one).collect();
            let before = bytes;
            for (i, result) in images.into_iter().zip(done) {
                if let Some(image) = self.unless_bad(i, result)? {
                    bytes += image.len() as u64;
                    indices.push(i);
                    encoded.push(image);
                }
            }
            // Small images are not worth a meeting of the threads for every few of them.
            let mean = ((bytes - before) / block as u64).max(1);
            block = usize::try_from(CHUNK.0 / 8 / mean)
                .unwrap_or(usize::MAX)
                .clamp(4 * threads, 64 * threads);
        }
        Ok(indices)
    }

    /// Reads image `i` as for writing it, to see whether it can be.
    pub fn look_at(&self, i: usize) -> Result<(), Failure> {
        match self.encoding {
            Encoding::Pixels => self.bake(i).map(drop),
            _ => encode::image(self, i).map(drop),
        }
    }

    /// The numbers of the images that were bad, so far, in order.
    pub fn left_out(&self) -> Vec<usize> {
        let Some(bad) = &self.bad else { return Vec::new() };
        let mut left_out: Vec<_> = bad
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|&(i, ..)| i)
            .collect();
        left_out.sort_unstable();
        left_out
    }

    /// Image `i` through the baked part of the pipeline.
    pub fn bake(&self, i: usize) -> Result<Sample, Failure> {
        self.through(&self.cut.baked, i)
    }

    /// Image `i` through these steps.
    fn through(&self, steps: &Pipeline, i: usize) -> Result<Sample, Failure> {
        let sample = self.sample(i);
        let image = self.set.image(sample).map_err(Failure::Bad)?;
        // Each copy is drawn as one epoch's would be.
        let (copy, index) = (i / self.samples.len(), i % self.samples.len());
        let mut rng = transform::rng(self.seed, copy as u64, index as u64);
        let baked = steps.apply(Sample::Image(image), &mut rng);
        Ok(baked.map_err(|e| e.within(self.set.location(sample)))?)
    }

    /// `None` for a bad image where these are collected.
    pub fn unless_bad<T>(
        &self,
        i: usize,
        result: Result<T, Failure>,
    ) -> Result<Option<T>> {
        match (result, &self.bad) {
            (Ok(value), _) => Ok(Some(value)),
            (Err(Failure::Bad(error)), Some(bad)) => {
                let mut bad = bad.lock().unwrap_or_else(PoisonError::into_inner);
                bad.push((i, self.set.location(self.sample(i)), error.to_string()));
                Ok(None)
            }
            (Err(Failure::Bad(error) | Failure::Other(error)), _) => Err(error),
        }
    }

    fn bake_into(
        &self,
        i: usize,
        steps: &Steps,
        place: &mut [u8],
    ) -> Result<(), Failure> {
        let sample = self.sample(i);
        if self.cut.baked.is_empty()
            && let Some(shape) = self.set.planar_shape(sample)
        {
            self.check_shape(sample, shape)?;
            return self.set.read_planar(sample, place).map_err(Failure::Bad);
        }
        let baked = self.through(&steps.pixels, i)?;
        self.check_shape(sample, baked.shape())?;
        match (&baked, &steps.levels) {
            (Sample::Image(image), Some(levels)) => levels.lay_out(image, place)?,
            _ => lay_out(&baked, self.dtype, place),
        }
        Ok(())
    }

    /// Image `i`'s shape after the pipeline, `[C, H, W]`, and its elements as they are
    /// written.
    pub fn elements(&self, i: usize) -> Result<([usize; 3], Vec<u8>), Failure> {
        let baked = self.bake(i)?;
        let shape = baked.shape();
        if self.encoding.needs_equal_sizes() {
            self.check_shape(self.sample(i), shape)?;
        }
        let mut elements =
            vec![0; shape.iter().product::<usize>() * self.dtype.size() as usize];
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
            self.set.location(sample),
            self.first,
            self.shape
        )))
    }
}

/// The baked part of a pipeline, as it is carried out on many images.
struct Steps {
    /// What is done to pixels; all there is where `levels` is none.
    pixels: Pipeline,
    /// What is then made of each level.
    levels: Option<Levels>,
}

impl Steps {
    fn new(job: &Job) -> Result<Self> {
        let (pixels, last) = job.cut.baked.split_levels();
        let levels = |last| Levels::new(last, job.shape[0], job.dtype);
        Ok(Self {
            pixels,
            levels: Some(&last).filter(|l| !l.is_empty()).map(levels).transpose()?,
        })
    }
}

/// Why an image did not come through.
pub enum Failure {
    /// The image itself cannot be read: what `--skip-bad` leaves out.
    Bad(Error),
    /// Anything else.
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// Moves the images that are kept together.
fn close_gaps(pixels: &mut Vec<u8>, size: usize, kept: &[bool]) {
    let mut end = 0;
    for start in kept.iter().enumerate().filter(|&(_, &k)| k).map(|(i, _)| i * size) {
        if start + size <= pixels.len() {
            pixels.copy_within(start..start + size, end);
            end += size;
        }
    }
    pixels.truncate(end);
}

fn retain<T>(values: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    values.retain(|_| kept.next().is_none_or(|&k| k));
}

/// A sample's elements, channels first, as little-endian bytes.
pub fn lay_out(sample: &Sample, dtype: DType, place: &mut [u8]) {
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
pub fn to_elements(values: &[f32], dtype: DType, place: &mut [u8]) {
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
