//! A factor for each channel of each image, as in squeeze and excitation, for channels-last
//! tensors on the CPU.
//!
//! ATen computes the gradients of both factors of a product in three passes, and writes
//! two tensors of the image's size. Here it is one pass, which writes one.
#![allow(clippy::needless_range_loop, reason = "one index for several slices")]

use multiversion::multiversion;
use tch::{TchError, Tensor};

use super::bridge::ffi;
use super::bridge::{from_cpp, to_cpp};
use super::element::Element;

/// `x * factors`, for `x` of shape `[N, C, H, W]` and factors `[N, C, 1, 1]` of the same
/// dtype. Differentiable once.
///
/// Returns `None` if the kernel does not support the input, so that ATen must be used: if
/// `x` is not float32 or bfloat16 in channels-last layout on the CPU, or `factors` has
/// another dtype or shape.
pub(crate) fn gate(x: &Tensor, factors: &Tensor) -> Result<Option<Tensor>, TchError> {
    from_cpp(ffi::gate(to_cpp(x), to_cpp(factors)))
}

/// The number of pixels whose products are summed at a time. Sums of these sums lose fewer
/// digits than one sum over an image.
const PIXELS: usize = 64;

// The loops work on one image, `[pixels, channels]`. The compiler vectorises the inner
// loops over channels.

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq"))]
fn forward<T: Element>(x: &[T], factors: &[T], y: &mut [T]) {
    let channels = factors.len();
    for (pixel, y) in y.chunks_exact_mut(channels).enumerate() {
        let x = &x[pixel * channels..][..channels];
        for c in 0..channels {
            y[c] = T::from_f32(x[c].to_f32() * factors[c].to_f32());
        }
    }
}

/// The gradients of `x` and of the factors, from the gradient of the output.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq"))]
fn backward<T: Element>(
    x: &[T],
    factors: &[T],
    gradient: &[T],
    x_gradient: &mut [T],
    factor_gradient: &mut [T],
) {
    let channels = factors.len();
    let mut sums = vec![0.0; channels];
    let mut part = vec![0.0; channels];
    for first in (0..x.len()).step_by(PIXELS * channels) {
        let end = x.len().min(first + PIXELS * channels);
        part.fill(0.0);
        for start in (first..end).step_by(channels) {
            let x = &x[start..][..channels];
            let gradient = &gradient[start..][..channels];
            let x_gradient = &mut x_gradient[start..][..channels];
            for c in 0..channels {
                let gradient = gradient[c].to_f32();
                part[c] += gradient * x[c].to_f32();
                x_gradient[c] = T::from_f32(gradient * factors[c].to_f32());
            }
        }
        for c in 0..channels {
            sums[c] += part[c];
        }
    }
    for c in 0..channels {
        factor_gradient[c] = T::from_f32(sums[c]);
    }
}

// The functions that C++ calls, for each element type.

pub(super) fn gate_forward_f32(x: &[f32], factors: &[f32], y: &mut [f32]) {
    forward(x, factors, y);
}

pub(super) fn gate_forward_bf16(x: &[u16], factors: &[u16], y: &mut [u16]) {
    forward(x, factors, y);
}

pub(super) fn gate_backward_f32(
    x: &[f32],
    factors: &[f32],
    gradient: &[f32],
    x_gradient: &mut [f32],
    factor_gradient: &mut [f32],
) {
    backward(x, factors, gradient, x_gradient, factor_gradient);
}

pub(super) fn gate_backward_bf16(
    x: &[u16],
    factors: &[u16],
    gradient: &[u16],
    x_gradient: &mut [u16],
    factor_gradient: &mut [u16],
) {
    backward(x, factors, gradient, x_gradient, factor_gradient);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;
    use tch::{Device, Kind};

    use super::*;
    use crate::kernel::testing::{check_exact, results, same_on_any_threads, waves};
    use crate::tensor::channels_last;

    fn random(size: &[i64]) -> Tensor {
        channels_last(&Tensor::randn(size, (Kind::Float, Device::Cpu)))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn values_and_gradients_are_atens(
            (n, c, height, width) in (1..5_i64, 1..70_i64, 1..20_i64, 1..20_i64),
            bf16: bool,
            seed: i64,
        ) {
            tch::manual_seed(seed);
            let kind = if bf16 { Kind::BFloat16 } else { Kind::Float };
            let x = random(&[n, c, height, width]).to_kind(kind);
            let factors = random(&[n, c, 1, 1]).to_kind(kind);
            let inputs = [x, factors];
            let ours = results(&inputs, waves, |p| gate(&p[0], &p[1]).unwrap().unwrap());
            let doubles = inputs.each_ref().map(|t| t.to_kind(Kind::Double));
            let exact = results(&doubles, waves, |p| &p[0] * &p[1]);
            check_exact(&ours, &exact, 1e-6)?;
        }
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        let inputs = [random(&[9, 40, 30, 30]), random(&[9, 40, 1, 1])];
        let found = same_on_any_threads(|| {
            results(&inputs, waves, |p| gate(&p[0], &p[1]).unwrap().unwrap())
        });
        assert_eq!(found[0].stride(), inputs[0].stride());
    }

    #[test]
    fn what_is_not_supported_is_left_to_aten() {
        let x = Tensor::rand([2, 3, 4, 4], (Kind::Float, Device::Cpu));
        let factors = Tensor::rand([2, 3, 1, 1], (Kind::Float, Device::Cpu));
        let last = channels_last(&x);
        let is_none = |x: &Tensor, factors: &Tensor| gate(x, factors).unwrap().is_none();
        assert!(!is_none(&last, &factors));
        assert!(is_none(&x, &factors), "channels first");
        assert!(is_none(&last, &factors.to_kind(Kind::BFloat16)), "two dtypes");
        assert!(is_none(&last, &factors.narrow(0, 0, 1)), "the same for all images");
        assert!(is_none(&last, &x), "a factor for each pixel");
    }
}
