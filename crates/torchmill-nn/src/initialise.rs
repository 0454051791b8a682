//! PyTorch's initialisation, layer by layer and in PyTorch's order of draws: the default,
//! and the functions of torch.nn.init.
//!
//! Conv2d and Linear: `kaiming_uniform_(weight, a=sqrt(5))`, which is uniform within
//! `1/sqrt(fan_in)`, and a bias uniform within the same bound (torch/nn/modules/linear.py
//! and conv.py). tch's own constructors use a bound sqrt(6) times wider, with which
//! networks train visibly worse.

use tch::{TchError, Tensor};
use torchmill::recipe::{FanMode, Init, Nonlinearity};
use torchmill::{Error, Result};

use crate::generator::Generator;
use crate::tensor::f_floats;
use crate::torch_error;

/// Draws a tensor of this shape, in row-major order, as a torch.nn.init function does.
pub fn draw(init: &Init, generator: &mut Generator, shape: &[i64]) -> Result<Vec<f32>> {
    let n = shape.iter().product::<i64>() as usize;
    let symmetric = |generator: &mut Generator, bound: f64| {
        generator.uniform(n, -bound as f32, bound as f32)
    };
    Ok(match *init {
        Init::Zeros {} => vec![0.0; n],
        Init::Ones {} => vec![1.0; n],
        Init::Constant { val } => vec![val as f32; n],
        Init::Uniform { a, b } => generator.uniform(n, a as f32, b as f32),
        Init::Normal { mean, std } => generator.normal(n, mean as f32, std as f32),
        Init::TruncNormal { mean, std, a, b } => {
            let low = normal_cdf((a - mean) / std);
            let high = normal_cdf((b - mean) / std);
            let uniform =
                generator.uniform(n, (2.0 * low - 1.0) as f32, (2.0 * high - 1.0) as f32);
            trunc_normal(&uniform, mean, std, [a, b]).map_err(|e| torch_error(&e))?
        }
        Init::XavierUniform { gain } => {
            symmetric(generator, 3.0_f64.sqrt() * xavier_std(shape, gain)?)
        }
        Init::XavierNormal { gain } => {
            generator.normal(n, 0.0, xavier_std(shape, gain)? as f32)
        }
        Init::KaimingUniform { a, mode, nonlinearity } => symmetric(
            generator,
            3.0_f64.sqrt() * kaiming_std(shape, a, mode, nonlinearity)?,
        ),
        Init::KaimingNormal { a, mode, nonlinearity } => {
            generator.normal(n, 0.0, kaiming_std(shape, a, mode, nonlinearity)? as f32)
        }
        Init::Dirac { groups, .. } => dirac(shape, groups)?,
        Init::Whitening { .. } => {
            return Err(Error::usage("whitening_ is for a Conv2d's weight"));
        }
    })
}

/// The normal distribution's cumulative distribution function.
fn normal_cdf(x: f64) -> f64 {
    let erf = Tensor::from(x / 2.0_f64.sqrt()).erf().double_value(&[]);
    f64::midpoint(1.0, erf)
}

/// Turns uniform numbers into numbers between the limits, with the inverse of the
/// distribution function, as PyTorch does.
fn trunc_normal(
    uniform: &[f32],
    mean: f64,
    std: f64,
    [a, b]: [f64; 2],
) -> Result<Vec<f32>, TchError> {
    let standard = Tensor::f_from_slice(uniform)?.f_erfinv()?;
    let scaled = standard.f_mul_scalar(std * 2.0_f64.sqrt())?.f_add_scalar(mean)?;
    f_floats(&scaled.f_clamp(a, b)?)
}

/// Ones in the middle of the kernel, where the output's index is the input's.
fn dirac(shape: &[i64], groups: i64) -> Result<Vec<f32>> {
    let &[outputs, inputs, height, width] = shape else {
        return Err(Error::usage("dirac_ is for a Conv2d's weight"));
    };
    if groups < 1 || outputs % groups != 0 {
        return Err(Error::usage(format_args!(
            "dirac_: groups = {groups} does not divide {outputs} output channels"
        )));
    }
    let window = height * width;
    let middle = (height / 2) * width + width / 2;
    let outputs_per_group = outputs / groups;
    let mut values = vec![0.0; (outputs * inputs * window) as usize];
    for group in 0..groups {
        for input in 0..inputs.min(outputs_per_group) {
            let output = group * outputs_per_group + input;
            let place = (output * inputs + input) * window + middle;
            values[place as usize] = 1.0;
        }
    }
    Ok(values)
}

/// Fills each output of `new` that is all zeros from `old`. Both have this number of
/// outputs along their first dimension.
pub fn keep_rest(new: &mut [f32], old: &[f32], outputs: usize) {
    let length = new.len() / outputs.max(1);
    if length == 0 {
        return;
    }
    for (new, old) in new.chunks_exact_mut(length).zip(old.chunks_exact(length)) {
        if new.iter().all(|x| *x == 0.0) {
            new.copy_from_slice(old);
        }
    }
}

/// `[fan_in, fan_out]` of a weight of this shape.
fn fans(shape: &[i64]) -> Result<[f64; 2]> {
    let &[out, within, ref window @ ..] = shape else {
        return Err(Error::usage(
            "xavier and kaiming initialisation are for weights, not for biases",
        ));
    };
    let window: i64 = window.iter().product();
    Ok([(within * window) as f64, (out * window) as f64])
}

fn xavier_std(shape: &[i64], gain: f64) -> Result<f64> {
    let [fan_in, fan_out] = fans(shape)?;
    Ok(gain * (2.0 / (fan_in + fan_out)).sqrt())
}

fn kaiming_std(
    shape: &[i64],
    a: f64,
    mode: FanMode,
    nonlinearity: Nonlinearity,
) -> Result<f64> {
    let [fan_in, fan_out] = fans(shape)?;
    let gain = match nonlinearity {
        Nonlinearity::LeakyRelu => (2.0 / (1.0 + a.powi(2))).sqrt(),
        Nonlinearity::Relu => 2.0_f64.sqrt(),
        Nonlinearity::Tanh => 5.0 / 3.0,
        Nonlinearity::Linear => 1.0,
    };
    let fan = if mode == FanMode::FanIn { fan_in } else { fan_out };
    Ok(gain / fan.sqrt())
}

/// The default weight and bias of a Conv2d or Linear layer, in row-major order. The
/// weight's shape is `[out, in/groups, ...]`.
pub fn weight_and_bias(
    generator: &mut Generator,
    shape: &[i64],
    bias: bool,
) -> (Vec<f32>, Option<Vec<f32>>) {
    let outputs = shape[0] as usize;
    let fan_in = shape[1..].iter().product::<i64>() as usize;
    let bound = kaiming_bound(fan_in);
    let weight = generator.uniform(outputs * fan_in, -bound, bound);
    let bound = if fan_in == 0 { 0.0 } else { (1.0 / (fan_in as f64).sqrt()) as f32 };
    (weight, bias.then(|| generator.uniform(outputs, -bound, bound)))
}

/// `sqrt(3) * gain / sqrt(fan_in)` with the gain of a leaky ReLU of slope sqrt(5),
/// rounded where PyTorch converts Python's floats to float32, so that the draws agree to
/// the last bit.
fn kaiming_bound(fan_in: usize) -> f32 {
    let gain = (2.0 / (1.0 + 5.0_f64.sqrt().powi(2))).sqrt();
    let std = gain / (fan_in.max(1) as f64).sqrt();
    (3.0_f64.sqrt() * std) as f32
}
