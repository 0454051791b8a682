//! The activation functions that kernels apply to their outputs.

use super::bridge::ffi::Activation;

/// A function of one number, with its derivative.
pub(super) trait Function {
    fn value(x: f32) -> f32;

    /// The gradient of `x` from the gradient of the value.
    fn gradient(x: f32, gradient: f32) -> f32;
}

/// The number itself.
pub(super) struct Identity;

impl Function for Identity {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        x
    }

    #[inline(always)]
    fn gradient(_x: f32, gradient: f32) -> f32 {
        gradient
    }
}

/// torch.nn.ReLU. The value may be given to `gradient` in place of `x`.
pub(super) struct Relu;

impl Function for Relu {
    // As in torch.relu, NaN stays NaN and takes its gradient.
    #[inline(always)]
    fn value(x: f32) -> f32 {
        if x <= 0.0 { 0.0 } else { x }
    }

    #[inline(always)]
    fn gradient(x: f32, gradient: f32) -> f32 {
        if x <= 0.0 { 0.0 } else { gradient }
    }
}

/// torch.nn.ReLU6.
pub(super) struct Relu6;

impl Function for Relu6 {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        let x = Relu::value(x);
        if x >= 6.0 { 6.0 } else { x }
    }

    #[inline(always)]
    fn gradient(x: f32, gradient: f32) -> f32 {
        if x <= 0.0 || x >= 6.0 { 0.0 } else { gradient }
    }
}

/// torch.nn.SiLU: `x * sigmoid(x)`.
pub(super) struct Silu;

impl Function for Silu {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        x * sigmoid(x)
    }

    #[inline(always)]
    fn gradient(x: f32, gradient: f32) -> f32 {
        let sigmoid = sigmoid(x);
        gradient * (sigmoid * (1.0 + x * (1.0 - sigmoid)))
    }
}

/// torch.nn.Hardswish: `x * relu6(x + 3) / 6`.
pub(super) struct Hardswish;

impl Function for Hardswish {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        x * Relu6::value(x + 3.0) * (1.0 / 6.0)
    }

    #[inline(always)]
    fn gradient(x: f32, gradient: f32) -> f32 {
        let slope = x * (1.0 / 3.0) + 0.5;
        let slope = if x < 3.0 { slope } else { 1.0 };
        let slope = if x <= -3.0 { 0.0 } else { slope };
        gradient * slope
    }
}

/// torch.nn.GELU: `x` times the standard normal distribution function.
pub(super) struct Gelu;

impl Function for Gelu {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        x * normal(x).0
    }

    #[inline(always)]
    fn gradient(x: f32, gradient: f32) -> f32 {
        let (distribution, density) = normal(x);
        gradient * (distribution + x * density)
    }
}

/// The standard normal distribution function at `x`, within 2e-7, and the density.
///
/// As in formula 26.2.17 of M. Abramowitz and I. Stegun, "Handbook of Mathematical
/// Functions": `exp(-x^2 / 2)` times a polynomial of `1 / (1 + p |x|)`. The coefficients are
/// our own: a least-squares fit, weighted so that the largest error is lowest (C. Lawson,
/// 1961). Without rounding, the largest error is 1e-8.
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    // 1 / sqrt(2 pi)
    const DENSITY: f32 = 0.398_942_3;
    let exp = exp(-0.5 * x * x);
    let t = 1.0 / (1.0 + 0.28 * x.abs());
    let mut series = -0.105_807_82;
    for factor in [0.389_872_35, -0.236_990_89, 0.268_908_17, 0.067_497_52, 0.116_520_66]
    {
        series = series * t + factor;
    }
    let tail = exp * (series * t);
    let distribution = if x < 0.0 { tail } else { 1.0 - tail };
    (distribution, DENSITY * exp)
}

/// `1 / (1 + exp(-x))`.
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `exp(x)`, within 2e-7 of it relative to it, for `x` from -87 to 88. Values outside are
/// taken as the nearest of these. The compiler can vectorise it, unlike `f32::exp`.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding it rounds a small number to an integer, in the last bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    // ln(2) in two parts. A multiple of the first one is exact.
    const HIGH: f32 = 355.0 / 512.0;
    const LOW: f32 = (std::f64::consts::LN_2 - HIGH as f64) as f32;
    let x = x.clamp(-87.0, 88.0);
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let power = rounded - ROUND;
    // exp(x) = 2^power * exp(rest), with a rest from -ln(2) / 2 to ln(2) / 2.
    let rest = x - power * HIGH - power * LOW;
    let mut series = 1.0 / 5040.0;
    for factor in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        series = series * rest + factor;
    }
    let exponent = rounded.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127);
    series * f32::from_bits(exponent << 23)
}

/// Calls a function that is generic over an activation's [`Function`].
macro_rules! with_function {
    ($activation:expr, $name:ident => $call:expr) => {
        match $activation {
            Activation::Relu => {
                type $name = $crate::kernel::activation::Relu;
                $call
            }
            Activation::Relu6 => {
                type $name = $crate::kernel::activation::Relu6;
                $call
            }
            Activation::Silu => {
                type $name = $crate::kernel::activation::Silu;
                $call
            }
            Activation::Hardswish => {
                type $name = $crate::kernel::activation::Hardswish;
                $call
            }
            Activation::Gelu => {
                type $name = $crate::kernel::activation::Gelu;
                $call
            }
            _ => {
                type $name = $crate::kernel::activation::Identity;
                $call
            }
        }
    };
}
pub(super) use with_function;

impl Default for Activation {
    fn default() -> Self {
        Self::Identity
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tch::{Kind, Tensor};

    use super::*;
    use crate::tensor::floats;

    proptest! {
        #[test]
        fn exp_is_close(x in -87.0..88.0_f32) {
            let exact = f64::from(x).exp();
            let difference = (f64::from(exp(x)) - exact).abs();
            prop_assert!(difference <= 2e-7 * exact, "{} instead of {exact}", exp(x));
        }
    }

    /// Compares values and gradients with ATen's in float64.
    fn check<F: Function>(name: &str, aten: impl Fn(&Tensor) -> Tensor) {
        let mut x: Vec<f32> = (-4000..4000).map(|i| i as f32 / 101.0).collect();
        x.extend([0.0, -0.0, f32::MIN_POSITIVE, 1e30, -1e30, f32::NAN]);
        let exact = Tensor::from_slice(&x).to_kind(Kind::Double).set_requires_grad(true);
        let y = aten(&exact);
        let sum = y.sum(Kind::Double);
        let gradients = Tensor::run_backward(&[sum], &[&exact], false, false);
        let values = floats(&y);
        let gradients = floats(&gradients[0]);
        for (i, &x) in x.iter().enumerate() {
            for (ours, exact) in
                [(F::value(x), values[i]), (F::gradient(x, 1.0), gradients[i])]
            {
                let is_close = (ours - exact).abs() <= 1e-6 * exact.abs().max(1.0);
                let both_nan = ours.is_nan() && exact.is_nan();
                assert!(is_close || both_nan, "{name} of {x}: {ours}, PyTorch {exact}");
            }
        }
    }

    #[test]
    fn values_and_gradients_are_pytorchs() {
        check::<Identity>("identity", Tensor::shallow_clone);
        check::<Relu>("ReLU", Tensor::relu);
        check::<Relu6>("ReLU6", Tensor::relu6);
        check::<Silu>("SiLU", Tensor::silu);
        check::<Hardswish>("Hardswish", Tensor::hardswish);
        check::<Gelu>("GELU", |x| x.gelu("none"));
    }
}
