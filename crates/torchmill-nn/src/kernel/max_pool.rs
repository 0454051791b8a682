//! Max pooling with windows that do not overlap, for channels-last tensors on the CPU.
//!
//! ATen's kernel stores an int64 index for each output and adds gradients one by one at
//! those indices. Forward and backward took a fifth of a bf16 step of the `article`
//! recipe. This kernel stores one byte for the pixel in the window that won. Both passes
//! go through memory once, in order, with all channels of a pixel side by side. The
//! results equal ATen's bit by bit. By itself it takes 1.4 to 3.4 times less processor
//! time than ATen's (docs/speed.md).
#![allow(clippy::needless_range_loop, reason = "one index for several slices")]

use multiversion::multiversion;
use tch::{TchError, Tensor};

use super::bridge::ffi::{self, PoolShape};
use super::bridge::{from_cpp, to_cpp};
use super::element::Element;

/// Max pooling of `[N, C, H, W]` with windows `kernel`, which are also the stride,
/// without padding. Differentiable once.
///
/// Returns `None` if the kernel does not support the input, so that ATen must be used: if
/// `x` is not float32 or bfloat16 in channels-last layout on the CPU, or if windows have
/// more than 256 pixels or are larger than the image.
pub(crate) fn max_pool2d(
    x: &Tensor,
    kernel: [i64; 2],
) -> Result<Option<Tensor>, TchError> {
    let [height, width] = kernel;
    // The index of a pixel in its window must fit in a byte.
    if height < 1 || width < 1 || height.saturating_mul(width) > 256 {
        return Ok(None);
    }
    from_cpp(ffi::max_pool2d(to_cpp(x), height, width))
}

impl PoolShape {
    fn input_len(&self) -> usize {
        self.height * self.width * self.channels
    }

    fn output_height(&self) -> usize {
        self.height / self.kernel_height
    }

    fn output_width(&self) -> usize {
        self.width / self.kernel_width
    }

    fn output_len(&self) -> usize {
        self.output_height() * self.output_width() * self.channels
    }

    /// The offset of each pixel of a window from the window's first pixel, in row-major
    /// order.
    fn window_offsets(&self) -> Vec<usize> {
        let mut offsets = Vec::new();
        for row in 0..self.kernel_height {
            for column in 0..self.kernel_width {
                offsets.push((row * self.width + column) * self.channels);
            }
        }
        offsets
    }

    /// The offset of each window's first pixel, in the order of the outputs.
    fn window_starts(&self) -> Vec<usize> {
        let mut starts = Vec::new();
        for row in 0..self.output_height() {
            for column in 0..self.output_width() {
                let pixel =
                    row * self.kernel_height * self.width + column * self.kernel_width;
                starts.push(pixel * self.channels);
            }
        }
        starts
    }
}

/// The largest pixel of each window, channel by channel, and its index in the window. Of
/// equal pixels the first wins, and of NaNs the last, as in ATen.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq"))]
fn forward<T: Element>(shape: &PoolShape, x: &[T], y: &mut [T], winners: &mut [u8]) {
    let channels = shape.channels;
    let offsets = shape.window_offsets();
    let starts = shape.window_starts();
    for (image, x) in x.chunks_exact(shape.input_len()).enumerate() {
        for (window, &start) in starts.iter().enumerate() {
            let first = image * shape.output_len() + window * channels;
            let y = &mut y[first..first + channels];
            let winners = &mut winners[first..first + channels];
            y.copy_from_slice(&x[start..start + channels]);
            winners.fill(0);
            for (k, offset) in offsets.iter().enumerate().skip(1) {
                let pixel = &x[start + offset..start + offset + channels];
                // Iterators, because indexing makes this loop a fifth slower in bfloat16.
                for ((best, winner), &x) in y.iter_mut().zip(&mut *winners).zip(pixel) {
                    let wins = x.to_f32() > best.to_f32() || x.to_f32().is_nan();
                    *best = if wins { x } else { *best };
                    *winner = if wins { k as u8 } else { *winner };
                }
            }
        }
    }
}

/// Passes each output's gradient to the pixel that won. All others get 0.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq"))]
fn backward<T: Element>(
    shape: &PoolShape,
    gradient: &[T],
    winners: &[u8],
    x_gradient: &mut [T],
) {
    let channels = shape.channels;
    let offsets = shape.window_offsets();
    let starts = shape.window_starts();
    let covers_rows = shape.height.is_multiple_of(shape.kernel_height);
    let covers_columns = shape.width.is_multiple_of(shape.kernel_width);
    if !covers_rows || !covers_columns {
        x_gradient.fill(T::default());
    }
    for (image, x_gradient) in x_gradient.chunks_exact_mut(shape.input_len()).enumerate()
    {
        for (window, &start) in starts.iter().enumerate() {
            let first = image * shape.output_len() + window * channels;
            let gradient = &gradient[first..first + channels];
            let winners = &winners[first..first + channels];
            for (k, offset) in offsets.iter().enumerate() {
                let pixel = &mut x_gradient[start + offset..start + offset + channels];
                for c in 0..channels {
                    let won = usize::from(winners[c]) == k;
                    pixel[c] = if won { gradient[c] } else { T::default() };
                }
            }
        }
    }
}

// The functions that C++ calls, for each element type.

pub(super) fn pool_forward_f32(
    shape: &PoolShape,
    x: &[f32],
    y: &mut [f32],
    winners: &mut [u8],
) {
    forward(shape, x, y, winners);
}

pub(super) fn pool_forward_bf16(
    shape: &PoolShape,
    x: &[u16],
    y: &mut [u16],
    winners: &mut [u8],
) {
    forward(shape, x, y, winners);
}

pub(super) fn pool_backward_f32(
    shape: &PoolShape,
    gradient: &[f32],
    winners: &[u8],
    x_gradient: &mut [f32],
) {
    backward(shape, gradient, winners, x_gradient);
}

pub(super) fn pool_backward_bf16(
    shape: &PoolShape,
    gradient: &[u16],
    winners: &[u8],
    x_gradient: &mut [u16],
) {
    backward(shape, gradient, winners, x_gradient);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;
    use tch::{Device, Kind};

    use super::*;
    use crate::tensor::{channels_last, floats};

    /// The output and the input's gradient, for this output gradient.
    fn both(
        x: &Tensor,
        weights: &Tensor,
        pool: impl Fn(&Tensor) -> Tensor,
    ) -> [Vec<u32>; 2] {
        let x = x.detach().set_requires_grad(true);
        let out = pool(&x);
        let gradient = Tensor::run_backward(
            &[(&out * weights).sum(Kind::Float)],
            &[&x],
            false,
            false,
        );
        // NaNs may differ in bits that have no meaning.
        let bits = |t: &Tensor| {
            let bit = |v: f32| if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() };
            floats(t).into_iter().map(bit).collect()
        };
        [bits(&out), bits(&gradient[0])]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

        #[test]
        fn results_are_atens_bit_by_bit(
            (n, c) in (1..4_i64, 1..70_i64),
            kernel in prop_oneof![Just([2, 2]), [1..4_i64, 1..4_i64]],
            (height, width) in (3..12_i64, 3..12_i64),
            bf16: bool,
            seed: i64,
        ) {
            tch::manual_seed(seed);
            let kind = if bf16 { Kind::BFloat16 } else { Kind::Float };
            // With few different values there are ties. Some values are NaN.
            let x = Tensor::randint_low(-3, 4, [n, c, height, width], (Kind::Float, Device::Cpu)) / 3;
            let odd = Tensor::rand([n, c, height, width], (Kind::Float, Device::Cpu));
            let x = x.masked_fill(&odd.lt(0.02), f64::NAN).masked_fill(&odd.gt(0.9), f64::NEG_INFINITY);
            let x = channels_last(&x.to_kind(kind));
            let out = [n, c, height / kernel[0], width / kernel[1]];
            let weights = Tensor::rand(out, (kind, Device::Cpu)) + 0.5;
            let ours = both(&x, &weights, |x| max_pool2d(x, kernel).unwrap().unwrap());
            let atens = both(&x, &weights, |x| x.max_pool2d(kernel, kernel, [0, 0], [1, 1], false));
            prop_assert_eq!(ours, atens);
        }
    }

    #[test]
    fn what_is_not_supported_is_left_to_aten() {
        let x = Tensor::rand([2, 3, 4, 4], (Kind::Float, Device::Cpu));
        assert!(max_pool2d(&x, [2, 2]).unwrap().is_none(), "channels first");
        assert!(
            max_pool2d(&channels_last(&x.to_kind(Kind::Double)), [2, 2])
                .unwrap()
                .is_none()
        );
        assert!(max_pool2d(&channels_last(&x), [5, 5]).unwrap().is_none());
        assert!(max_pool2d(&channels_last(&x), [0, 2]).unwrap().is_none());
    }
}
