//! `RandomHorizontalFlip` and `RandomVerticalFlip`.

use super::arguments::transform;
use super::image::Sample;
use super::planes::{all, rearranged};
use super::random::{Rng, happens};
use super::step::{Step, Wrong};
use super::types::Fill;
use crate::Result;

transform! {
    /// Mirrors left and right with probability `p`.
    pub struct RandomHorizontalFlip {
        /// How likely.
        pub p: f64 = 0.5,
    }
}

transform! {
    /// Mirrors top and bottom with probability `p`.
    pub struct RandomVerticalFlip {
        /// How likely.
        pub p: f64 = 0.5,
    }
}

impl Step for RandomHorizontalFlip {
    fn check(&self) -> std::result::Result<(), Wrong> {
        Wrong::unless_probability("p", self.p)
    }

    fn is_random(&self) -> bool {
        true
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        if !happens(self.p, rng) {
            return Ok(sample);
        }
        let [_, height, width] = sample.shape();
        rearranged(&sample, &all(height), &all(width).into_iter().rev().collect(), &Fill::zero())
    }
}

impl Step for RandomVerticalFlip {
    fn check(&self) -> std::result::Result<(), Wrong> {
        Wrong::unless_probability("p", self.p)
    }

    fn is_random(&self) -> bool {
        true
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        if !happens(self.p, rng) {
            return Ok(sample);
        }
        let [_, height, width] = sample.shape();
        rearranged(&sample, &all(height).into_iter().rev().collect(), &all(width), &Fill::zero())
    }
}
