//! `RandomVerticalFlip`.

use crate::Result;
use crate::transform::argument::{Checked, check_probability, transform};
use crate::transform::pixel_map::{PixelMap, identity, reversed};
use crate::transform::random::{Rng, happens};
use crate::transform::step::Step;

transform! {
    /// Mirrors top and bottom with probability `p`.
    pub struct RandomVerticalFlip {
        /// The probability.
        pub p: f64 = 0.5,
    }
}

impl Step for RandomVerticalFlip {
    fn check(&self) -> Checked {
        check_probability("p", self.p)
    }

    fn is_random(&self) -> bool {
        true
    }

    fn pixel_map(
        &self,
        height: usize,
        width: usize,
        rng: &mut Rng,
    ) -> Result<Option<PixelMap>> {
        if !happens(self.p, rng) {
            return Ok(Some(PixelMap::identity(height, width)));
        }
        Ok(Some(PixelMap::without_fill(reversed(height), identity(width))))
    }
}
