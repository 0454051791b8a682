//! `RandomChoice`.

use rand::RngExt as _;

use crate::Result;
use crate::transform::Pipeline;
use crate::transform::argument::{Checked, InvalidArgument, transform};
use crate::transform::random::Rng;
use crate::transform::sample::{Sample, SampleKind, SampleSpec};
use crate::transform::step::Step;

transform! {
    /// Applies one of some transforms.
    pub struct RandomChoice {
        /// The transforms to choose from. A Compose counts as one of them.
        pub transforms: Vec<Pipeline>,
        /// The relative probability of each; `None` if they are equal.
        pub p: Option<Vec<f64>> = None,
    }
}

impl Step for RandomChoice {
    fn check(&self) -> Checked {
        let count = self.transforms.len();
        if count == 0 {
            return Err(InvalidArgument::new("transforms", "must have at least one"));
        }
        let Some(p) = &self.p else {
            return Ok(());
        };
        if p.len() != count {
            let why = format!("has {} values for {count} transforms", p.len());
            return Err(InvalidArgument::new("p", why));
        }
        let sum: f64 = p.iter().sum();
        if p.iter().any(|&x| x < 0.0) || sum <= 0.0 || !sum.is_finite() {
            return Err(InvalidArgument::new("p", "must be positive numbers"));
        }
        Ok(())
    }

    fn is_random(&self) -> bool {
        true
    }

    fn output_kind(&self, input: SampleKind) -> SampleKind {
        // `output` refuses alternatives of different kinds.
        match self.transforms.first() {
            Some(first) => first.output_kind(input),
            None => input,
        }
    }

    fn output(&self, input: SampleSpec) -> Result<SampleSpec> {
        let mut common: Option<SampleSpec> = None;
        for alternative in &self.transforms {
            let output = alternative.output(input)?;
            common = match common {
                Some(common) => Some(common.or(output)?),
                None => Some(output),
            };
        }
        Ok(common.unwrap_or(input))
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        let weights = match &self.p {
            Some(p) => p.clone(),
            None => vec![1.0; self.transforms.len()],
        };
        let mut rest = rng.random::<f64>() * weights.iter().sum::<f64>();
        for (transform, weight) in self.transforms.iter().zip(weights) {
            rest -= weight;
            if rest < 0.0 {
                return transform.apply(sample, rng);
            }
        }
        // If the sum of the weights was rounded up, the last one is chosen.
        match self.transforms.last() {
            Some(last) => last.apply(sample, rng),
            None => Ok(sample),
        }
    }
}
