//! Applies the baked part of the pipeline to images, on all cores, with the results in
//! order. While one chunk is written, the next ones are baked.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use torchmill::Result;
use torchmill::parallel::{self, Stop};
use torchmill::pixels::LevelTables;
use torchmill::shard::{DType, Storage, StoredImage};
use torchmill::transform::{Image, Pipeline, Sample, SampleSpec};

use crate::elements::{ElementTables, overflows};
use crate::format::{Chunk, Encode, Format, Images};
use crate::job::{Failure, Job};
use crate::ranges;

/// The maximum bytes of pixels in a block of images that one thread encodes. A block has
/// several small images, so that threads synchronise less often, and few large ones, so
/// that it takes little memory.
const BLOCK_BYTES: u64 = 64 << 10;
/// The maximum number of images in such a block.
const BLOCK_IMAGES: u64 = 16;

/// Bakes the images of each range and passes the chunks to `write` with the number of the
/// range, in order. Stops at the first error of baking or writing, and on Ctrl-C.
///
/// In an array format a range is one chunk, baked on all cores. Other formats encode
/// images one by one, in blocks of one thread each.
pub fn in_order(
    job: &Job,
    format: &dyn Format,
    ranges: &[Range<usize>],
    mut write: impl FnMut(usize, &Chunk) -> Result<()>,
) -> Result<()> {
    let blocks = blocks(job, format, ranges);
    let threads = match format.images() {
        // While some cores bake the last images of a chunk, the others start on the next.
        Images::Array(_) => 2,
        Images::OneByOne(_) => rayon::current_num_threads(),
    };
    // A chunk's pixel buffer is reused once the chunk is written.
    let buffers = Mutex::new(Vec::new());
    let bake = |i: usize, stop: &Stop| {
        let (number, range) = &blocks[i];
        let buffer = buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let buffer = buffer.unwrap_or_else(Vec::new);
        let chunk = match format.images() {
            // The shard format, if the images have different sizes.
            Images::Array(_) if job.storage != Storage::Array => {
                store_all(job, range.clone(), stop)?
            }
            Images::Array(_) => bake_all(job, range.clone(), buffer, stop)?,
            Images::OneByOne(encoder) => encode_all(job, encoder, range.clone(), stop)?,
        };
        Ok((*number, chunk))
    };
    parallel::in_order(threads, blocks.len(), bake, |(number, chunk)| {
        write(number, &chunk)?;
        buffers.lock().unwrap_or_else(PoisonError::into_inner).push(chunk.pixels);
        Ok(())
    })
}

/// The blocks to bake: the number of the range, and the images.
fn blocks(
    job: &Job,
    format: &dyn Format,
    ranges: &[Range<usize>],
) -> Vec<(usize, Range<usize>)> {
    let mut blocks = Vec::new();
    for (number, range) in ranges.iter().enumerate() {
        let parts = match format.images() {
            Images::Array(_) => vec![range.clone()],
            Images::OneByOne(_) => {
                ranges::smaller(range, job.image_bytes(), BLOCK_BYTES, BLOCK_IMAGES)
            }
        };
        blocks.extend(parts.into_iter().map(|part| (number, part)));
    }
    blocks
}

/// Bakes the images of `range` into one array, reusing the memory of `pixels`. `stop` is
/// checked before each image.
///
/// Fails on the first image whose shape differs from the others', and on the first that
/// cannot be read, unless bad images are left out.
fn bake_all(
    job: &Job,
    range: Range<usize>,
    mut pixels: Vec<u8>,
    stop: &Stop,
) -> Result<Chunk> {
    let mut indices: Vec<usize> = range.collect();
    let size = job.image_bytes();
    let mut kept = vec![true; indices.len()];
    pixels.resize(indices.len() * size, 0);
    let steps = Steps::new(job)?;
    let images = pixels.par_chunks_exact_mut(size).zip(&indices).zip(&mut kept);
    let baked = images.map(|((out, &i), kept)| {
        stop.check()?;
        *kept = job.unless_bad(i, bake_into(job, i, &steps, out))?.is_some();
        Ok(())
    });
    if let Some(error) = baked.find_map_first(Result::err) {
        return Err(error);
    }
    if kept.contains(&false) {
        close_gaps(&mut pixels, size, &kept);
        let mut kept = kept.iter();
        indices.retain(|_| kept.next() == Some(&true));
    }
    Ok(Chunk { pixels, ..chunk(job, indices) })
}

/// Makes the images of `range`, which may differ in size, on all cores. `stop` is checked
/// before each image.
fn store_all(job: &Job, range: Range<usize>, stop: &Stop) -> Result<Chunk> {
    let store = |i: usize| {
        stop.check()?;
        job.unless_bad(i, store(job, i))
    };
    let stored: Vec<Result<Option<StoredImage>>> =
        range.clone().into_par_iter().map(store).collect();
    let mut indices = Vec::with_capacity(range.len());
    let mut images = Vec::with_capacity(range.len());
    for (i, image) in range.zip(stored) {
        if let Some(image) = image? {
            indices.push(i);
            images.push(image);
        }
    }
    Ok(Chunk { stored: images, ..chunk(job, indices) })
}

/// Image `i` as a shard stores it. Fails if train could not apply the deferred steps.
fn store(job: &Job, i: usize) -> Result<StoredImage, Failure> {
    let (bytes, [channels, height, width]) = if job.storage == Storage::Encoded {
        let (file, image) = job.file(i)?;
        (file, [image.channels, image.height, image.width])
    } else {
        let Image { width, height, channels, pixels } = job.bake(i)?.into_image()?;
        (pixels, [channels, height, width])
    };
    let deferred = &job.pipeline.deferred;
    deferred.output(SampleSpec::image([channels, height, width])).map_err(|e| {
        e.within(format_args!("{deferred} (left to train)")).within(job.location(i))
    })?;
    Ok(StoredImage { bytes, height, width })
}

/// A chunk of these images, without their bytes.
fn chunk(job: &Job, indices: Vec<usize>) -> Chunk {
    Chunk {
        labels: indices.iter().map(|&i| job.label(i)).collect(),
        indices,
        pixels: Vec::new(),
        encoded: Vec::new(),
        stored: Vec::new(),
    }
}

/// Encodes the images of `range` one by one, on this thread. `stop` is checked before
/// each image.
fn encode_all(
    job: &Job,
    encoder: &dyn Encode,
    range: Range<usize>,
    stop: &Stop,
) -> Result<Chunk> {
    let mut indices = Vec::with_capacity(range.len());
    let mut encoded = Vec::with_capacity(range.len());
    for i in range {
        stop.check()?;
        if let Some(image) = job.unless_bad(i, encoder.encode(job, i))? {
            indices.push(i);
            encoded.push(image);
        }
    }
    Ok(Chunk { encoded, ..chunk(job, indices) })
}

/// Bakes image `i` as for writing it, to see whether it can be read.
pub fn try_image(job: &Job, format: &dyn Format, i: usize) -> Result<(), Failure> {
    match format.images() {
        Images::Array(_) => job.bake(i).map(drop),
        Images::OneByOne(encoder) => encoder.encode(job, i).map(drop),
    }
}

fn bake_into(job: &Job, i: usize, steps: &Steps, out: &mut [u8]) -> Result<(), Failure> {
    if job.pipeline.baked.is_empty()
        && let Some(shape) = job.set.record_shape(job.sample(i))
    {
        job.check_shape(i, shape)?;
        let read = job.set.read_pixels(job.sample(i), job.layout, out);
        return read.map_err(Failure::Bad);
    }
    let baked = job.apply(&steps.pixels, i)?;
    job.check_shape(i, baked.shape())?;
    match (&baked, &steps.tables) {
        (Sample::Image(image), Some(tables)) => {
            tables.look_up(&image.pixels, job.layout, out);
        }
        _ => job.write_elements(&baked, out),
    }
    Ok(())
}

/// The baked part of a pipeline, in two stages.
struct Steps {
    /// The steps on pixels; all steps if there are no tables.
    pixels: Pipeline,
    /// The element that replaces each level after that.
    tables: Option<ElementTables>,
}

impl Steps {
    fn new(job: &Job) -> Result<Self> {
        let (pixels, last) = job.pipeline.baked.split_levels();
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

/// Moves the images that are kept to the front.
fn close_gaps(pixels: &mut Vec<u8>, size: usize, kept: &[bool]) {
    let mut end = 0;
    for (i, &is_kept) in kept.iter().enumerate() {
        if is_kept {
            pixels.copy_within(i * size..(i + 1) * size, end);
            end += size;
        }
    }
    pixels.truncate(end);
}
