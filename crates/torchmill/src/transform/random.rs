//! Random numbers that depend only on the seed, the epoch and the image.

use rand::{RngExt as _, SeedableRng};

/// The generator that transforms draw from.
pub type Rng = rand_chacha::ChaCha8Rng;

/// The generator for one image in one epoch. Each (seed, epoch, index) has its own key,
/// so the numbers for an image depend neither on the number of threads nor on the images
/// before it.
pub fn rng(seed: u64, epoch: u64, index: u64) -> Rng {
    let mut key = *b"seed----epoch---index---torchmil";
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&epoch.to_le_bytes());
    key[16..24].copy_from_slice(&index.to_le_bytes());
    Rng::from_seed(key)
}

/// A generator for the image that `rng` is for, the same in each epoch.
pub(super) fn image_rng(rng: &Rng) -> Rng {
    let mut key = rng.get_seed();
    // This is not the key of any epoch's generator.
    key[8..16].copy_from_slice(b"--epoch-");
    key[24..].copy_from_slice(b"anyepoch");
    Rng::from_seed(key)
}

/// The epoch that `rng` is for.
pub(super) fn epoch_of(rng: &Rng) -> u64 {
    let mut epoch = [0; 8];
    epoch.copy_from_slice(&rng.get_seed()[8..16]);
    u64::from_le_bytes(epoch)
}

/// True with this probability.
pub(super) fn happens(p: f64, rng: &mut Rng) -> bool {
    rng.random::<f64>() < p
}

/// Uniform from `low` to `high`, which may be equal; a float32, as torch draws it.
pub(super) fn between([low, high]: [f64; 2], rng: &mut Rng) -> f64 {
    f64::from((low + (high - low) * rng.random::<f64>()) as f32)
}

/// Uniform among 0 to n - 1, for an n of at least 1.
pub(super) fn below(n: usize, rng: &mut Rng) -> usize {
    rng.random_range(0..n.max(1))
}
