//! Random numbers that depend on nothing but the seed, the epoch and the image.

use rand::SeedableRng;

/// The generator that transforms draw from.
pub type Rng = rand_chacha::ChaCha8Rng;

/// The generator for one image in one epoch. Each (seed, epoch, index) has its own key, so what is drawn for
/// an image never depends on the number of threads or on which image came before.
pub fn rng(seed: u64, epoch: u64, index: u64) -> Rng {
    let mut key = *b"seed----epoch---index---torchmil";
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&epoch.to_le_bytes());
    key[16..24].copy_from_slice(&index.to_le_bytes());
    Rng::from_seed(key)
}
