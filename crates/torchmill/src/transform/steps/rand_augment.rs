//! `RandAugment`.

use crate::Result;
use crate::transform::argument::{Checked, InvalidArgument, transform};
use crate::transform::argument_types::{Fill, Interpolation};
use crate::transform::augment::{MAX_COUNT, RANGES, Warp, apply_one, check_bins};
use crate::transform::pixels::warp::check_warp;
use crate::transform::random::Rng;
use crate::transform::sample::{Sample, SampleSpec};
use crate::transform::step::Step;

transform! {
    /// Applies a number of random operations of one magnitude ("RandAugment",
    /// arXiv:1909.13719).
    pub struct RandAugment {
        /// The number of operations, one after the other.
        pub num_ops: usize = 2,
        /// The magnitude, from 0 to `num_magnitude_bins` - 1.
        pub magnitude: usize = 9,
        /// The number of magnitudes.
        pub num_magnitude_bins: usize = 31,
        /// Nearest, bilinear or bicubic, for operations that rotate, move and shear.
        pub interpolation: Interpolation = Interpolation::Nearest,
        /// The value of pixels from outside the image.
        pub fill: Fill = Fill::zero(),
    }
}

impl Step for RandAugment {
    fn check(&self) -> Checked {
        let bins = self.num_magnitude_bins;
        check_bins(bins)?;
        if self.num_ops > MAX_COUNT {
            let why = format!("must be at most {MAX_COUNT}");
            return Err(InvalidArgument::new("num_ops", why));
        }
        if self.magnitude >= bins {
            let why = format!("must be below num_magnitude_bins ({bins})");
            return Err(InvalidArgument::new("magnitude", why));
        }
        self.interpolation.check_for_warp()
    }

    fn is_random(&self) -> bool {
        self.num_ops > 0
    }

    fn output(&self, input: SampleSpec) -> Result<SampleSpec> {
        check_warp(&self.fill, input)?;
        Ok(input)
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        let mut image = sample.into_image()?;
        let warp = Warp { interpolation: self.interpolation, fill: &self.fill };
        let bin = |_: &mut Rng| self.magnitude;
        for _ in 0..self.num_ops {
            let bins = self.num_magnitude_bins;
            image = apply_one(RANGES, &image, bins, bin, warp, rng)?;
        }
        Ok(Sample::Image(image))
    }
}
