//! `torch.utils.data.WeightedRandomSampler` with replacement, where the class of an image
//! determines its weight. It draws from the default generator as PyTorch does, so the
//! same seed gives the same batches.

use torchmill::recipe::{Sampler, SamplerRule, SamplerWeights};
use torchmill::{Error, Result};

use crate::generator::Generator;

/// Draws the images of an epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightedSampler {
    /// For each image, the probability of drawing it or an earlier one.
    cumulative: Vec<f64>,
    samples: usize,
}

impl WeightedSampler {
    /// A sampler of images with these labels. `counts` has the name of each class and its
    /// number of images.
    pub fn new(
        sampler: &Sampler,
        labels: &[i64],
        counts: &[(String, u64)],
    ) -> Result<Self> {
        let Sampler::WeightedRandomSampler { weights, .. } = sampler;
        let weights = class_weights(weights, counts)?;
        let mut cumulative = Vec::with_capacity(labels.len());
        let mut sum = 0.0;
        for &label in labels {
            sum += weights[label as usize];
            cumulative.push(sum);
        }
        if sum <= 0.0 {
            return Err(Error::usage(
                "[train] sampler.weights are 0 for every class that has training images",
            ));
        }
        for value in &mut cumulative {
            *value /= sum;
        }
        if let Some(last) = cumulative.last_mut() {
            *last = 1.0;
        }
        Ok(Self { cumulative, samples: sampler.samples(labels.len()) })
    }

    /// Draws the images of an epoch, as `torch.multinomial` does with float64 weights.
    pub fn draw(&self, generator: &mut Generator) -> Vec<u32> {
        let mut drawn = Vec::with_capacity(self.samples);
        for _ in 0..self.samples {
            let uniform = unit(generator);
            drawn.push(self.cumulative.partition_point(|&c| c < uniform) as u32);
        }
        drawn
    }
}

/// `torch.rand((), dtype=torch.float64)`: uniform, 53 bits.
fn unit(generator: &mut Generator) -> f64 {
    const BITS: u32 = 53;
    let bits = generator.random64() & ((1 << BITS) - 1);
    bits as f64 / (1_u64 << BITS) as f64
}

fn class_weights(weights: &SamplerWeights, counts: &[(String, u64)]) -> Result<Vec<f64>> {
    match weights {
        SamplerWeights::Rule(SamplerRule::Balanced) => {
            // A class without images is never drawn, whatever its weight.
            Ok(counts.iter().map(|(_, count)| 1.0 / (*count).max(1) as f64).collect())
        }
        SamplerWeights::List(list) if list.len() == counts.len() => Ok(list.clone()),
        SamplerWeights::List(list) => Err(Error::usage(format_args!(
            "[train] sampler.weights has {} values, but there are {} classes",
            list.len(),
            counts.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::sampler::{Epoch, enter_loader};

    fn sampler(weights: SamplerWeights) -> Sampler {
        Sampler::WeightedRandomSampler { weights, num_samples: None }
    }

    fn counts(counts: &[u64]) -> Vec<(String, u64)> {
        counts.iter().enumerate().map(|(i, &count)| (i.to_string(), count)).collect()
    }

    #[test]
    fn batches_are_pytorchs() {
        // PyTorch 2.11.0 printed these (tests/golden/sampler.py).
        let expected = [[[4, 8, 6, 8], [7, 5, 6, 6]], [[3, 1, 3, 7], [0, 9, 3, 9]]];
        let labels = [0, 0, 0, 1, 1, 2, 2, 3, 3, 3];
        let weights = SamplerWeights::List(vec![0.1, 0.4, 1.0, 0.3]);
        let sampler =
            WeightedSampler::new(&sampler(weights), &labels, &counts(&[3, 2, 2, 3]))
                .unwrap();
        let mut generator = Generator::new(7);
        for batches in expected {
            let epoch = Epoch::enter_weighted(&mut generator, &sampler, 4, true);
            assert_eq!(epoch.batches(), 2);
            assert_eq!(
                [epoch.batch(0), epoch.batch(1)],
                batches.each_ref().map(|b| &b[..])
            );
        }
        let next = generator.random_int64();
        assert_eq!(next, 4_248_338_348_643_367_113);
        enter_loader(&mut generator);
    }

    #[test]
    fn balanced_classes_are_drawn_equally_often() {
        let labels: Vec<i64> = (0..1000).map(|i| i64::from(i % 10 == 0)).collect();
        let rule = SamplerWeights::Rule(SamplerRule::Balanced);
        let balanced =
            WeightedSampler::new(&sampler(rule), &labels, &counts(&[900, 100, 0]))
                .unwrap();
        let drawn = balanced.draw(&mut Generator::new(0));
        let rare = drawn.iter().filter(|&&i| labels[i as usize] == 1).count();
        assert!((450..550).contains(&rare), "{rare} of {}", drawn.len());
        let few = SamplerWeights::List(vec![1.0]);
        let error = WeightedSampler::new(&sampler(few), &labels, &counts(&[900, 100]));
        assert!(error.unwrap_err().to_string().contains("has 1 values"));
        let zero = SamplerWeights::List(vec![0.0, 0.0, 1.0]);
        let error =
            WeightedSampler::new(&sampler(zero), &labels, &counts(&[900, 100, 0]));
        assert!(error.unwrap_err().to_string().contains("are 0 for every class"));
    }
}
