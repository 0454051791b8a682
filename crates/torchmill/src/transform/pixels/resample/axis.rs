//! The weights of resampling along one axis.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

use super::filter::Filter;
use crate::transform::argument_types::Interpolation;

/// The number of fractional bits of a weight. Out of 32 bits, this leaves 8 for a level
/// and 2 for sums that overshoot.
pub(super) const PRECISION: u32 = 22;

/// How many axes a thread keeps: two for photographs in landscape format, and two for those
/// in portrait format.
const KEPT: usize = 4;

thread_local! {
    /// The axes that this thread used last, the latest one first.
    ///
    /// Photographs often have one of a few sizes. Computing the weights of both axes takes as
    /// long as filtering a fifth of the rows.
    static LATEST: RefCell<VecDeque<(Request, Rc<Axis>)>> =
        const { RefCell::new(VecDeque::new()) };
}

/// What an axis is computed from.
#[derive(PartialEq)]
struct Request {
    from: usize,
    to: usize,
    outputs: Range<usize>,
    interpolation: Interpolation,
}

/// For each output along one axis, its first input and the weights of the inputs from
/// there on.
///
/// All outputs have the same number of weights, some of which are 0: loops whose lengths
/// vary would be predicted badly by the processor.
#[derive(Clone)]
pub(super) struct Axis {
    /// The first input of each output.
    pub first: Vec<usize>,
    /// The number of weights of each output. There are at least as many inputs.
    pub taps: usize,
    /// The weights of all outputs, one after the other.
    pub weights: Vec<i32>,
}

impl Axis {
    /// The weights for some of the outputs, if `from` inputs are filtered to `to` outputs.
    /// They may be kept from an earlier image.
    pub(super) fn new(
        from: usize,
        to: usize,
        outputs: Range<usize>,
        filter: &Filter,
    ) -> Rc<Self> {
        let interpolation = filter.interpolation;
        let request = Request { from, to, outputs: outputs.clone(), interpolation };
        LATEST.with_borrow_mut(|latest| {
            let place = latest.iter().position(|(kept, _)| *kept == request);
            let kept = place.and_then(|place| latest.remove(place));
            let (request, axis) = kept.unwrap_or_else(|| {
                let whole = 0.0..from as f64;
                (request, Rc::new(Self::of_part(from, whole, to, outputs, filter)))
            });
            latest.truncate(KEPT - 1);
            latest.push_front((request, Rc::clone(&axis)));
            axis
        })
    }

    /// The same for the inputs between two coordinates, which need not be integers. These
    /// axes are not kept.
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

    /// The same axis, with inputs counted from `start`. No output may begin before it.
    pub(super) fn moved(self: Rc<Self>, start: usize) -> Rc<Self> {
        if start == 0 {
            return self;
        }
        let mut moved = Rc::unwrap_or_clone(self);
        for first in &mut moved.first {
            *first -= start;
        }
        Rc::new(moved)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_that_is_kept_is_the_one_that_would_be_computed() {
        let sizes = [(9, 4), (4, 9), (9, 5), (8, 4), (30, 7), (7, 7)];
        for interpolation in [Interpolation::Bilinear, Interpolation::Lanczos] {
            let filter = Filter::new(interpolation).unwrap();
            for (from, to) in sizes {
                let outputs = 1..to;
                let whole = 0.0..from as f64;
                let computed = Axis::of_part(from, whole, to, outputs.clone(), &filter);
                let found = Axis::new(from, to, outputs.clone(), &filter);
                let again = Axis::new(from, to, outputs.clone(), &filter);
                assert!(Rc::ptr_eq(&found, &again));
                // What is moved is a copy.
                let start = found.inputs().start;
                assert_eq!(found.moved(start).inputs().start, 0);
                let kept = Axis::new(from, to, outputs, &filter);
                assert!(Rc::ptr_eq(&kept, &again));
                assert_eq!(kept.first, computed.first);
                assert_eq!(kept.weights, computed.weights);
            }
        }
    }

    #[test]
    fn a_thread_keeps_the_latest_axes() {
        let filter = Filter::new(Interpolation::Bilinear).unwrap();
        let axis = |from: usize| Axis::new(from, 4, 0..4, &filter);
        let all: Vec<_> = (10..10 + KEPT + 1).map(axis).collect();
        let latest = axis(10 + KEPT);
        assert!(Rc::ptr_eq(&latest, &all[KEPT]));
        assert!(!Rc::ptr_eq(&axis(10), &all[0]), "it was the first to be dropped");
    }
}
