//! `ColorJitter`.

use crate::Result;
use crate::transform::argument::{Checked, transform};
use crate::transform::argument_types::Spread;
use crate::transform::pixels::enhance::{MAX_FACTOR, brightness, contrast, saturation};
use crate::transform::pixels::hue::hue;
use crate::transform::random::{Rng, below, between};
use crate::transform::sample::{Image, Sample, SampleSpec};
use crate::transform::step::Step;

transform! {
    /// Changes brightness, contrast, saturation and hue at random, in a random order.
    pub struct ColorJitter {
        /// Factor: `b` for max(0, 1 - b) to 1 + b, or `(from, to)`.
        pub brightness: Option<Spread> = None,
        /// Factor, likewise.
        pub contrast: Option<Spread> = None,
        /// Factor, likewise.
        pub saturation: Option<Spread> = None,
        /// Shares of the colour circle: `h` for -h to h, or `(from, to)`, within -0.5 to
        /// 0.5.
        pub hue: Option<Spread> = None,
    }
}

/// The range of a factor, or `None` if it would change nothing.
fn factor_range(spread: Option<Spread>) -> Option<[f64; 2]> {
    let [low, high] = spread?.about(1.0);
    let range = [low.max(0.0), high];
    (range != [1.0, 1.0]).then_some(range)
}

/// The range of the hue's shift, or `None` if it would change nothing.
fn hue_range(spread: Option<Spread>) -> Option<[f64; 2]> {
    let range = spread?.about(0.0);
    (range != [0.0, 0.0]).then_some(range)
}

impl Step for ColorJitter {
    fn check(&self) -> Checked {
        let factors = [
            ("brightness", self.brightness),
            ("contrast", self.contrast),
            ("saturation", self.saturation),
        ];
        for (name, spread) in factors {
            let Some(spread) = spread else { continue };
            let low = match spread {
                // The range of a distance is cut off at the factor 0.
                Spread::By(_) => -MAX_FACTOR,
                Spread::Between(..) => 0.0,
            };
            spread.check(name, 1.0, [low, MAX_FACTOR])?;
        }
        match self.hue {
            Some(hue) => hue.check("hue", 0.0, [-0.5, 0.5]),
            None => Ok(()),
        }
    }

    fn is_random(&self) -> bool {
        true
    }

    fn output(&self, input: SampleSpec) -> Result<SampleSpec> {
        input.require_image()
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        let mut image = sample.into_image()?;
        type Change = fn(&Image, f64) -> Image;
        let mut changes: Vec<(Change, Option<[f64; 2]>)> = vec![
            (brightness, factor_range(self.brightness)),
            (contrast, factor_range(self.contrast)),
            (saturation, factor_range(self.saturation)),
            (hue, hue_range(self.hue)),
        ];
        while !changes.is_empty() {
            let (change, range) = changes.swap_remove(below(changes.len(), rng));
            if let Some(range) = range {
                image = change(&image, between(range, rng));
            }
        }
        Ok(Sample::Image(image))
    }
}
