//! Baking and writing at the same time: while one chunk is written, the next ones are
//! baked.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, sync_channel};

use torchmill::Result;

use crate::bake::{Chunk, Job};

/// How many ranges are baked at a time: while the last images of one are on some cores,
/// the next one's are on the others.
const BAKED_AT_ONCE: usize = 2;

/// Bakes `ranges` and hands their chunks to `write` with the number of the range, in
/// order. A range is one chunk, or several where images are encoded one by one and are
/// large. No more than three chunks exist at a time.
///
/// The pixels of a chunk that has been written are where a later one goes: its pages are
/// there already. Stops at the first error of either side, and on Ctrl-C.
pub fn run(
    job: &Job,
    ranges: &[Range<usize>],
    mut write: impl FnMut(usize, &Chunk) -> Result<()>,
) -> Result<()> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stop_baking = &stop;
        let bakers = [(); BAKED_AT_ONCE].map(|()| (sync_channel(0), channel()));
        let mut ends = Vec::new();
        for (k, ((send, receive), (give_back, given_back))) in
            bakers.into_iter().enumerate()
        {
            ends.push((receive, give_back));
            // `send` moves in, so that the channel closes when the last chunk is out.
            scope.spawn(move || {
                for range in ranges.iter().skip(k).step_by(BAKED_AT_ONCE) {
                    let mut range = range.clone();
                    loop {
                        let place = given_back.try_recv().unwrap_or_default();
                        let chunk = job.chunk(&mut range, place, stop_baking);
                        let failed = chunk.is_err();
                        if send.send(chunk.map(|c| (c, range.is_empty()))).is_err()
                            || failed
                        {
                            return;
                        }
                        if range.is_empty() {
                            break;
                        }
                    }
                }
            });
        }
        let mut next = |i: usize| {
            let (receive, give_back) = &ends[i % BAKED_AT_ONCE];
            loop {
                // It sends each of its chunks or an error, unless it panics: then so does
                // the scope.
                let Ok(chunk) = receive.recv() else { return Ok(()) };
                let (chunk, is_last): (Chunk, bool) = chunk?;
                write(i, &chunk)?;
                // Nobody takes it after the last chunk.
                let _ = give_back.send(chunk.pixels);
                if is_last {
                    return Ok(());
                }
            }
        };
        let result = (0..ranges.len()).try_for_each(&mut next);
        stop.store(true, Ordering::Relaxed);
        drop(ends);
        result
    })
}

/// Cuts `count` images of `bytes` each into even stretches of at most `limit` bytes, at
/// least one image each.
pub fn ranges(count: usize, bytes: usize, limit: u64) -> Vec<Range<usize>> {
    even(count, (limit / (bytes as u64).max(1)).max(1))
}

/// Cuts `count` images into even stretches of at most `most`.
fn even(count: usize, most: u64) -> Vec<Range<usize>> {
    let stretches = (count as u64).div_ceil(most).max(1);
    let cut = |i: u64| (u128::from(i) * count as u128 / u128::from(stretches)) as usize;
    (0..stretches).map(|i| cut(i)..cut(i + 1)).collect()
}

/// The same images in stretches of at most `limit` bytes and `most` images, at least one
/// image each.
pub fn smaller(
    ranges: &[Range<usize>],
    bytes: usize,
    limit: u64,
    most: u64,
) -> Vec<Range<usize>> {
    let most = (limit / (bytes as u64).max(1)).clamp(1, most.max(1));
    let cut = |range: &Range<usize>| {
        let start = range.start;
        even(range.len(), most).into_iter().map(move |r| start + r.start..start + r.end)
    };
    ranges.iter().flat_map(cut).collect()
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
    fn smaller_stretches_are_of_the_same_images() {
        assert_eq!(
            smaller(&[10..20, 20..23], 100, 400, 99),
            [10..13, 13..16, 16..20, 20..23]
        );
        assert_eq!(smaller(&[0..5, 5..7], 0, 400, 3), [0..2, 2..5, 5..7]);
    }
}
