//! Batch norm in training, fused with the addition of a residual and ReLU.
//!
//! S. Ioffe and C. Szegedy, "Batch Normalization", 2015, as in torch.nn.BatchNorm2d. The
//! cost of such a layer is its memory traffic. For batch norm and ReLU, forward and
//! backward, ATen passes over a batch 14 times, and 17 times with a residual. These
//! kernels pass over it 10 and 12 times. A bf16 step of a ResNet-18 with 64 images went
//! from 254 to 218 ms. Sums are computed for blocks of pixels, and the blocks are added
//! up in order in float64, so they do not depend on the number of threads.
#![allow(clippy::needless_range_loop, reason = "one index for several slices")]

use multiversion::multiversion;
use tch::{TchError, Tensor};

use super::bridge::ffi::{self, BatchNormFactors, BatchNormOptions};
use super::bridge::{from_cpp, to_cpp};
use super::element::Element;

/// The parameters of a batch norm layer.
pub(crate) struct Parameters<'a> {
    /// Weight and bias, float32 `[C]`.
    pub(crate) affine: Option<&'a [Tensor; 2]>,
    /// Mean and unbiased variance, float32 `[C]`. A step updates them.
    pub(crate) running: Option<[&'a Tensor; 2]>,
    /// The weight of this batch in the running statistics.
    pub(crate) momentum: f64,
    pub(crate) eps: f64,
}

/// Normalises each channel of `[N, C, H, W]` over the batch, adds `residual`, of the same
/// shape, and applies ReLU if `relu` is set. Differentiable once.
///
/// Returns `None` if the kernel does not support the input, so that ATen must be used: if
/// `x` is empty or not float32 or bfloat16 in channels-last layout on the CPU, if
/// `residual` has another dtype, shape or layout, or if parameters are not float32.
pub(crate) fn batch_norm(
    x: &Tensor,
    parameters: &Parameters,
    residual: Option<&Tensor>,
    relu: bool,
) -> Result<Option<Tensor>, TchError> {
    let undefined = Tensor::new();
    let [weight, bias] = match parameters.affine {
        Some([weight, bias]) => [weight, bias],
        None => [&undefined; 2],
    };
    let [running_mean, running_var] = parameters.running.unwrap_or([&undefined; 2]);
    let options =
        BatchNormOptions { momentum: parameters.momentum, eps: parameters.eps, relu };
    from_cpp(ffi::batch_norm(
        to_cpp(x),
        to_cpp(weight),
        to_cpp(bias),
        to_cpp(residual.unwrap_or(&undefined)),
        to_cpp(running_mean),
        to_cpp(running_var),
        &options,
    ))
}

// The loops work on a block of a batch's pixels, `[pixels, channels]`. The compiler
// vectorises the inner loops over channels.

/// The mean of each channel, and the sum of the squared deviations from it.
///
/// It passes over the block twice, which stays in the cache: sums of squares without the
/// mean would lose digits.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq"))]
fn statistics<T: Element>(x: &[T], mean: &mut [f32], squares: &mut [f32]) {
    let channels = mean.len();
    let squares = &mut squares[..channels];
    let share = channels as f32 / x.len() as f32;
    mean.fill(0.0);
    squares.fill(0.0);
    for x in x.chunks_exact(channels) {
        for c in 0..channels {
            mean[c] += x[c].to_f32();
        }
    }
    for c in 0..channels {
        mean[c] *= share;
    }
    for x in x.chunks_exact(channels) {
        for c in 0..channels {
            let deviation = x[c].to_f32() - mean[c];
            squares[c] += deviation * deviation;
        }
    }
}

/// `y = x * scale + shift`, plus `residual` if it is not empty, with ReLU if `relu` is set.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq"))]
fn forward<T: Element>(
    x: &[T],
    residual: &[T],
    scale: &[f32],
    shift: &[f32],
    relu: bool,
    y: &mut [T],
) {
    let channels = scale.len();
    let shift = &shift[..channels];
    let has_residual = !residual.is_empty();
    // Without a residual, the placeholder is not read.
    let residual = if has_residual { residual } else { x };
    for (pixel, y) in y.chunks_exact_mut(channels).enumerate() {
        let start = pixel * channels;
        let x = &x[start..start + channels];
        let residual = &residual[start..start + channels];
        for c in 0..channels {
            let mut value = x[c].to_f32() * scale[c] + shift[c];
            if has_residual {
                value += residual[c].to_f32();
            }
            // As in torch.relu, NaN stays NaN.
            let cut = relu && value <= 0.0;
            y[c] = T::from_f32(if cut { 0.0 } else { value });
        }
    }
}

/// The gradient before ReLU, as in ATen: 0 unless y is above 0 or NaN.
#[inline(always)]
fn before_relu<T: Element>(relu: bool, y: T, gradient: T) -> f32 {
    if relu && y.to_f32() <= 0.0 { 0.0 } else { gradient.to_f32() }
}

/// The sum of each channel's gradient, and of the gradient times `x - mean`. If `relu` is
/// set, it is the gradient of ReLU's input.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq"))]
fn sums<T: Element>(
    x: &[T],
    y: &[T],
    gradient: &[T],
    relu: bool,
    mean: &[f32],
    sum: &mut [f32],
    dot: &mut [f32],
) {
    let channels = mean.len();
    let sum = &mut sum[..channels];
    let dot = &mut dot[..channels];
    sum.fill(0.0);
    dot.fill(0.0);
    // Without ReLU, the placeholder is not read.
    let y = if relu { y } else { x };
    for (pixel, x) in x.chunks_exact(channels).enumerate() {
        let start = pixel * channels;
        let y = &y[start..start + channels];
        let gradient = &gradient[start..start + channels];
        for c in 0..channels {
            let gradient = before_relu(relu, y[c], gradient[c]);
            sum[c] += gradient;
            dot[c] += gradient * (x[c].to_f32() - mean[c]);
        }
    }
}

/// The gradient of x, `scale * gradient + slope * (x - mean) +
/// offset`. Also the residual's gradient, if `residual_gradient` is not empty.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq"))]
fn backward<T: Element>(
    x: &[T],
    y: &[T],
    gradient: &[T],
    relu: bool,
    factors: &BatchNormFactors,
    x_gradient: &mut [T],
    residual_gradient: &mut [T],
) {
    let mean = factors.mean;
    let channels = mean.len();
    let scale = &factors.scale[..channels];
    let slope = &factors.slope[..channels];
    let offset = &factors.offset[..channels];
    let y = if relu { y } else { x };
    let has_residual = !residual_gradient.is_empty();
    for (pixel, x_gradient) in x_gradient.chunks_exact_mut(channels).enumerate() {
        let start = pixel * channels;
        let x = &x[start..start + channels];
        let y = &y[start..start + channels];
        let gradient = &gradient[start..start + channels];
        if has_residual {
            let residual_gradient = &mut residual_gradient[start..start + channels];
            for c in 0..channels {
                residual_gradient[c] = T::from_f32(before_relu(relu, y[c], gradient[c]));
            }
        }
        for c in 0..channels {
            let gradient = before_relu(relu, y[c], gradient[c]);
            let shift = (x[c].to_f32() - mean[c]) * slope[c] + offset[c];
            x_gradient[c] = T::from_f32(gradient * scale[c] + shift);
        }
    }
}

// The functions that C++ calls, for each element type.

pub(super) fn statistics_f32(x: &[f32], mean: &mut [f32], squares: &mut [f32]) {
    statistics(x, mean, squares);
}

pub(super) fn statistics_bf16(x: &[u16], mean: &mut [f32], squares: &mut [f32]) {
    statistics(x, mean, squares);
}

pub(super) fn forward_f32(
    x: &[f32],
    residual: &[f32],
    scale: &[f32],
    shift: &[f32],
    relu: bool,
    y: &mut [f32],
) {
    forward(x, residual, scale, shift, relu, y);
}

pub(super) fn forward_bf16(
    x: &[u16],
    residual: &[u16],
    scale: &[f32],
    shift: &[f32],
    relu: bool,
    y: &mut [u16],
) {
    forward(x, residual, scale, shift, relu, y);
}

pub(super) fn sums_f32(
    x: &[f32],
    y: &[f32],
    gradient: &[f32],
    relu: bool,
    mean: &[f32],
    sum: &mut [f32],
    dot: &mut [f32],
) {
    sums(x, y, gradient, relu, mean, sum, dot);
}

pub(super) fn sums_bf16(
    x: &[u16],
    y: &[u16],
    gradient: &[u16],
    relu: bool,
    mean: &[f32],
    sum: &mut [f32],
    dot: &mut [f32],
) {
    sums(x, y, gradient, relu, mean, sum, dot);
}

pub(super) fn backward_f32(
    x: &[f32],
    y: &[f32],
    gradient: &[f32],
    relu: bool,
    factors: &BatchNormFactors,
    x_gradient: &mut [f32],
    residual_gradient: &mut [f32],
) {
    backward(x, y, gradient, relu, factors, x_gradient, residual_gradient);
}

pub(super) fn backward_bf16(
    x: &[u16],
    y: &[u16],
    gradient: &[u16],
    relu: bool,
    factors: &BatchNormFactors,
    x_gradient: &mut [u16],
    residual_gradient: &mut [u16],
) {
    backward(x, y, gradient, relu, factors, x_gradient, residual_gradient);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;
    use tch::{Device, Kind};

    use super::*;
    use crate::tensor::{channels_last, floats};

    /// Input, weight, bias, a residual, and the running statistics.
    struct Inputs {
        x: Tensor,
        affine: Option<[Tensor; 2]>,
        residual: Option<Tensor>,
        running: Option<[Tensor; 2]>,
    }

    impl Inputs {
        /// The same in float64, so that ATen's results are nearly exact.
        fn exact(&self) -> Self {
            let double = |t: &Tensor| t.to_kind(Kind::Double);
            Self {
                x: double(&self.x),
                affine: self.affine.as_ref().map(|a| a.each_ref().map(double)),
                residual: self.residual.as_ref().map(double),
                running: self.running.as_ref().map(|r| r.each_ref().map(double)),
            }
        }

        /// The output, all gradients and the running statistics, for an output gradient
        /// that varies.
        fn results(&mut self, norm: impl Fn(&Self) -> Tensor) -> Vec<Tensor> {
            fn learns(t: &Tensor) -> Tensor {
                t.detach().set_requires_grad(true)
            }
            self.x = learns(&self.x);
            self.affine = self.affine.as_ref().map(|a| a.each_ref().map(learns));
            self.residual = self.residual.as_ref().map(learns);
            let y = norm(self);
            // These values are exact in every dtype.
            let steps = Tensor::arange(y.numel() as i64, (Kind::Float, Device::Cpu))
                .remainder(17);
            let waves =
                channels_last(&((steps - 8) / 8).reshape(y.size()).to_kind(y.kind()));
            let inputs: Vec<&Tensor> = std::iter::once(&self.x)
                .chain(self.affine.iter().flatten())
                .chain(&self.residual)
                .collect();
            let mut results = Tensor::run_backward(
                &[(&y * waves).sum(Kind::Double)],
                &inputs,
                false,
                false,
            );
            results.push(y);
            results.extend(self.running.iter().flatten().map(Tensor::shallow_clone));
            results
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

        #[test]
        fn results_are_pytorchs(
            [n, c, height, width] in [2..6_i64, 1..70_i64, 3..24_i64, 3..24_i64],
            [with_affine, with_residual, with_running, relu, bf16] in any::<[bool; 5]>(),
            (offset, momentum) in (-10.0..10.0_f64, 0.01..1.0_f64),
            seed: i64,
        ) {
            tch::manual_seed(seed);
            let float = |size: &[i64]| Tensor::randn(size, (Kind::Float, Device::Cpu));
            let kind = if bf16 { Kind::BFloat16 } else { Kind::Float };
            let size = [n, c, height, width];
            // The mean is far from 0, relative to the deviation.
            let mut inputs = Inputs {
                x: channels_last(&(float(&size) + offset).to_kind(kind)),
                affine: with_affine.then(|| [float(&[c]), float(&[c])]),
                residual: with_residual.then(|| channels_last(&float(&size).to_kind(kind))),
                running: with_running.then(|| [float(&[c]), float(&[c]).abs()]),
            };
            let mut exact = inputs.exact();
            let eps = 1e-5;
            let ours = inputs.results(|i| {
                let running = i.running.as_ref().map(|r| [&r[0], &r[1]]);
                let parameters = Parameters { affine: i.affine.as_ref(), running, momentum, eps };
                batch_norm(&i.x, &parameters, i.residual.as_ref(), relu).unwrap().unwrap()
            });
            // Where y is close to 0, its rounding decides what ReLU does to the gradient.
            // Use our rounding for both.
            let kept = ours[ours.len() - 1 - if with_running { 2 } else { 0 }].gt(0.0);
            let exact = exact.results(|i| {
                let [weight, bias] = i.affine.as_ref().map_or([None, None], |[w, b]| [Some(w), Some(b)]);
                let [mean, var] = i.running.as_ref().map_or([None, None], |[m, v]| [Some(m), Some(v)]);
                let y = i.x.batch_norm(weight, bias, mean, var, true, momentum, eps, false);
                let y = i.residual.as_ref().map_or(y.shallow_clone(), |residual| y + residual);
                if relu { y.where_scalarother(&kept, 0.0) } else { y }
            });
            prop_assert_eq!(ours.len(), exact.len());
            for (i, (ours, exact)) in ours.iter().zip(&exact).enumerate() {
                prop_assert_eq!(ours.size(), exact.size());
                let most = |t: &Tensor| t.abs().max().double_value(&[]);
                let (difference, largest) = (most(&(ours.to_kind(Kind::Double) - exact)), most(exact));
                // Float32 is used throughout, with a mean far from 0. bfloat16 rounds the
                // stored values.
                let limit = if ours.kind() == Kind::BFloat16 { 1.0 / 256.0 } else { 1e-4 };
                prop_assert!(difference <= limit * largest.max(1.0), "{i}: {difference} of {largest}");
            }
        }
    }

    #[test]
    fn nan_stays_and_takes_its_gradient() {
        let x = channels_last(&Tensor::rand([2, 1, 2, 2], (Kind::Float, Device::Cpu)));
        let residual = Tensor::from_slice(&[f32::NAN, -9.0, 9.0, 0.0])
            .reshape([1, 1, 2, 2])
            .repeat([2, 1, 1, 1]);
        let residual = residual.set_requires_grad(true);
        let parameters =
            Parameters { affine: None, running: None, momentum: 0.1, eps: 1e-5 };
        let y = batch_norm(&x, &parameters, Some(&residual), true).unwrap().unwrap();
        let gradient =
            Tensor::run_backward(&[y.sum(Kind::Float)], &[&residual], false, false);
        assert!(floats(&y)[0].is_nan() && floats(&y)[1] == 0.0 && floats(&y)[2] > 0.0);
        assert_eq!(floats(&gradient[0])[..3], [1.0, 0.0, 1.0]);
    }

    #[test]
    fn what_is_not_supported_is_left_to_aten() {
        let x = Tensor::rand([2, 3, 4, 4], (Kind::Float, Device::Cpu));
        let parameters =
            Parameters { affine: None, running: None, momentum: 0.1, eps: 1e-5 };
        let supports = |x: &Tensor, residual: Option<&Tensor>| {
            batch_norm(x, &parameters, residual, false).unwrap().is_some()
        };
        assert!(!supports(&x, None), "channels first");
        assert!(!supports(&channels_last(&x.to_kind(Kind::Double)), None));
        assert!(
            !supports(&channels_last(&x), Some(&x)),
            "the residual is channels first"
        );
        assert!(
            !supports(&channels_last(&x), Some(&channels_last(&x.narrow(1, 0, 1)))),
            "another shape"
        );
        assert!(supports(&channels_last(&x), Some(&channels_last(&x))));
    }
}
