//! The gradients of a depthwise convolution, in which each channel has one filter of its
//! own (F. Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions",
//! 2017).
//!
//! A depthwise convolution has few operations for each number it reads. oneDNN computes
//! its output fast, but not its gradients: on two cores with AMX they took 44 % of a bf16
//! step of an EfficientNet-B0 and 19 % of an fp32 step. These loops work on the channels
//! of a pixel side by side. All sums are in float32, in an order that does not depend on
//! the number of threads.
#![allow(clippy::needless_range_loop, reason = "one index for several slices")]

use multiversion::multiversion;
use tch::{TchError, Tensor};

use super::bridge::ffi::{self, DepthwiseAxis, DepthwiseShape};
use super::bridge::{from_cpp, to_cpp};
use super::element::Element;

/// The number of channels whose sums stay in registers.
const BLOCK: usize = 32;
/// The same for the channels that are left.
const SMALL_BLOCK: usize = 8;

/// `torch.nn.functional.conv2d` of `x` `[N, C, H, W]` and `weight` `[C, 1, height,
/// width]` with `C` groups and without dilation. Differentiable once.
///
/// Returns `None` if the kernel does not support the input, so that ATen must be used: if
/// `x` is empty or not float32 or bfloat16 in channels-last layout on the CPU, or if the
/// weight or the bias does not match it.
pub(crate) fn depthwise_conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: [i64; 2],
    padding: [i64; 2],
) -> Result<Option<Tensor>, TchError> {
    let undefined = Tensor::new();
    let bias = bias.unwrap_or(&undefined);
    from_cpp(ffi::depthwise_conv2d(
        to_cpp(x),
        to_cpp(weight),
        to_cpp(bias),
        stride,
        padding,
    ))
}

/// The taps of the kernel that see a position of the input, along one axis: the first
/// one's index and output, and their number. The next one's index is larger by the
/// stride, and its output is smaller by 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Taps {
    first: usize,
    output: usize,
    count: usize,
}

impl DepthwiseAxis {
    /// The taps that see a position of the input.
    fn taps_over(&self, position: usize) -> Taps {
        let reach = position + self.padding;
        let mut first = reach % self.stride;
        let mut output = reach / self.stride;
        // Outputs after the last one do not exist.
        let skipped = (output + 1).saturating_sub(self.output);
        first += skipped * self.stride;
        output -= skipped;
        let in_kernel = self.kernel.saturating_sub(first).div_ceil(self.stride);
        Taps { first, output, count: in_kernel.min(output + 1) }
    }

    /// The outputs for which a tap is within the input.
    fn outputs_of(&self, tap: usize) -> std::ops::Range<usize> {
        let start = self.padding.saturating_sub(tap).div_ceil(self.stride);
        let end = (self.input + self.padding).saturating_sub(tap).div_ceil(self.stride);
        start..end.min(self.output)
    }

    /// The position in the input that a tap sees for an output.
    fn position(&self, output: usize, tap: usize) -> usize {
        output * self.stride + tap - self.padding
    }
}

/// The gradient of one row of an image, `[width, C]`, from the gradient of the image's
/// output, `[height, width, C]`, and the weight, `[taps, C]`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq"))]
fn input_gradient<T: Element>(
    shape: &DepthwiseShape,
    row: usize,
    gradient: &[T],
    weight: &[f32],
    x_gradient: &mut [T],
) {
    let mut channel = 0;
    while channel + BLOCK <= shape.channels {
        input_gradient_of::<T, BLOCK>(shape, row, channel, gradient, weight, x_gradient);
        channel += BLOCK;
    }
    while channel + SMALL_BLOCK <= shape.channels {
        input_gradient_of::<T, SMALL_BLOCK>(
            shape, row, channel, gradient, weight, x_gradient,
        );
        channel += SMALL_BLOCK;
    }
    while channel < shape.channels {
        input_gradient_of::<T, 1>(shape, row, channel, gradient, weight, x_gradient);
        channel += 1;
    }
}

/// The same for `COUNT` channels from `channel`.
#[inline(always)]
fn input_gradient_of<T: Element, const COUNT: usize>(
    shape: &DepthwiseShape,
    row: usize,
    channel: usize,
    gradient: &[T],
    weight: &[f32],
    x_gradient: &mut [T],
) {
    let DepthwiseShape { channels, rows, columns } = shape;
    let vertical = rows.taps_over(row);
    for (column, x_gradient) in x_gradient.chunks_exact_mut(*channels).enumerate() {
        let horizontal = columns.taps_over(column);
        let mut sums = [0.0; COUNT];
        for i in 0..vertical.count {
            let kernel_row = vertical.first + i * rows.stride;
            let output_row = vertical.output - i;
            for j in 0..horizontal.count {
                let kernel_column = horizontal.first + j * columns.stride;
                let output_column = horizontal.output - j;
                let tap =
                    (kernel_row * columns.kernel + kernel_column) * channels + channel;
                let pixel =
                    (output_row * columns.output + output_column) * channels + channel;
                let weight = &weight[tap..tap + COUNT];
                let gradient = &gradient[pixel..pixel + COUNT];
                for c in 0..COUNT {
                    sums[c] += gradient[c].to_f32() * weight[c];
                }
            }
        }
        let x_gradient = &mut x_gradient[channel..channel + COUNT];
        for c in 0..COUNT {
            x_gradient[c] = T::from_f32(sums[c]);
        }
    }
}

/// The gradient of the weight, `[taps, C]`, summed over images `[N, height, width, C]`
/// and the gradients of their outputs.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq"))]
fn weight_gradient<T: Element>(
    shape: &DepthwiseShape,
    x: &[T],
    gradient: &[T],
    weight_gradient: &mut [f32],
) {
    weight_gradient.fill(0.0);
    let mut channel = 0;
    while channel + BLOCK <= shape.channels {
        weight_gradient_of::<T, BLOCK>(shape, channel, x, gradient, weight_gradient);
        channel += BLOCK;
    }
    while channel + SMALL_BLOCK <= shape.channels {
        weight_gradient_of::<T, SMALL_BLOCK>(
            shape,
            channel,
            x,
            gradient,
            weight_gradient,
        );
        channel += SMALL_BLOCK;
    }
    while channel < shape.channels {
        weight_gradient_of::<T, 1>(shape, channel, x, gradient, weight_gradient);
        channel += 1;
    }
}

/// The same for `COUNT` channels from `channel`.
#[inline(always)]
fn weight_gradient_of<T: Element, const COUNT: usize>(
    shape: &DepthwiseShape,
    channel: usize,
    x: &[T],
    gradient: &[T],
    weight_gradient: &mut [f32],
) {
    let DepthwiseShape { channels, rows, columns } = shape;
    let image_len = rows.input * columns.input * channels;
    let output_len = rows.output * columns.output * channels;
    let images = x.chunks_exact(image_len).zip(gradient.chunks_exact(output_len));
    for (x, gradient) in images {
        for kernel_row in 0..rows.kernel {
            let output_rows = rows.outputs_of(kernel_row);
            for kernel_column in 0..columns.kernel {
                let output_columns = columns.outputs_of(kernel_column);
                let mut sums = [0.0; COUNT];
                for output_row in output_rows.clone() {
                    let row = rows.position(output_row, kernel_row);
                    for output_column in output_columns.clone() {
                        let column = columns.position(output_column, kernel_column);
                        let from = (row * columns.input + column) * channels + channel;
                        let to = (output_row * columns.output + output_column) * channels
                            + channel;
                        let x = &x[from..from + COUNT];
                        let gradient = &gradient[to..to + COUNT];
                        for c in 0..COUNT {
                            sums[c] += x[c].to_f32() * gradient[c].to_f32();
                        }
                    }
                }
                let tap =
                    (kernel_row * columns.kernel + kernel_column) * channels + channel;
                let totals = &mut weight_gradient[tap..tap + COUNT];
                for c in 0..COUNT {
                    totals[c] += sums[c];
                }
            }
        }
    }
}

// The functions that C++ calls, for each element type.

pub(super) fn depthwise_input_gradient_f32(
    shape: &DepthwiseShape,
    row: usize,
    gradient: &[f32],
    weight: &[f32],
    x_gradient: &mut [f32],
) {
    input_gradient(shape, row, gradient, weight, x_gradient);
}

pub(super) fn depthwise_input_gradient_bf16(
    shape: &DepthwiseShape,
    row: usize,
    gradient: &[u16],
    weight: &[f32],
    x_gradient: &mut [u16],
) {
    input_gradient(shape, row, gradient, weight, x_gradient);
}

pub(super) fn depthwise_weight_gradient_f32(
    shape: &DepthwiseShape,
    x: &[f32],
    gradient: &[f32],
    sums: &mut [f32],
) {
    weight_gradient(shape, x, gradient, sums);
}

pub(super) fn depthwise_weight_gradient_bf16(
    shape: &DepthwiseShape,
    x: &[u16],
    gradient: &[u16],
    sums: &mut [f32],
) {
    weight_gradient(shape, x, gradient, sums);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;
    use tch::{Device, Kind};

    use super::*;
    use crate::kernel::testing::{check_exact, results, same_on_any_threads, waves};
    use crate::tensor::channels_last;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

        /// More channels than a block, and a kernel that may be larger than the image.
        #[test]
        fn results_are_pytorchs(
            (n, channels) in (1..40_i64, 1..80_i64),
            kernel in [1..8_i64, 1..8_i64],
            input in [1..12_i64, 1..12_i64],
            stride in [1..4_i64, 1..4_i64],
            padding in [0..5_i64, 0..5_i64],
            [with_bias, bf16] in any::<[bool; 2]>(),
            seed: i64,
        ) {
            let fits = |i: usize| input[i] + 2 * padding[i] >= kernel[i];
            prop_assume!(fits(0) && fits(1));
            tch::manual_seed(seed);
            let kind = if bf16 { Kind::BFloat16 } else { Kind::Float };
            let random = |size: &[i64]| Tensor::randn(size, (Kind::Float, Device::Cpu)).to_kind(kind);
            let x = channels_last(&random(&[n, channels, input[0], input[1]]));
            let weight = channels_last(&random(&[channels, 1, kernel[0], kernel[1]]));
            let mut inputs = vec![x, weight];
            if with_bias {
                inputs.push(random(&[channels]));
            }
            let ours = results(&inputs, waves, |p| {
                depthwise_conv2d(&p[0], &p[1], p.get(2), stride, padding).unwrap().unwrap()
            });
            let exactly: Vec<Tensor> = inputs.iter().map(|t| t.to_kind(Kind::Double)).collect();
            let exact = results(&exactly, waves, |p| {
                p[0].conv2d(&p[1], p.get(2), stride, padding, [1, 1], channels)
            });
            // The output, which is last, is ATen's. Sums are in float32 and rounded once.
            let last = ours.len() - 1;
            check_exact(&ours[..last], &exact[..last], 1e-5)?;
        }
    }

    #[test]
    fn gradients_do_not_depend_on_the_number_of_threads() {
        let x = channels_last(&Tensor::randn([21, 40, 9, 9], (Kind::Float, Device::Cpu)));
        let weight =
            channels_last(&Tensor::randn([40, 1, 3, 3], (Kind::Float, Device::Cpu)));
        let inputs = [x, weight];
        let gradients = same_on_any_threads(|| {
            results(&inputs, waves, |p| {
                depthwise_conv2d(&p[0], &p[1], p.get(2), [1, 1], [1, 1]).unwrap().unwrap()
            })
        });
        // The optimizer need not copy it.
        assert_eq!(gradients[1].stride(), inputs[1].stride());
    }

    #[test]
    fn taps_are_those_that_see_a_position() {
        for (kernel, stride, padding, input) in
            [(3, 1, 1, 5), (5, 2, 2, 8), (2, 3, 0, 9), (7, 1, 3, 2), (1, 2, 1, 4)]
        {
            let output = (input + 2 * padding - kernel) / stride + 1;
            let axis = DepthwiseAxis { input, output, kernel, stride, padding };
            for position in 0..input {
                let taps = axis.taps_over(position);
                let mut ours = Vec::new();
                for i in 0..taps.count {
                    ours.push((taps.first + i * stride, taps.output - i));
                }
                let mut expected = Vec::new();
                for tap in 0..kernel {
                    for output in 0..output {
                        if output * stride + tap == position + padding {
                            expected.push((tap, output));
                        }
                    }
                }
                assert_eq!(ours, expected, "{axis:?}, position {position}");
            }
        }
    }

    #[test]
    fn what_is_not_supported_is_left_to_aten() {
        let x = Tensor::rand([2, 3, 4, 4], (Kind::Float, Device::Cpu));
        let weight =
            channels_last(&Tensor::rand([3, 1, 3, 3], (Kind::Float, Device::Cpu)));
        let supports = |x: &Tensor, weight: &Tensor| {
            depthwise_conv2d(x, weight, None, [1, 1], [1, 1]).unwrap().is_some()
        };
        assert!(supports(&channels_last(&x), &weight));
        assert!(!supports(&x, &weight), "channels first");
        let double = |t: &Tensor| t.to_kind(Kind::Double);
        assert!(!supports(&channels_last(&double(&x)), &double(&weight)));
        assert!(!supports(&channels_last(&x), &weight.narrow(0, 0, 2)), "another shape");
    }
}
