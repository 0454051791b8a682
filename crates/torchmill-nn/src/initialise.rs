//! PyTorch's default initialisation, layer by layer, drawn in PyTorch's order.
//!
//! Conv2d and Linear: `kaiming_uniform_(weight, a=sqrt(5))`, which is uniform within
//! `1/sqrt(fan_in)`, and a bias uniform within the same bound (torch/nn/modules/linear.py and conv.py).
//! tch's own constructors use a bound sqrt(6) times wider, with which networks train visibly worse.

use crate::generator::Generator;

/// The weight and bias of a Conv2d or Linear of this weight shape, `[out, in/groups, ...]`, in row-major order.
pub fn weight_and_bias(generator: &mut Generator, shape: &[i64], bias: bool) -> (Vec<f32>, Option<Vec<f32>>) {
    let outputs = shape[0] as usize;
    let fan_in = shape[1..].iter().product::<i64>() as usize;
    let bound = kaiming_bound(fan_in);
    let weight = generator.uniform(outputs * fan_in, -bound, bound);
    let bound = if fan_in == 0 { 0.0 } else { (1.0 / (fan_in as f64).sqrt()) as f32 };
    (weight, bias.then(|| generator.uniform(outputs, -bound, bound)))
}

/// `sqrt(3) * gain / sqrt(fan_in)` with the gain of a leaky ReLU of slope sqrt(5), rounded where Python's
/// floats become the tensor's float32, so that the draws agree to the last bit.
fn kaiming_bound(fan_in: usize) -> f32 {
    let gain = (2.0 / (1.0 + 5.0_f64.sqrt().powi(2))).sqrt();
    let std = gain / (fan_in.max(1) as f64).sqrt();
    (3.0_f64.sqrt() * std) as f32
}
