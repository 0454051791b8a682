//! `RandomHorizontalFlip` and `RandomVerticalFlip`.

use super::arguments::transform;
use super::planes::{Sources, all};
use super::random::{Rng, happens};
use super::rearrangement::Rearrangement;
use super::step::{Step, Wrong};
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

    fn rearrangement(
        &self,
        height: usize,
        width: usize,
        rng: &mut Rng,
    ) -> Result<Option<Rearrangement>> {
        let mirrored = happens(self.p, rng);
        let columns = if mirrored { reversed(width) } else { all(width) };
        Ok(Some(Rearrangement::whole(all(height), columns)))
    }
}

impl Step for RandomVerticalFlip {
    fn check(&self) -> std::result::Result<(), Wrong> {
        Wrong::unless_probability("p", self.p)
    }

    fn is_random(&self) -> bool {
        true
    }

    fn rearrangement(
        &self,
        height: usize,
        width: usize,
        rng: &mut Rng,
    ) -> Result<Option<Rearrangement>> {
        let mirrored = happens(self.p, rng);
        let rows = if mirrored { reversed(height) } else { all(height) };
        Ok(Some(Rearrangement::whole(rows, all(width))))
    }
}

/// n - 1 to 0.
fn reversed(n: usize) -> Sources {
    (0..n).rev().map(Some).collect()
}
