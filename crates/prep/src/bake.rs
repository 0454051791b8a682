//! Images through the baked part of their pipeline into arrays: on all cores, in order.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use half::{bf16, f16};
use rayon::prelude::*;
use torchmill::dataset::{self, Dataset};
use torchmill::parallel::Stop;
use torchmill::pixels::{Layout, LevelTables, to_channels_first, to_channels_last};
use torchmill::shard::DType;
use torchmill::transform::{self, Pipeline, Sample};
use torchmill::{Error, Result};

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
    /// Whether a value was too large for float16.
    pub overflowed: AtomicBool,
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
    /// The images' little-endian elements, one image after the other, in the layout of
    /// [`Encoding::Pixels`]; empty if images are encoded one by one.
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

    /// Bakes the images of `range`, their pixels into `buffer`, whatever is in it. `stop`
    /// is checked before each image.
    ///
    /// Fails on the first image that cannot be read (unless bad ones are collected) or
    /// has another shape than the others.
    pub fn chunk(
        &self,
        range: Range<usize>,
        buffer: Vec<u8>,
        stop: &Stop,
    ) -> Result<Chunk> {
        let mut pixels = buffer;
        let mut encoded = Vec::new();
        let indices = match self.encoding {
            Encoding::Pixels(_) => self.bake_all(range, &mut pixels, stop)?,
            _ => self.encode_all(range, &mut encoded, stop)?,
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

    /// Bakes these images into `pixels` and returns those that could be read.
    fn bake_all(
        &self,
        range: Range<usize>,
        pixels: &mut Vec<u8>,
        stop: &Stop,
    ) -> Result<Vec<usize>> {
        let mut indices: Vec<usize> = range.collect();
        let size = self.image_bytes();
        let mut kept = vec![true; indices.len()];
        pixels.resize(indices.len() * size, 0);
        let steps = Steps::new(self)?;
        let jobs = pixels.par_chunks_exact_mut(size).zip(&indices).zip(&mut kept);
        let baked = jobs.map(|((out, &i), kept)| {
            stop.check()?;
            *kept = self.unless_bad(i, self.bake_into(i, &steps, out))?.is_some();
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

    /// Encodes these images, on this thread, and returns those that could be read.
    fn encode_all(
        &self,
        range: Range<usize>,
        encoded: &mut Vec<Vec<u8>>,
        stop: &Stop,
    ) -> Result<Vec<usize>> {
        let mut indices = Vec::with_capacity(range.len());
        for i in range {
            stop.check()?;
            if let Some(image) = self.unless_bad(i, encode::image(self, i))? {
                indices.push(i);
                encoded.push(image);
            }
        }
        Ok(indices)
    }

    /// Reads image `i` as for writing it, to see whether it can be.
    pub fn look_at(&self, i: usize) -> Result<(), Failure> {
        match self.encoding {
            Encoding::Pixels(_) => self.bake(i).map(drop),
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
        let layout = self.layout();
        if self.cut.baked.is_empty()
            && let Some(shape) = self.set.record_shape(sample)
        {
            self.check_shape(sample, shape)?;
            return self.set.read_pixels(sample, layout, place).map_err(Failure::Bad);
        }
        let baked = self.through(&steps.pixels, i)?;
        self.check_shape(sample, baked.shape())?;
        match (&baked, &steps.tables) {
            (Sample::Image(image), Some(tables)) => {
                tables.look_up(&image.pixels, layout, place);
            }
            _ => {
                self.look_for_overflow(&baked);
                write_elements(&baked, layout, self.dtype, place);
            }
        }
        Ok(())
    }

    /// Notes whether a value becomes inf as float16.
    fn look_for_overflow(&self, baked: &Sample) {
        if self.dtype == DType::Float16
            && let Sample::Tensor(tensor) = baked
            && overflows(&tensor.values)
        {
            self.overflowed.store(true, Ordering::Relaxed);
        }
    }

    /// The order in which an image's elements are written.
    fn layout(&self) -> Layout {
        match self.encoding {
            Encoding::Pixels(layout) => layout,
            _ => Layout::ChannelsFirst,
        }
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
        self.look_for_overflow(&baked);
        write_elements(&baked, self.layout(), self.dtype, &mut elements);
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

/// The baked part of a pipeline, in two.
struct Steps {
    /// What is done to pixels; all of it if there are no tables.
    pixels: Pipeline,
    /// What each level then becomes.
    tables: Option<ElementTables>,
}

impl Steps {
    fn new(job: &Job) -> Result<Self> {
        let (pixels, last) = job.cut.baked.split_levels();
        if last.is_empty() {
            return Ok(Self { pixels, tables: None });
        }
        let floats = LevelTables::new(last.levels(job.shape[0])?);
        if job.dtype == DType::Float16 && overflows(floats.tables().as_flattened()) {
            job.overflowed.store(true, Ordering::Relaxed);
        }
        Ok(Self { pixels, tables: Some(ElementTables::new(&floats, job.dtype)) })
    }
}

/// Why an image could not be baked.
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

/// Writes a sample's elements in this layout as little-endian bytes.
pub fn write_elements(sample: &Sample, layout: Layout, dtype: DType, out: &mut [u8]) {
    match (sample, layout) {
        (Sample::Image(image), Layout::ChannelsLast) => {
            out.copy_from_slice(&image.pixels);
        }
        (Sample::Image(image), Layout::ChannelsFirst) => {
            to_channels_first(&image.pixels, image.channels, out);
        }
        (Sample::Tensor(tensor), Layout::ChannelsFirst) => {
            write_floats(&tensor.values, dtype, out);
        }
        (Sample::Tensor(tensor), Layout::ChannelsLast) => {
            let mut values = vec![0.0; tensor.values.len()];
            to_channels_last(&tensor.values, tensor.shape[0], &mut values);
            write_floats(&values, dtype, out);
        }
    }
}

/// Writes float32 values as elements of `dtype`, rounded to nearest.
fn write_floats(values: &[f32], dtype: DType, out: &mut [u8]) {
    match dtype {
        DType::Float16 => write_words(values, float16_bytes, out),
        DType::BFloat16 => write_words(values, bfloat16_bytes, out),
        _ => write_words(values, f32::to_le_bytes, out),
    }
}

fn write_words<const SIZE: usize>(
    values: &[f32],
    bytes: fn(f32) -> [u8; SIZE],
    out: &mut [u8],
) {
    for (element, &value) in out.as_chunks_mut::<SIZE>().0.iter_mut().zip(values) {
        *element = bytes(value);
    }
}

/// Whether a number becomes inf as float16.
fn overflows(values: &[f32]) -> bool {
    values.iter().any(|&x| x.is_finite() && f16::from_f32(x).is_infinite())
}

fn float16_bytes(value: f32) -> [u8; 2] {
    f16::from_f32(value).to_le_bytes()
}

fn bfloat16_bytes(value: f32) -> [u8; 2] {
    bf16::from_f32(value).to_le_bytes()
}

/// The elements, as they are written, that each channel's levels become.
enum ElementTables {
    TwoBytes(LevelTables<[u8; 2]>),
    FourBytes(LevelTables<[u8; 4]>),
}

impl ElementTables {
    fn new(floats: &LevelTables<f32>, dtype: DType) -> Self {
        match dtype {
            DType::Float16 => Self::TwoBytes(floats.map(float16_bytes)),
            DType::BFloat16 => Self::TwoBytes(floats.map(bfloat16_bytes)),
            _ => Self::FourBytes(floats.map(f32::to_le_bytes)),
        }
    }

    /// Looks up an image, `[H, W, C]`, and writes its elements in this layout.
    fn look_up(&self, pixels: &[u8], layout: Layout, out: &mut [u8]) {
        match self {
            Self::TwoBytes(tables) => look_up(tables, pixels, layout, out),
            Self::FourBytes(tables) => look_up(tables, pixels, layout, out),
        }
    }
}

fn look_up<const SIZE: usize>(
    tables: &LevelTables<[u8; SIZE]>,
    pixels: &[u8],
    layout: Layout,
    out: &mut [u8],
) {
    let elements = out.as_chunks_mut::<SIZE>().0;
    match layout {
        Layout::ChannelsLast => tables.look_up(pixels, elements),
        Layout::ChannelsFirst => tables.look_up_channels_first(pixels, elements),
    }
}

/// What [`write_elements`] wrote.
pub fn float32(elements: &[u8]) -> impl Iterator<Item = f32> {
    elements.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

/// What [`write_elements`] wrote.
pub fn float16(elements: &[u8]) -> impl Iterator<Item = f16> {
    elements.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]))
}

/// What [`write_elements`] wrote.
pub fn bfloat16(elements: &[u8]) -> impl Iterator<Item = bf16> {
    elements.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]))
}

#[cfg(test)]
mod tests {
    use torchmill::transform::Image;

    use super::*;

    #[test]
    fn what_is_looked_up_is_what_the_pipeline_makes() {
        let layouts = [Layout::ChannelsLast, Layout::ChannelsFirst];
        let dtypes = [DType::Float32, DType::Float16, DType::BFloat16];
        for text in
            ["ToTensor", "ToDtype(float32, scale=True)", "ToTensor | Normalize(0.4, 0.3)"]
        {
            for channels in [1, 3] {
                let pixels =
                    (0..7 * 5 * channels).map(|i| (i * 37 % 256) as u8).collect();
                let image = Image { width: 7, height: 5, channels, pixels };
                for (layout, dtype) in layouts.map(|l| dtypes.map(|d| (l, d))).concat() {
                    check(text, &image, layout, dtype);
                }
            }
        }
    }

    fn check(text: &str, image: &Image, layout: Layout, dtype: DType) {
        let pipeline = Pipeline::parse(text).unwrap();
        let mut rng = transform::rng(0, 0, 0);
        let whole = pipeline.apply(Sample::Image(image.clone()), &mut rng).unwrap();
        let mut expected = vec![0; image.pixels.len() * dtype.size() as usize];
        write_elements(&whole, layout, dtype, &mut expected);
        let floats = LevelTables::new(pipeline.levels(image.channels).unwrap());
        let mut looked_up = vec![0; expected.len()];
        ElementTables::new(&floats, dtype).look_up(&image.pixels, layout, &mut looked_up);
        assert!(looked_up == expected, "{text}, {layout:?} {}", dtype.name());
    }
}
