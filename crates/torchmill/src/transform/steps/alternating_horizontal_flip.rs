//! `AlternatingHorizontalFlip`, which torchvision does not have.
//!
//! K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024 (arXiv 2404.00498).

use rand::RngExt as _;

use crate::Result;
use crate::transform::argument::transform;
use crate::transform::pixel_map::{PixelMap, identity, reversed};
use crate::transform::random::{Rng, epoch_of, image_rng};
use crate::transform::step::Step;

transform! {
    /// Mirrors left and right in every other epoch. Which images are mirrored in the
    /// first epoch is drawn once, so that half of the images are mirrored in each epoch,
    /// and two epochs in a row have each image both ways.
    pub struct AlternatingHorizontalFlip {}
}

impl Step for AlternatingHorizontalFlip {
    fn is_random(&self) -> bool {
        true
    }

    fn pixel_map(
        &self,
        height: usize,
        width: usize,
        rng: &mut Rng,
    ) -> Result<Option<PixelMap>> {
        let is_first: bool = image_rng(rng).random();
        let is_even = epoch_of(rng).is_multiple_of(2);
        if is_first != is_even {
            return Ok(Some(PixelMap::identity(height, width)));
        }
        Ok(Some(PixelMap::without_fill(identity(height), reversed(width))))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::transform::random::rng;

    fn is_mirrored(seed: u64, epoch: u64, image: u64) -> bool {
        let mut rng = rng(seed, epoch, image);
        // Numbers that other transforms have drawn before do not matter.
        let _: u64 = rng.random();
        let map = AlternatingHorizontalFlip {}.pixel_map(1, 2, &mut rng);
        map.unwrap().unwrap().columns == [Some(1), Some(0)]
    }

    #[test]
    fn an_image_is_mirrored_in_every_other_epoch() {
        let mut first = 0;
        for image in 0..1_000 {
            let mirrored: Vec<bool> = (0..4).map(|e| is_mirrored(7, e, image)).collect();
            assert_eq!(mirrored[1], !mirrored[0]);
            assert_eq!(mirrored[2..], mirrored[..2]);
            first += usize::from(mirrored[0]);
        }
        assert!((450..550).contains(&first), "{first} of 1000");
    }
}
