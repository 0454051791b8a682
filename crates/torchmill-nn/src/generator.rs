//! PyTorch's CPU random number generator, reimplemented so that its state can be saved.
//!
//! `torch.manual_seed(s)` seeds a 32-bit Mersenne Twister (M. Matsumoto, T. Nishimura,
//! "Mersenne Twister: a 623-dimensionally equidistributed uniform pseudo-random number
//! generator", 1998) as the paper's `init_genrand` does. The functions below draw from it
//! in PyTorch's order, so the same seed gives the same initial weights and batches as in
//! PyTorch. The tests compare with values from PyTorch.

use serde::{Deserialize, Serialize};

const N: usize = 624;
const M: usize = 397;

/// A Mersenne Twister, in the state that `torch.manual_seed` gives PyTorch's default
/// generator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generator {
    words: Vec<u32>,
    next: usize,
}

impl Generator {
    /// `torch.manual_seed(seed)`: only the low 32 bits count, as in PyTorch.
    pub fn new(seed: u64) -> Self {
        let mut words = vec![seed as u32];
        for i in 1..N as u32 {
            let last = words[i as usize - 1];
            words.push(
                1_812_433_253_u32.wrapping_mul(last ^ (last >> 30)).wrapping_add(i),
            );
        }
        Self { words, next: N }
    }

    /// Whether the state is valid. A state read from a file may not be.
    pub fn is_valid(&self) -> bool {
        self.words.len() == N && self.next <= N
    }

    /// The next 32 random bits.
    pub fn random(&mut self) -> u32 {
        if self.next == N {
            self.twist();
        }
        let mut y = self.words[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// The next 64 random bits: the first draw is the upper half.
    pub fn random64(&mut self) -> u64 {
        let high = u64::from(self.random());
        (high << 32) | u64::from(self.random())
    }

    /// `torch.empty((), dtype=torch.int64).random_()`: uniform over 0 to 2^63 - 1. This
    /// is how DataLoader and RandomSampler draw their seeds.
    pub fn random_int64(&mut self) -> u64 {
        self.random64() & (u64::MAX >> 1)
    }

    /// `tensor.uniform_(from, to)` for a float32 tensor of `n` elements, in row-major
    /// order.
    pub fn uniform(&mut self, n: usize, from: f32, to: f32) -> Vec<f32> {
        let draw = |_| {
            // 24 bits, the size of a float32's significand.
            let unit = (self.random() & 0x00ff_ffff) as f32 * (1.0 / 16_777_216.0);
            // PyTorch's compiler fuses this into one operation with one rounding.
            unit.mul_add(to - from, from)
        };
        (0..n).map(draw).collect()
    }

    /// `tensor.normal_(mean, std)` for a float32 tensor of `n` elements, in row-major
    /// order. It transforms pairs of uniform numbers (G. Box, M. Muller), 16 elements at
    /// a time. PyTorch's logarithm and sine depend on the processor, so the last bits may
    /// differ. For fewer than 16 elements this makes 16 draws, unlike PyTorch.
    pub fn normal(&mut self, n: usize, mean: f32, std: f32) -> Vec<f32> {
        let mut values = self.uniform(n.max(16), 0.0, 1.0);
        let transform = |block: &mut [f32]| {
            let (left, right) = block.split_at_mut(8);
            for (a, b) in left.iter_mut().zip(right) {
                // `1 - a` is in (0, 1], for the logarithm.
                let radius = (-2.0 * (1.0 - *a).ln()).sqrt();
                let theta = (2.0 * std::f64::consts::PI * f64::from(*b)) as f32;
                *a = radius * theta.cos() * std + mean;
                *b = radius * theta.sin() * std + mean;
            }
        };
        values.chunks_exact_mut(16).for_each(transform);
        if !values.len().is_multiple_of(16) {
            // As in PyTorch, the last 16 elements are drawn again.
            let start = values.len() - 16;
            values[start..].copy_from_slice(&self.uniform(16, 0.0, 1.0));
            transform(&mut values[start..]);
        }
        values.truncate(n);
        values
    }

    /// `torch.randperm(n)`: a random permutation of `0..n`.
    pub fn permutation(&mut self, n: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n as u32).collect();
        for i in 0..n.saturating_sub(1) {
            let z = self.random() as usize % (n - i);
            order.swap(i, i + z);
        }
        order
    }

    fn twist(&mut self) {
        for i in 0..N {
            let y =
                (self.words[i] & 0x8000_0000) | (self.words[(i + 1) % N] & 0x7fff_ffff);
            let mix = if y & 1 == 0 { 0 } else { 0x9908_b0df };
            self.words[i] = self.words[(i + M) % N] ^ (y >> 1) ^ mix;
        }
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    //! PyTorch 2.11.0 printed the expected values (`tests/golden/generator.py`).
    use super::*;

    #[test]
    fn uniform_and_random_are_pytorchs() {
        let mut g = Generator::new(0);
        let uniform = g.uniform(6, -0.25, 0.5);
        let expected = [
            0.122_192_442_417_144_78,
            0.326_166_331_768_035_9,
            -0.183_641_925_454_139_7,
            -0.150_977_134_704_589_84,
            -0.019_432_887_434_959_41,
            0.225_559_011_101_722_72,
        ];
        assert_eq!(uniform, expected.map(|x: f64| x as f32));
        let drawn: Vec<u64> = (0..3).map(|_| g.random_int64()).collect();
        assert_eq!(
            drawn,
            [
                827_948_490_035_658_087,
                7_815_051_614_634_499_795,
                2_691_271_404_617_651_954
            ]
        );
    }

    #[test]
    fn permutations_are_pytorchs() {
        let order = Generator::new(5).permutation(20);
        assert_eq!(
            order,
            [11, 0, 9, 10, 3, 15, 14, 18, 8, 2, 19, 6, 5, 12, 1, 7, 4, 17, 16, 13]
        );
        let order = Generator::new((1 << 40) + 3).permutation(50_000);
        assert_eq!(order[..8], [8986, 17124, 43401, 20135, 26324, 4400, 1156, 15902]);
    }
}
