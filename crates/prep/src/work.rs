//! Baking and writing at the same time: while one chunk is written, the next is baked.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, sync_channel};

use torchmill::Result;

use crate::bake::{Chunk, Job};

/// Bakes `ranges` in order and hands each chunk to `write`. No more than two chunks exist at a time.
///
/// The pixels of a chunk that has been written are where the next but one goes: its pages are there already.
/// Stops at the first error of either side, and on Ctrl-C.
pub fn run(
    job: &Job,
    ranges: &[Range<usize>],
    mut write: impl FnMut(usize, &Chunk) -> Result<()>,
) -> Result<()> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (send, receive) = sync_channel(0);
        let (give_back, given_back) = channel();
        let stop_baking = &stop;
        // `send` moves in, so that the channel closes when the last chunk is out.
        scope.spawn(move || {
            for range in ranges {
                let place = given_back.try_recv().unwrap_or_default();
                let chunk = job.chunk(range.clone(), place, stop_baking);
                let failed = chunk.is_err();
                if send.send(chunk).is_err() || failed {
                    break;
                }
            }
        });
        let result = receive.iter().enumerate().try_for_each(|(i, chunk)| {
            let chunk: Chunk = chunk?;
            write(i, &chunk)?;
            // Nobody takes it after the last chunk has been baked.
            let _ = give_back.send(chunk.pixels);
            Ok(())
        });
        stop.store(true, Ordering::Relaxed);
        drop(receive);
        result
    })
}

/// Cuts `count` images of `bytes` each into even stretches of at most `limit` bytes, at least one image each.
pub fn ranges(count: usize, bytes: usize, limit: u64) -> Vec<Range<usize>> {
    let per_file = (limit / (bytes as u64).max(1)).max(1);
    let files = (count as u64).div_ceil(per_file).max(1);
    let cut = |i: u64| (u128::from(i) * count as u128 / u128::from(files)) as usize;
    (0..files).map(|i| cut(i)..cut(i + 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_even_and_none_is_too_large() {
        let cifar = ranges(50_000, 3072, 32 << 20);
        assert_eq!(cifar.iter().map(ExactSizeIterator::len).collect::<Vec<_>>(), [10_000; 5]);
        assert_eq!(ranges(10, 100, 300), [0..2, 2..5, 5..7, 7..10]);
        assert_eq!(ranges(3, 1000, 1), [0..1, 1..2, 2..3]);
        assert_eq!(ranges(3, 1, 1000).len(), 1);
    }
}
