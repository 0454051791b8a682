//! The weights of resampling along one axis.

use std::ops::Range;

use super::filter::Filter;

/// The number of fractional bits of a weight. Out of 32 bits, this leaves 8 for a level
/// and 2 for sums that overshoot.
pub(super) const PRECISION: u32 = 22;

/// For each output along one axis, its first input and the weights of the inputs from
/// there on.
///
/// All outputs have the same number of weights, some of which are 0: loops whose lengths
/// vary would be predicted badly by the processor.
pub(super) struct Axis {
    /// The first input of each output.
    pub first: Vec<usize>,
    /// The number of weights of each output. There are at least as many inputs.
    pub taps: usize,
    /// The weights of all outputs, one after the other.
    pub weights: Vec<i32>,
}

impl Axis {
    /// The weights for the given range of the `to` outputs that `from` inputs are
    /// filtered to.
    pub(super) fn new(
        from: usize,
        to: usize,
        outputs: Range<usize>,
        filter: &Filter,
    ) -> Self {
        Self::of_part(from, 0.0..from as f64, to, outputs, filter)
    }

    /// The same for the inputs between two coordinates, which need not be integers.
    pub(super) fn of_part(
        from: usize,
        part: Range<f64>,
        to: usize,
        outputs: Range<usize>,
        filter: &Filter,
    ) -> Self {
        let support = Support::new(from, part, to, filter);
        let length = |i: usize| support.inputs(i).len();
        let taps = outputs.clone().map(length).max().unwrap_or(0);
        let mut first = Vec::with_capacity(outputs.len());
        let mut weights = vec![0; taps * outputs.len()];
        let mut floats = Vec::with_capacity(taps);
        for (i, output) in outputs.zip(weights.chunks_exact_mut(taps.max(1))) {
            let inputs = support.inputs(i);
            // Near the end, fewer than `taps` inputs follow the first one: then the
            // weights that are 0 come before it.
            let start = inputs.start.min(from - taps);
            support.weights(i, inputs.clone(), filter, &mut floats);
            for (weight, float) in output[inputs.start - start..].iter_mut().zip(&floats)
            {
                *weight = to_fixed_point(*float);
            }
            first.push(start);
        }
        Self { first, taps, weights }
    }

    /// The inputs of all outputs.
    pub(super) fn inputs(&self) -> Range<usize> {
        let start = self.first.iter().min().copied().unwrap_or(0);
        let end = self.first.iter().max().map_or(0, |last| last + self.taps);
        start..end
    }

    /// Counts the inputs from this one on, which no output comes before.
    pub(super) fn move_inputs(&mut self, start: usize) {
        for first in &mut self.first {
            *first -= start;
        }
    }

    /// The first input of an output, and its weights.
    #[inline(always)]
    pub(super) fn output(&self, i: usize) -> (usize, &[i32]) {
        (self.first[i], &self.weights[i * self.taps..][..self.taps])
    }
}

/// The inputs within a filter's reach of each output.
struct Support {
    from: usize,
    /// Where the first output begins.
    start: f64,
    /// Inputs per output.
    scale: f64,
    /// The factor by which the filter is wider: the scale if the image shrinks.
    widened: f64,
    /// The filter's reach in inputs.
    reach: f64,
}

impl Support {
    fn new(from: usize, part: Range<f64>, to: usize, filter: &Filter) -> Self {
        let scale = (part.end - part.start) / to as f64;
        let widened = scale.max(1.0);
        let reach = filter.support * widened;
        Self { from, start: part.start, scale, widened, reach }
    }

    fn center(&self, i: usize) -> f64 {
        self.start + (i as f64 + 0.5) * self.scale
    }

    fn inputs(&self, i: usize) -> Range<usize> {
        let center = self.center(i);
        // Casts to unsigned integers saturate at 0.
        let first = (center - self.reach + 0.5) as usize;
        let last = (center + self.reach + 0.5) as usize;
        first..last.min(self.from)
    }

    /// The weights of these inputs, with a sum of 1, in place of those in `weights`.
    fn weights(
        &self,
        i: usize,
        inputs: Range<usize>,
        filter: &Filter,
        weights: &mut Vec<f64>,
    ) {
        let center = self.center(i);
        let distance = |x: usize| (x as f64 - center + 0.5) * (1.0 / self.widened);
        weights.clear();
        weights.extend(inputs.map(|x| (filter.shape)(distance(x))));
        let sum: f64 = weights.iter().sum();
        if sum != 0.0 {
            for weight in weights {
                *weight /= sum;
            }
        }
    }
}

/// A weight in fixed point, rounded to the nearest: the cast truncates.
fn to_fixed_point(weight: f64) -> i32 {
    let weight = weight * f64::from(1 << PRECISION);
    (weight + 0.5f64.copysign(weight)) as i32
}
