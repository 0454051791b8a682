//! `AugMix`.

use rand_distr::{Distribution, Gamma};

use crate::transform::argument::{Checked, InvalidArgument, transform};
use crate::transform::argument_types::{Fill, Interpolation};
use crate::transform::augment::{
    AUGMIX_RANGES, Operation, Range, Warp, mix, random_sign,
};
use crate::transform::pixels::warp::check_warp;
use crate::transform::random::{Rng, below};
use crate::transform::sample::{Image, Sample, SampleSpec};
use crate::transform::step::Step;
use crate::{Error, Result};

/// The number of magnitudes of each operation.
const BINS: usize = 10;
/// The most chains, and the most operations of one.
const MOST: usize = 100;

transform! {
    /// A weighted mean of an image and of chains of operations on it ("AugMix",
    /// arXiv:1912.02781).
    pub struct AugMix {
        /// The largest magnitude of the operations, from 1 to 10.
        pub severity: usize = 3,
        /// The number of chains.
        pub mixture_width: usize = 3,
        /// The number of operations in a chain; negative for 1, 2 or 3 at random.
        pub chain_depth: i64 = -1,
        /// The parameter of the distributions of weights.
        pub alpha: f64 = 1.0,
        /// Whether brightness, colour, contrast and sharpness are among the operations.
        pub all_ops: bool = true,
        /// Nearest, bilinear or bicubic, for operations that rotate, move and shear.
        pub interpolation: Interpolation = Interpolation::Bilinear,
        /// The value of pixels from outside the image.
        pub fill: Fill = Fill::zero(),
    }
}

impl Step for AugMix {
    fn check(&self) -> Checked {
        if !(1..=BINS).contains(&self.severity) {
            let why = format!("must be from 1 to {BINS}, not {}", self.severity);
            return Err(InvalidArgument::new("severity", why));
        }
        if !(1..=MOST).contains(&self.mixture_width) {
            let why = format!("must be from 1 to {MOST}");
            return Err(InvalidArgument::new("mixture_width", why));
        }
        if self.chain_depth > MOST as i64 {
            let why = format!("must be at most {MOST}");
            return Err(InvalidArgument::new("chain_depth", why));
        }
        if !(self.alpha > 1e-3 && self.alpha < 1e6) {
            return Err(InvalidArgument::new("alpha", "must be positive"));
        }
        self.interpolation.check_for_warp()
    }

    fn is_random(&self) -> bool {
        true
    }

    fn output(&self, input: SampleSpec) -> Result<SampleSpec> {
        check_warp(&self.fill, input)?;
        Ok(input)
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        let image = sample.into_image()?;
        let own_and_others = self.weights(2, rng)?;
        let mut weights = self.weights(self.mixture_width, rng)?;
        for weight in &mut weights {
            *weight *= own_and_others[1];
        }
        let mut chains = Vec::with_capacity(weights.len());
        for _ in 0..weights.len() {
            chains.push(self.chain(&image, rng)?);
        }
        let mixed = mix(&image, own_and_others[0], &chains, &weights);
        Ok(Sample::Image(mixed))
    }
}

impl AugMix {
    /// Draws weights that sum to 1 from a symmetric Dirichlet distribution.
    fn weights(&self, count: usize, rng: &mut Rng) -> Result<Vec<f32>> {
        let gamma = Gamma::new(self.alpha, 1.0).map_err(Error::failed)?;
        let drawn: Vec<f64> = (0..count).map(|_| gamma.sample(rng)).collect();
        // With a tiny alpha all may be 0.
        let sum = drawn.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        Ok(drawn.into_iter().map(|x| (x / sum) as f32).collect())
    }

    /// The image after a chain of random operations.
    fn chain(&self, image: &Image, rng: &mut Rng) -> Result<Image> {
        let depth = match usize::try_from(self.chain_depth) {
            Ok(depth) if depth > 0 => depth,
            _ => 1 + below(3, rng),
        };
        let last =
            if self.all_ops { AUGMIX_RANGES.len() } else { AUGMIX_RANGES.len() - 4 };
        let warp = Warp { interpolation: self.interpolation, fill: &self.fill };
        let mut image = image.clone();
        for _ in 0..depth {
            let (operation, range): (Operation, Range) = AUGMIX_RANGES[below(last, rng)];
            let bin = below(self.severity, rng);
            let magnitude = range.magnitude(BINS, bin, (image.height, image.width));
            let magnitude = random_sign(range, magnitude, rng);
            image = operation.apply(&image, magnitude, warp)?;
        }
        Ok(image)
    }
}
