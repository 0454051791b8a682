//! torch.nn.GELU for tensors on the CPU.
//!
//! ATen's kernels reach a third to a sixth of the speed of a copy. The loops here are simple
//! enough for the compiler to vectorise them.

use multiversion::multiversion;
use tch::{TchError, Tensor};

use super::activation::{Function, Gelu};
use super::bridge::ffi;
use super::bridge::{from_cpp, to_cpp};
use super::element::Element;

/// `x` times the standard normal distribution function at `x`, in the shape of `x`.
/// Differentiable once.
///
/// Returns ATen's result if the kernel does not support the input: if `x` is empty, not
/// float32 or bfloat16, not on the CPU, or has gaps in its memory.
pub(crate) fn gelu(x: &Tensor) -> Result<Tensor, TchError> {
    match from_cpp(ffi::gelu(to_cpp(x)))? {
        Some(y) => Ok(y),
        None => x.f_gelu("none"),
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq"))]
fn forward<T: Element>(x: &[T], y: &mut [T]) {
    for (x, y) in x.iter().zip(y) {
        *y = T::from_f32(Gelu::value(x.to_f32()));
    }
}

/// The gradient of `x` from the gradient of the output.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq"))]
fn backward<T: Element>(x: &[T], gradient: &[T], x_gradient: &mut [T]) {
    let gradient = &gradient[..x.len()];
    let x_gradient = &mut x_gradient[..x.len()];
    for i in 0..x.len() {
        let slope = Gelu::gradient(x[i].to_f32(), gradient[i].to_f32());
        x_gradient[i] = T::from_f32(slope);
    }
}

// The functions that C++ calls, for each element type.

pub(super) fn gelu_forward_f32(x: &[f32], y: &mut [f32]) {
    forward(x, y);
}

pub(super) fn gelu_forward_bf16(x: &[u16], y: &mut [u16]) {
    forward(x, y);
}

pub(super) fn gelu_backward_f32(x: &[f32], gradient: &[f32], x_gradient: &mut [f32]) {
    backward(x, gradient, x_gradient);
}

pub(super) fn gelu_backward_bf16(x: &[u16], gradient: &[u16], x_gradient: &mut [u16]) {
    backward(x, gradient, x_gradient);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;
    use tch::{Device, Kind};

    use super::*;
    use crate::kernel::testing::{check_exact, results, same_on_any_threads, waves};

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn values_and_gradients_are_atens(
            (n, c, height, width) in (1..5_i64, 1..40_i64, 1..20_i64, 1..20_i64),
            layout in 0..4,
            bf16: bool,
            deviation in 0.1..5.0_f64,
            seed: i64,
        ) {
            tch::manual_seed(seed);
            let kind = if bf16 { Kind::BFloat16 } else { Kind::Float };
            let size = [n, c, height, width];
            let random = Tensor::randn(size, (Kind::Float, Device::Cpu)) * deviation;
            let x = match layout {
                0 => random,
                1 => crate::tensor::channels_last(&random),
                2 => random.transpose(1, 3),
                // With gaps: ATen computes it.
                _ => random.narrow(3, 0, (width + 1) / 2),
            };
            let x = x.to_kind(kind);
            let ours = results(&[x.shallow_clone()], waves, |p| gelu(&p[0]).unwrap());
            let exact = results(&[x.to_kind(Kind::Double)], waves, |p| p[0].gelu("none"));
            check_exact(&ours, &exact, 1e-6)?;
        }
    }

    #[test]
    fn the_layout_stays_and_the_number_of_threads_does_not_matter() {
        let x = Tensor::randn([7, 30, 40, 50], (Kind::Float, Device::Cpu));
        let x = crate::tensor::channels_last(&x);
        let found = same_on_any_threads(|| {
            results(&[x.shallow_clone()], waves, |p| gelu(&p[0]).unwrap())
        });
        assert_eq!(found[0].stride(), x.stride());
        assert_eq!(found[1].stride(), x.stride());
    }

    #[test]
    fn what_is_not_supported_is_computed_by_aten() {
        let kinds = [Kind::Double, Kind::Half, Kind::Float];
        for (kind, size) in kinds.into_iter().zip([3, 3, 0]) {
            let x = Tensor::ones([size], (kind, Device::Cpu));
            let y = gelu(&x).unwrap();
            assert_eq!((y.kind(), y.size()), (kind, vec![size]));
        }
    }
}
