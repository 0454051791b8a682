//! Which images form which batch: `DataLoader(shuffle=True, drop_last=True)`.
//!
//! Seeds are drawn from the default generator in the order of PyTorch's DataLoader, so
//! the same seed gives the same batches as in PyTorch. Starting an epoch draws one number
//! (the workers' base seed). A RandomSampler draws another, which seeds a separate
//! generator for the permutation.

use crate::generator::Generator;
use crate::weighted_sampler::WeightedSampler;

/// The order of the images in one epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epoch {
    order: Vec<u32>,
    batch_size: usize,
    batches: usize,
}

impl Epoch {
    /// Starts an epoch over `n` training images, drawing from the default generator.
    pub fn enter(
        generator: &mut Generator,
        n: usize,
        batch_size: usize,
        shuffle: bool,
        drop_last: bool,
    ) -> Self {
        enter_loader(generator);
        let order = if shuffle {
            Generator::new(generator.random_int64()).permutation(n)
        } else {
            (0..n as u32).collect()
        };
        Self::new(order, batch_size, drop_last)
    }

    /// Starts an epoch over the training images that a sampler draws from the default
    /// generator.
    pub fn enter_weighted(
        generator: &mut Generator,
        sampler: &WeightedSampler,
        batch_size: usize,
        drop_last: bool,
    ) -> Self {
        enter_loader(generator);
        Self::new(sampler.draw(generator), batch_size, drop_last)
    }

    /// One process's share of the images in `order`, which all processes have in common.
    pub fn shared(
        order: &[u32],
        batch_size: usize,
        drop_last: bool,
        share: Share,
    ) -> Self {
        Self::new(share.take(order, drop_last), batch_size, drop_last)
    }

    /// All `n` images in order, including a smaller last batch.
    pub fn sequential(n: usize, batch_size: usize) -> Self {
        Self::new((0..n as u32).collect(), batch_size, false)
    }

    /// Only the first `batches` batches.
    #[must_use]
    pub fn limited(self, batches: usize) -> Self {
        Self { batches: self.batches.min(batches), ..self }
    }

    /// The number of images in the batches.
    pub fn images(&self) -> usize {
        self.order.len().min(self.batches * self.batch_size)
    }

    fn new(order: Vec<u32>, batch_size: usize, drop_last: bool) -> Self {
        let batch_size = batch_size.max(1);
        let batches = batches(order.len(), batch_size, drop_last);
        Self { order, batch_size, batches }
    }

    /// The number of batches.
    pub fn batches(&self) -> usize {
        self.batches
    }

    /// The images of batch `i`.
    pub fn batch(&self, i: usize) -> &[u32] {
        let start = (i * self.batch_size).min(self.order.len());
        &self.order[start..(start + self.batch_size).min(self.order.len())]
    }
}

/// One process's share of an epoch's images, as in torch.utils.data.DistributedSampler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// The process's rank, from 0.
    pub rank: usize,
    /// The number of processes.
    pub size: usize,
}

impl Share {
    /// The number of images, out of `n`, for each process. With `drop_last`, up to
    /// `size - 1` images are left out. Otherwise, up to `size - 1` are repeated.
    pub fn len(self, n: usize, drop_last: bool) -> usize {
        if drop_last { n / self.size } else { n.div_ceil(self.size) }
    }

    /// Every `size`-th image from `rank` on. If there are too few for all processes, the
    /// first ones are repeated at the end.
    fn take(self, order: &[u32], drop_last: bool) -> Vec<u32> {
        let count = self.len(order.len(), drop_last);
        let mut taken = Vec::with_capacity(count);
        for i in 0..count {
            taken.push(order[(self.rank + i * self.size) % order.len()]);
        }
        taken
    }
}

/// The number of batches that `n` images make.
pub fn batches(n: usize, batch_size: usize, drop_last: bool) -> usize {
    if drop_last { n / batch_size.max(1) } else { n.div_ceil(batch_size.max(1)) }
}

/// The draw from the default generator when any DataLoader starts an epoch, the test
/// set's included.
pub fn enter_loader(generator: &mut Generator) {
    generator.random_int64();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_pytorchs() {
        // PyTorch 2.11.0 printed these (tests/golden/generator.py).
        let expected = [[[3, 2, 7, 8], [6, 1, 5, 9]], [[5, 7, 6, 9], [0, 3, 2, 1]]];
        let mut generator = Generator::new(7);
        for batches in expected {
            let epoch = Epoch::enter(&mut generator, 10, 4, true, true);
            assert_eq!(epoch.batches(), 2);
            assert_eq!(
                [epoch.batch(0), epoch.batch(1)],
                batches.each_ref().map(|b| &b[..])
            );
            enter_loader(&mut generator);
        }
    }

    #[test]
    fn a_limited_epoch_is_the_beginning_of_a_whole_one() {
        let whole = Epoch::enter(&mut Generator::new(7), 10, 4, true, false);
        let limited = whole.clone().limited(2);
        assert_eq!((limited.batches(), limited.images()), (2, 8));
        assert_eq!(
            [limited.batch(0), limited.batch(1)],
            [whole.batch(0), whole.batch(1)]
        );
        assert_eq!((whole.images(), whole.clone().limited(99)), (10, whole));
    }

    #[test]
    fn shares_are_those_of_distributed_sampler() {
        // PyTorch 2.11.0 printed these (tests/golden/sampler.py).
        let cases: [(usize, bool, &[&[u32]]); 4] = [
            (10, false, &[&[3, 0, 2, 4, 8], &[5, 1, 6, 7, 9]]),
            (10, false, &[&[3, 1, 4, 9], &[5, 2, 7, 3], &[0, 6, 8, 5]]),
            (10, true, &[&[3, 1, 4], &[5, 2, 7], &[0, 6, 8]]),
            (2, false, &[&[1], &[0], &[1], &[0], &[1]]),
        ];
        for (n, drop_last, expected) in cases {
            let size = expected.len();
            let order = Generator::new(7 + 1).permutation(n);
            for (rank, expected) in expected.iter().enumerate() {
                let share = Share { rank, size };
                let epoch = Epoch::shared(&order, 100, false, share);
                let whole = share.take(&order, drop_last);
                assert_eq!(whole, *expected);
                assert_eq!(share.len(n, drop_last), expected.len());
                assert_eq!(epoch.images(), share.len(n, false));
            }
        }
    }

    #[test]
    fn the_last_batch_is_kept_unless_dropped() {
        let epoch = Epoch::sequential(10, 4);
        assert_eq!((epoch.batches(), epoch.batch(2)), (3, &[8, 9][..]));
        assert_eq!(Epoch::enter(&mut Generator::new(0), 3, 4, false, true).batches(), 0);
    }
}
