//! Batch norm in training, fused with the addition of a residual and with an activation.
//!
//! S. Ioffe and C. Szegedy, "Batch Normalization", 2015, as in torch.nn.BatchNorm2d. The
//! cost of such a layer is its memory traffic. For batch norm and ReLU, forward and
//! backward, ATen passes over a batch 14 times, and 17 times with a residual. These
//! kernels pass over it 8 and 12 times. Sums are computed for blocks of pixels. The blocks
//! are added up in float64 in at most 32 parts, and the parts in order, so the sums do not
//! depend on the number of threads.
#![allow(clippy::needless_range_loop, reason = "one index for several slices")]

use multiversion::multiversion;
use tch::{TchError, Tensor};

use super::activation::{Function, with_function};
use super::bridge::ffi::{
    self, Activation, BatchNormFactors, BatchNormOptions, BatchNormSlopes,
};
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
/// shape, and applies the activation. Differentiable once.
///
/// Returns `None` if the kernel does not support the input, so that ATen must be used: if
/// `x` is empty or not float32 or bfloat16 in channels-last layout on the CPU, if
/// `residual` has another dtype, shape or layout or comes with an activation other than
/// ReLU, or if parameters are not float32.
pub(crate) fn batch_norm(
    x: &Tensor,
    parameters: &Parameters,
    residual: Option<&Tensor>,
    activation: Activation,
) -> Result<Option<Tensor>, TchError> {
    if residual.is_some() && !adds_before(activation) {
        return Ok(None);
    }
    let undefined = Tensor::new();
    let [weight, bias] = match parameters.affine {
        Some([weight, bias]) => [weight, bias],
        None => [&undefined; 2],
    };
    let [running_mean, running_var] = parameters.running.unwrap_or([&undefined; 2]);
    let options = BatchNormOptions {
        momentum: parameters.momentum,
        eps: parameters.eps,
        activation,
    };
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

/// Whether the kernel can add a residual before this activation.
pub(crate) fn adds_before(activation: Activation) -> bool {
    matches!(activation, Activation::Identity | Activation::Relu)
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

/// `y = activation(x * scale + shift + residual)`, without a residual if it is empty.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq"))]
fn forward<T: Element, F: Function>(
    x: &[T],
    residual: &[T],
    factors: &BatchNormFactors,
    y: &mut [T],
) {
    let channels = factors.scale.len();
    let scale = &factors.scale[..channels];
    let shift = &factors.shift[..channels];
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
            y[c] = T::from_f32(F::value(value));
        }
    }
}

/// The sum of each channel's gradient, and of the gradient times `x - mean`, where the
/// gradient is that of the activation's input.
///
/// With a residual, the output `y` is given, and the activation is ReLU, whose gradient
/// needs only the output. If `y` is empty, the activation's input is computed again,
/// which is faster than reading it.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq"))]
fn sums<T: Element, F: Function>(
    x: &[T],
    y: &[T],
    gradient: &[T],
    factors: &BatchNormFactors,
    sum: &mut [f32],
    dot: &mut [f32],
) {
    let channels = factors.mean.len();
    let mean = &factors.mean[..channels];
    let scale = &factors.scale[..channels];
    let shift = &factors.shift[..channels];
    let sum = &mut sum[..channels];
    let dot = &mut dot[..channels];
    sum.fill(0.0);
    dot.fill(0.0);
    let has_output = !y.is_empty();
    // Without an output, the placeholder is not read.
    let y = if has_output { y } else { x };
    for (pixel, x) in x.chunks_exact(channels).enumerate() {
        let start = pixel * channels;
        let y = &y[start..start + channels];
        let gradient = &gradient[start..start + channels];
        for c in 0..channels {
            let x = x[c].to_f32();
            let value = if has_output { y[c].to_f32() } else { x * scale[c] + shift[c] };
            let gradient = F::gradient(value, gradient[c].to_f32());
            sum[c] += gradient;
            dot[c] += gradient * (x - mean[c]);
        }
    }
}

/// The gradient of x, `scale * gradient + slope * (x - mean) + offset`, where `gradient`
/// is that of the activation's input. Also the residual's gradient, if
/// `residual_gradient` is not empty. `y` is as in [`sums`].
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq"))]
fn backward<T: Element, F: Function>(
    x: &[T],
    y: &[T],
    gradient: &[T],
    factors: &BatchNormFactors,
    slopes: &BatchNormSlopes,
    x_gradient: &mut [T],
    residual_gradient: &mut [T],
) {
    let channels = factors.mean.len();
    let mean = &factors.mean[..channels];
    let scale = &factors.scale[..channels];
    let shift = &factors.shift[..channels];
    let slope = &slopes.slope[..channels];
    let offset = &slopes.offset[..channels];
    let has_output = !y.is_empty();
    let y = if has_output { y } else { x };
    let has_residual = !residual_gradient.is_empty();
    for (pixel, x_gradient) in x_gradient.chunks_exact_mut(channels).enumerate() {
        let start = pixel * channels;
        let x = &x[start..start + channels];
        let y = &y[start..start + channels];
        let gradient = &gradient[start..start + channels];
        if has_residual {
            let residual_gradient = &mut residual_gradient[start..start + channels];
            for c in 0..channels {
                let gradient = F::gradient(y[c].to_f32(), gradient[c].to_f32());
                residual_gradient[c] = T::from_f32(gradient);
            }
        }
        for c in 0..channels {
            let x = x[c].to_f32();
            let value = if has_output { y[c].to_f32() } else { x * scale[c] + shift[c] };
            let gradient = F::gradient(value, gradient[c].to_f32());
            let moved = (x - mean[c]) * slope[c] + offset[c];
            x_gradient[c] = T::from_f32(gradient * scale[c] + moved);
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
    factors: &BatchNormFactors,
    y: &mut [f32],
) {
    with_function!(factors.activation, F => forward::<f32, F>(x, residual, factors, y));
}

pub(super) fn forward_bf16(
    x: &[u16],
    residual: &[u16],
    factors: &BatchNormFactors,
    y: &mut [u16],
) {
    with_function!(factors.activation, F => forward::<u16, F>(x, residual, factors, y));
}

pub(super) fn sums_f32(
    x: &[f32],
    y: &[f32],
    gradient: &[f32],
    factors: &BatchNormFactors,
    sum: &mut [f32],
    dot: &mut [f32],
) {
    with_function!(
        factors.activation,
        F => sums::<f32, F>(x, y, gradient, factors, sum, dot)
    );
}

pub(super) fn sums_bf16(
    x: &[u16],
    y: &[u16],
    gradient: &[u16],
    factors: &BatchNormFactors,
    sum: &mut [f32],
    dot: &mut [f32],
) {
    with_function!(
        factors.activation,
        F => sums::<u16, F>(x, y, gradient, factors, sum, dot)
    );
}

pub(super) fn backward_f32(
    x: &[f32],
    y: &[f32],
    gradient: &[f32],
    factors: &BatchNormFactors,
    slopes: &BatchNormSlopes,
    x_gradient: &mut [f32],
    residual_gradient: &mut [f32],
) {
    with_function!(
        factors.activation,
        F => backward::<f32, F>(
            x, y, gradient, factors, slopes, x_gradient, residual_gradient
        )
    );
}

pub(super) fn backward_bf16(
    x: &[u16],
    y: &[u16],
    gradient: &[u16],
    factors: &BatchNormFactors,
    slopes: &BatchNormSlopes,
    x_gradient: &mut [u16],
    residual_gradient: &mut [u16],
) {
    with_function!(
        factors.activation,
        F => backward::<u16, F>(
            x, y, gradient, factors, slopes, x_gradient, residual_gradient
        )
    );
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;
    use tch::{Device, Kind};

    use super::*;
    use crate::kernel::testing::{check_exact, waves};
    use crate::tensor::{channels_last, floats};

    const ACTIVATIONS: &[Activation] = &[
        Activation::Identity,
        Activation::Relu,
        Activation::Relu6,
        Activation::Silu,
        Activation::Hardswish,
        Activation::Gelu,
    ];

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
            let gradient = channels_last(&waves(&y).to_kind(y.kind()));
            let inputs: Vec<&Tensor> = std::iter::once(&self.x)
                .chain(self.affine.iter().flatten())
                .chain(&self.residual)
                .collect();
            let mut results = Tensor::run_backward(
                &[(&y * gradient).sum(Kind::Double)],
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
            [with_affine, with_residual, with_running, bf16] in any::<[bool; 4]>(),
            activation in prop::sample::select(ACTIVATIONS),
            (offset, momentum) in (-10.0..10.0_f64, 0.01..1.0_f64),
            seed: i64,
        ) {
            let with_residual = with_residual && adds_before(activation);
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
                batch_norm(&i.x, &parameters, i.residual.as_ref(), activation).unwrap().unwrap()
            });
            // Close to 0 and 6, rounding decides what ReLU and ReLU6 do to the gradient. Use
            // our rounding for both: float32's, which the kernel computes in.
            let z = tch::no_grad(|| {
                let float = |t: &Tensor| channels_last(&t.to_kind(Kind::Float));
                let residual = inputs.residual.as_ref().map(float);
                let parameters =
                    Parameters { affine: inputs.affine.as_ref(), running: None, momentum, eps };
                batch_norm(&float(&inputs.x), &parameters, residual.as_ref(), Activation::Identity)
            });
            let z = z.unwrap().unwrap();
            let [above, below] = [z.gt(0.0), z.lt(6.0)];
            let exact = exact.results(|i| {
                let [weight, bias] = i.affine.as_ref().map_or([None, None], |[w, b]| [Some(w), Some(b)]);
                let [mean, var] = i.running.as_ref().map_or([None, None], |[m, v]| [Some(m), Some(v)]);
                let y = i.x.batch_norm(weight, bias, mean, var, true, momentum, eps, false);
                let y = i.residual.as_ref().map_or(y.shallow_clone(), |residual| y + residual);
                match activation {
                    Activation::Relu => y.where_scalarother(&above, 0.0),
                    Activation::Relu6 => y.where_scalarother(&below, 6.0).where_scalarother(&above, 0.0),
                    Activation::Silu => y.silu(),
                    Activation::Hardswish => y.hardswish(),
                    Activation::Gelu => y.gelu("none"),
                    _ => y,
                }
            });
            // Float32 is used throughout, with a mean far from 0. bfloat16 rounds the stored
            // values.
            check_exact(&ours, &exact, 1e-4)?;
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
        let y = batch_norm(&x, &parameters, Some(&residual), Activation::Relu)
            .unwrap()
            .unwrap();
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
            batch_norm(x, &parameters, residual, Activation::Identity).unwrap().is_some()
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
