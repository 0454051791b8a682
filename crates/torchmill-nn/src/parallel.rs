//! Work on several threads whose results are wanted in order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use torchmill::Result;

/// Calls `compute` with 0 to `count - 1` on so many threads, and `each` with the results,
/// in order, on this one. The first error in order ends it.
pub fn in_order<T: Send>(
    threads: usize,
    count: usize,
    compute: impl Fn(usize) -> Result<T> + Sync,
    mut each: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(threads);
        for _ in 0..threads.min(count) {
            let sender = sender.clone();
            scope.spawn(|| {
                let sender = sender;
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= count {
                        break;
                    }
                    // An error ends it; so does a receiver that has heard enough.
                    let result = compute(i);
                    let failed = result.is_err();
                    if sender.send((i, result)).is_err() || failed {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut wanted = 0;
        for (i, result) in receiver {
            waiting.insert(i, result);
            while let Some(result) = waiting.remove(&wanted) {
                each(result?)?;
                wanted += 1;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use torchmill::Error;

    use super::*;

    #[test]
    fn results_come_in_order_on_any_number_of_threads() {
        for threads in 1..5 {
            let mut seen = Vec::new();
            let work = |i: usize| {
                std::thread::sleep(std::time::Duration::from_millis([3, 0, 1][i % 3]));
                Ok(i * i)
            };
            in_order(threads, 20, work, |square| {
                seen.push(square);
                Ok(())
            })
            .unwrap();
            assert_eq!(seen, (0..20).map(|i| i * i).collect::<Vec<_>>());
        }
        in_order(3, 0, |_| Ok(()), |()| Err(Error::failed("there is nothing"))).unwrap();
    }

    #[test]
    fn the_first_error_in_order_ends_it() {
        let work = |i| if i % 10 == 7 { Err(Error::failed(i)) } else { Ok(i) };
        let mut seen = 0;
        let error = in_order(3, 1000, work, |_| {
            seen += 1;
            Ok(())
        });
        assert_eq!((error.unwrap_err().to_string().as_str(), seen), ("7", 7));
        let error = in_order(3, 1000, Ok, |i| {
            if i == 5 { Err(Error::failed("enough")) } else { Ok(()) }
        });
        assert_eq!(error.unwrap_err().to_string(), "enough");
    }
}
