//! Baking and writing at the same time: while one chunk is written, the next ones are
//! baked.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use torchmill::Result;
use torchmill::parallel::{self, Stop};

use crate::bake::{Chunk, Job};
use crate::format::encode::Encoding;

/// The most bytes of pixels, and the most images, of a block of images that are encoded
/// one by one on one thread. Threads should not meet for every small image, and a block
/// of large ones should not take much memory.
const BLOCK_BYTES: u64 = 64 << 10;
const BLOCK_IMAGES: u64 = 16;

/// Bakes the images of each range and passes the chunks to `write` with the number of the
/// range, in order. Stops at the first error of either side, and on Ctrl-C.
///
/// A range of arrays is one chunk, baked on all cores. Images with bytes of their own come in blocks, each encoded on one thread.
pub fn run(
    job: &Job,
    ranges: &[Range<usize>],
    mut write: impl FnMut(usize, &Chunk) -> Result<()>,
) -> Result<()> {
    let blocks = blocks(job, ranges);
    let threads = match job.encoding {
        // While the last images of one chunk are on some cores, the next one's are on the
        // others.
        Encoding::Pixels(_) => 2,
        _ => rayon::current_num_threads(),
    };
    // Where the pixels of a chunk were that has been written, a later one's go: the memory
    // is mapped already.
    let buffers = Mutex::new(Vec::new());
    let bake = |i: usize, stop: &Stop| {
        let (number, range) = &blocks[i];
        let buffer = buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let chunk = job.chunk(range.clone(), buffer.unwrap_or_else(Vec::new), stop)?;
        Ok((*number, chunk))
    };
    parallel::in_order(threads, blocks.len(), bake, |(number, chunk)| {
        write(number, &chunk)?;
        buffers.lock().unwrap_or_else(PoisonError::into_inner).push(chunk.pixels);
        Ok(())
    })
}

/// What is baked at a time: each block's range number and images.
fn blocks(job: &Job, ranges: &[Range<usize>]) -> Vec<(usize, Range<usize>)> {
    let mut blocks = Vec::new();
    for (i, range) in ranges.iter().enumerate() {
        match job.encoding {
            Encoding::Pixels(_) => blocks.push((i, range.clone())),
            _ => {
                let size = job.image_bytes();
                let parts = smaller(range, size, BLOCK_BYTES, BLOCK_IMAGES);
                blocks.extend(parts.into_iter().map(|part| (i, part)));
            }
        }
    }
    blocks
}

/// Divides `count` images of `bytes` each into even ranges of at most `limit` bytes, at
/// least one image each.
pub fn ranges(count: usize, bytes: usize, limit: u64) -> Vec<Range<usize>> {
    even(count, (limit / (bytes as u64).max(1)).max(1))
}

/// Divides `count` images into even ranges of at most `most`.
fn even(count: usize, most: u64) -> Vec<Range<usize>> {
    let parts = (count as u64).div_ceil(most).max(1);
    let start = |i: u64| (u128::from(i) * count as u128 / u128::from(parts)) as usize;
    (0..parts).map(|i| start(i)..start(i + 1)).collect()
}

/// Divides a range into smaller ones of at most `limit` bytes and `most` images, at least
/// one image each.
pub fn smaller(
    range: &Range<usize>,
    bytes: usize,
    limit: u64,
    most: u64,
) -> Vec<Range<usize>> {
    let most = (limit / (bytes as u64).max(1)).clamp(1, most.max(1));
    let parts = even(range.len(), most).into_iter();
    parts.map(|part| range.start + part.start..range.start + part.end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_even_and_none_is_too_large() {
        let cifar = ranges(50_000, 3072, 32 << 20);
        assert_eq!(
            cifar.iter().map(ExactSizeIterator::len).collect::<Vec<_>>(),
            [10_000; 5]
        );
        assert_eq!(ranges(10, 100, 300), [0..2, 2..5, 5..7, 7..10]);
        assert_eq!(ranges(3, 1000, 1), [0..1, 1..2, 2..3]);
        assert_eq!(ranges(3, 1, 1000).len(), 1);
    }

    #[test]
    fn smaller_ranges_are_of_the_same_images() {
        assert_eq!(smaller(&(10..20), 100, 400, 99), [10..13, 13..16, 16..20]);
        assert_eq!(smaller(&(0..5), 0, 400, 3), [0..2, 2..5]);
    }
}
