//! `AutoAugment`, `RandAugment` and `TrivialAugmentWide`.

mod operation;
mod policies;

use self::operation::{Operation, RANGES, Range, WIDE_RANGES};
use super::arguments::transform;
use super::image::{Form, Image, Sample};
use super::names::names;
use super::random::{Rng, below, between, happens};
use super::rotation::check_warp;
use super::step::{Step, Wrong};
use super::types::{Fill, Interpolation};
use crate::Result;

names! {
    /// The data set that a policy was learned on.
    pub enum AutoAugmentPolicy shown |text: &str| format!("AutoAugmentPolicy.{}", text.to_uppercase()); {
        /// ImageNet.
        ImageNet = "imagenet",
        /// CIFAR-10.
        Cifar10 = "cifar10",
        /// Street View House Numbers.
        Svhn = "svhn",
    }
}

transform! {
    /// One of 25 learned pairs of operations ("AutoAugment", arXiv:1805.09501).
    pub struct AutoAugment {
        /// Which 25.
        pub policy: AutoAugmentPolicy = AutoAugmentPolicy::ImageNet,
        /// Nearest, bilinear or bicubic, for what turns, moves and shears.
        pub interpolation: Interpolation = Interpolation::Nearest,
        /// The value of what lies outside.
        pub fill: Fill = Fill::zero(),
    }
}

transform! {
    /// So many random operations of one magnitude ("RandAugment", arXiv:1909.13719).
    pub struct RandAugment {
        /// How many operations, one after the other.
        pub num_ops: usize = 2,
        /// How strong, from 0 to `num_magnitude_bins` - 1.
        pub magnitude: usize = 9,
        /// How many magnitudes there are.
        pub num_magnitude_bins: usize = 31,
        /// Nearest, bilinear or bicubic, for what turns, moves and shears.
        pub interpolation: Interpolation = Interpolation::Nearest,
        /// The value of what lies outside.
        pub fill: Fill = Fill::zero(),
    }
}

transform! {
    /// One random operation of random magnitude, over wide ranges ("TrivialAugment",
    /// arXiv:2103.10158).
    pub struct TrivialAugmentWide {
        /// How many magnitudes there are.
        pub num_magnitude_bins: usize = 31,
        /// Nearest, bilinear or bicubic, for what turns, moves and shears.
        pub interpolation: Interpolation = Interpolation::Nearest,
        /// The value of what lies outside.
        pub fill: Fill = Fill::zero(),
    }
}

/// AutoAugment's magnitudes are 0 to 9.
const POLICY_BINS: usize = 10;
/// Enough for any use, and few enough for any count of operations to end.
const MOST: usize = 1000;

impl Step for AutoAugment {
    fn check(&self) -> std::result::Result<(), Wrong> {
        self.interpolation.check_for_warping()
    }

    fn is_random(&self) -> bool {
        true
    }

    fn output(&self, input: Form) -> Result<Form> {
        check_warp(&self.fill, input)?;
        Ok(input)
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        let mut image = sample.into_image()?;
        let policies = policies::of(self.policy);
        for &(operation, p, magnitude) in &policies[below(policies.len(), rng)] {
            if happens(p, rng) {
                let range = operation::range(RANGES, operation);
                let size = (image.height, image.width);
                let by =
                    signed(range, range.magnitude(POLICY_BINS, magnitude, size), rng);
                image = operation.apply(&image, by, self.interpolation, &self.fill)?;
            }
        }
        Ok(Sample::Image(image))
    }
}

impl Step for RandAugment {
    fn check(&self) -> std::result::Result<(), Wrong> {
        check_bins(self.num_magnitude_bins)?;
        if self.num_ops > MOST {
            return Err(Wrong::new("num_ops", format!("must be at most {MOST}")));
        }
        if self.magnitude >= self.num_magnitude_bins {
            let why =
                format!("must be below num_magnitude_bins ({})", self.num_magnitude_bins);
            return Err(Wrong::new("magnitude", why));
        }
        self.interpolation.check_for_warping()
    }

    fn is_random(&self) -> bool {
        self.num_ops > 0
    }

    fn output(&self, input: Form) -> Result<Form> {
        check_warp(&self.fill, input)?;
        Ok(input)
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        let mut image = sample.into_image()?;
        for _ in 0..self.num_ops {
            let bin = |_: &mut Rng| self.magnitude;
            image = one_of(
                RANGES,
                &image,
                self.num_magnitude_bins,
                bin,
                self.interpolation,
                &self.fill,
                rng,
            )?;
        }
        Ok(Sample::Image(image))
    }
}

impl Step for TrivialAugmentWide {
    fn check(&self) -> std::result::Result<(), Wrong> {
        check_bins(self.num_magnitude_bins)?;
        self.interpolation.check_for_warping()
    }

    fn is_random(&self) -> bool {
        true
    }

    fn output(&self, input: Form) -> Result<Form> {
        check_warp(&self.fill, input)?;
        Ok(input)
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        let image = sample.into_image()?;
        let bins = self.num_magnitude_bins;
        let bin = |rng: &mut Rng| below(bins, rng);
        one_of(WIDE_RANGES, &image, bins, bin, self.interpolation, &self.fill, rng)
            .map(Sample::Image)
    }
}

/// Carries out one operation of those that have a range here; Invert is AutoAugment's
/// alone.
fn one_of(
    ranges: &[(Operation, Range)],
    image: &Image,
    bins: usize,
    bin: impl Fn(&mut Rng) -> usize,
    interpolation: Interpolation,
    fill: &Fill,
    rng: &mut Rng,
) -> Result<Image> {
    let ranges: Vec<_> =
        ranges.iter().filter(|(operation, _)| *operation != Operation::Invert).collect();
    let (operation, range) = ranges[below(ranges.len(), rng)];
    let magnitude = range.magnitude(bins, bin(rng), (image.height, image.width));
    operation.apply(image, signed(*range, magnitude, rng), interpolation, fill)
}

/// The magnitude, or as likely its negative where that makes sense.
fn signed(range: Range, magnitude: f64, rng: &mut Rng) -> f64 {
    let negative = range.is_signed() && between([0.0, 1.0], rng) < 0.5;
    if negative { -magnitude } else { magnitude }
}

fn check_bins(bins: usize) -> std::result::Result<(), Wrong> {
    if (2..=MOST).contains(&bins) {
        return Ok(());
    }
    Err(Wrong::new("num_magnitude_bins", format!("must be from 2 to {MOST}, not {bins}")))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::Tensor;
    use super::*;

    /// One operation, as the goldens name it: `ShearX 0.21`.
    pub(in super::super) fn operated(text: &str, image: &Image) -> Image {
        let (name, magnitude) = text.split_once(' ').unwrap();
        let named =
            |(operation, _): &&(Operation, Range)| format!("{operation:?}") == name;
        let (operation, _) = RANGES.iter().find(named).unwrap();
        let fill = Fill(vec![90.0]);
        operation
            .apply(image, magnitude.parse().unwrap(), Interpolation::Nearest, &fill)
            .unwrap()
    }

    /// All magnitudes of an operation, as the goldens name them: `RandAugment ShearX 31`.
    pub(in super::super) fn magnitudes(text: &str) -> Tensor {
        let [policy, name, bins] =
            text.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let ranges = if policy == "TrivialAugmentWide" { WIDE_RANGES } else { RANGES };
        let (_, range) = ranges
            .iter()
            .find(|(operation, _)| format!("{operation:?}") == name)
            .unwrap();
        let bins: usize = bins.parse().unwrap();
        let values =
            (0..bins).map(|bin| range.magnitude(bins, bin, (19, 23)) as f32).collect();
        Tensor { shape: [1, 1, bins], values }
    }
}
