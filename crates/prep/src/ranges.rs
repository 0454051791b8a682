//! Dividing images into files, and files into chunks.

use std::ops::Range;

/// The maximum bytes of pixels in a chunk, if a file is written in several chunks.
const CHUNK_BYTES: u64 = 4 << 20;
/// The maximum number of images in such a chunk.
const CHUNK_IMAGES: u64 = 4096;

/// Divides a file's images of `bytes` each into chunks.
pub fn chunks(range: &Range<usize>, bytes: usize) -> Vec<Range<usize>> {
    smaller(range, bytes, CHUNK_BYTES, CHUNK_IMAGES)
}

/// Divides `count` images of `bytes` each into even ranges of at most `limit` bytes, at
/// least one image each.
pub fn files(count: usize, bytes: usize, limit: u64) -> Vec<Range<usize>> {
    even(count, (limit / (bytes as u64).max(1)).max(1))
}

/// Divides images of these sizes in bytes into ranges of at most `limit` bytes, at least
/// one image each.
pub fn files_of_sizes(sizes: impl Iterator<Item = u64>, limit: u64) -> Vec<Range<usize>> {
    let mut files = Vec::new();
    let mut start = 0;
    let mut bytes = 0;
    let mut count = 0;
    for (i, size) in sizes.enumerate() {
        if i > start && bytes + size > limit {
            files.push(start..i);
            start = i;
            bytes = 0;
        }
        bytes += size;
        count = i + 1;
    }
    files.push(start..count);
    files
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
        let cifar = files(50_000, 3072, 32 << 20);
        assert_eq!(
            cifar.iter().map(ExactSizeIterator::len).collect::<Vec<_>>(),
            [10_000; 5]
        );
        assert_eq!(files(10, 100, 300), [0..2, 2..5, 5..7, 7..10]);
        assert_eq!(files(3, 1000, 1), [0..1, 1..2, 2..3]);
        assert_eq!(files(3, 1, 1000).len(), 1);
    }

    #[test]
    fn files_of_different_sizes_are_filled_in_order() {
        let files = |sizes: &[u64]| files_of_sizes(sizes.iter().copied(), 100);
        assert_eq!(files(&[40, 60, 1, 200, 5]), [0..2, 2..3, 3..4, 4..5]);
        assert_eq!(files(&[101]).len(), 1);
        assert_eq!((files(&[]).len(), files(&[])[0].len()), (1, 0));
    }

    #[test]
    fn smaller_ranges_are_of_the_same_images() {
        assert_eq!(smaller(&(10..20), 100, 400, 99), [10..13, 13..16, 16..20]);
        assert_eq!(smaller(&(0..5), 0, 400, 3), [0..2, 2..5]);
    }
}
