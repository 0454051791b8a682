//! Convolution, computed as matrix products if images are small and there are many
//! weights. With AMX, the weight's gradient in bfloat16 has a kernel of its own
//! (amx_weight_gradient.cpp), and so have the output and the input's gradient in float32
//! (amx_product.cpp). With AVX512-BF16 and without AMX, kernels of 3x3 are computed by
//! Winograd's algorithm (winograd.cpp), and kernels of 5x5 by Karatsuba's (karatsuba.cpp).
//!
//! oneDNN's convolutions, which ATen calls, work along the rows of images. With short
//! rows, most of a vector or an AMX tile stays empty. On 2 cores with AMX, the three
//! 512x512x3x3 convolutions of a ResNet-18 for CIFAR, on 4x4 pixels, took a third of a
//! bf16 step of 64 images, although they are a fifth of its operations. im2col (K.
//! Chellapilla et al., "High Performance Convolutional Neural Networks for Document
//! Processing", 2006) creates a matrix without short rows. Creating it takes time, which
//! does not pay off for larger images. The step went from 354 to 269 ms.

use tch::{Kind, TchError, Tensor};

use super::bridge::ffi::{self, ConvMethod, ConvPlan, WeightGradient};
use super::bridge::{from_cpp, to_cpp};
use super::depthwise::depthwise_conv2d;
use super::processor::{Processor, Products};

/// The channels of two of AMX's tiles, which our kernels compute together.
const TILE_CHANNELS: i64 = 32;

/// winograd.cpp supports multiples of this many channels.
const WINOGRAD_CHANNELS: i64 = 8;
/// With fewer channels than this, oneDNN is faster.
const WINOGRAD_LEAST_CHANNELS: i64 = 24;
const WINOGRAD_LEAST_TILES: i64 = 32;
/// karatsuba.cpp supports multiples of this many channels.
const KARATSUBA_CHANNELS: i64 = 32;
const KARATSUBA_LEAST_SIZE: i64 = 8;

/// The sizes of a convolution without dilation or groups.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConvShape {
    images: i64,
    in_channels: i64,
    out_channels: i64,
    /// `[height, width]`, as in the fields below.
    input: [i64; 2],
    kernel: [i64; 2],
    stride: [i64; 2],
    padding: [i64; 2],
}

impl ConvShape {
    /// For an input `[N, C, H, W]` and a weight `[out, in, H, W]`; `None` if the sizes do not
    /// match. ATen then reports the error.
    pub(super) fn new(
        x: &[i64],
        weight: &[i64],
        stride: [i64; 2],
        padding: [i64; 2],
    ) -> Option<Self> {
        let &[images, in_channels, height, width] = x else { return None };
        let &[out_channels, channels, kernel_height, kernel_width] = weight else {
            return None;
        };
        if in_channels != channels {
            return None;
        }
        Some(Self {
            images,
            in_channels,
            out_channels,
            input: [height, width],
            kernel: [kernel_height, kernel_width],
            stride,
            padding,
        })
    }

    /// The output's height and width; `None` if the kernel does not fit in the input.
    fn output(&self) -> Option<[i64; 2]> {
        Some([self.output_size(0)?, self.output_size(1)?])
    }

    /// Whether the kernel visits every pixel, and sees one at least in each place.
    fn is_dense(&self) -> bool {
        self.stride == [1, 1]
            && self.padding[0] < self.kernel[0]
            && self.padding[1] < self.kernel[1]
    }

    /// Whether our kernel for float32 products with AMX is faster than oneDNN: if channels
    /// fill most of its tiles, and for more than one pixel, because it needs time to split
    /// each number.
    fn fills_tiles(&self) -> bool {
        let fill = |channels: i64| {
            let tiles = (channels + TILE_CHANNELS - 1) / TILE_CHANNELS * TILE_CHANNELS;
            channels >= TILE_CHANNELS && 100 * channels >= 85 * tiles
        };
        self.is_dense()
            && fill(self.in_channels)
            && fill(self.out_channels)
            && self.kernel[0] * self.kernel[1] > 1
    }

    /// Whether a row of the kernel fits in a row of one of AMX's tiles, as in the first layer
    /// of a network.
    pub(super) fn fits_amx_pixels(&self) -> bool {
        self.is_dense() && self.in_channels * self.kernel[1] <= 16
    }

    /// Winograd's or Karatsuba's algorithm, if it computes images of this `[height, width]`
    /// faster than oneDNN. Measured on an AMD Zen 4.
    fn fast_algorithm(&self, size: [i64; 2]) -> Option<ConvMethod> {
        // With fewer tiles, transforming the weight takes longer than computing the outputs.
        let (method, least_size, least_tiles) = match self.kernel {
            [3, 3] if self.suits_winograd() => {
                (ConvMethod::Winograd, 4, WINOGRAD_LEAST_TILES)
            }
            [5, 5] if self.suits_karatsuba() => {
                let channels = self.in_channels.max(self.out_channels);
                (ConvMethod::Karatsuba, KARATSUBA_LEAST_SIZE, channels)
            }
            _ => return None,
        };
        self.fills_squares(size, least_size, least_tiles).then_some(method)
    }

    fn suits_winograd(&self) -> bool {
        let fits = |channels| {
            channels >= WINOGRAD_LEAST_CHANNELS
                && is_multiple(channels, WINOGRAD_CHANNELS)
        };
        fits(self.in_channels) && fits(self.out_channels)
    }

    fn suits_karatsuba(&self) -> bool {
        let fits = |channels| is_multiple(channels, KARATSUBA_CHANNELS);
        fits(self.in_channels) && fits(self.out_channels)
    }

    /// Whether Winograd's or Karatsuba's algorithm computes this convolution, with pooling,
    /// faster than oneDNN. With pooling, Karatsuba's also supports 1 and 3 input channels.
    pub(super) fn pools_by_fast_algorithm(&self) -> bool {
        let Some(output) = self.output() else { return false };
        if self.fast_algorithm(output).is_some() {
            return true;
        }
        self.kernel == [5, 5]
            && matches!(self.in_channels, 1 | 3)
            && is_multiple(self.out_channels, KARATSUBA_CHANNELS)
            && self.fills_squares(output, KARATSUBA_LEAST_SIZE, self.out_channels)
    }

    /// Whether images or outputs of this `[height, width]` fill squares of 2x2 pixels, and
    /// there are enough of them.
    fn fills_squares(
        &self,
        [height, width]: [i64; 2],
        least_size: i64,
        least_squares: i64,
    ) -> bool {
        let squares = ((height + 1) / 2) * ((width + 1) / 2);
        // Three of four pixels should be in the image.
        let is_filled = height * width >= 3 * squares;
        // In smaller images, much of the kernel lies outside, where oneDNN computes nothing.
        let is_large = height.min(width) >= least_size;
        self.is_dense() && is_large && is_filled && self.images * squares >= least_squares
    }

    /// The number of weights.
    fn weights(&self) -> i64 {
        self.in_channels * self.out_channels * self.kernel[0] * self.kernel[1]
    }

    /// The rows of the im2col matrix for images or outputs of this `[height, width]`,
    /// relative to the computed channels.
    fn rows_per_channel(&self, [height, width]: [i64; 2], channels: i64) -> i64 {
        self.images * height * width / channels.max(1)
    }

    fn output_size(&self, dimension: usize) -> Option<i64> {
        let stride = self.stride[dimension];
        let padding = self.padding[dimension];
        let room = self.input[dimension] + 2 * padding - self.kernel[dimension];
        (stride > 0 && padding >= 0 && room >= 0).then(|| room / stride + 1)
    }
}

/// `torch.nn.functional.conv2d` of `[N, C, H, W]`. Differentiable once. Around a pixel that is
/// infinite or NaN, outputs of the same image that do not depend on it can be NaN as well.
pub(crate) fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: [i64; 2],
    padding: [i64; 2],
    dilation: [i64; 2],
    groups: i64,
) -> Result<Tensor, TchError> {
    // What follows was measured on x86-64.
    let is_plain = cfg!(target_arch = "x86_64") && dilation == [1, 1];
    let is_depthwise = groups > 1 && groups == weight.size()[0];
    if is_plain
        && is_depthwise
        && let Some(y) = depthwise_conv2d(x, weight, bias, stride, padding)?
    {
        return Ok(y);
    }
    if is_plain
        && groups == 1
        && x.kind() == weight.kind()
        && let Some(shape) = ConvShape::new(&x.size(), &weight.size(), stride, padding)
        && let Some(plan) = choose(x.kind(), Processor::here(), &shape)
        && let Some(y) = im2col_matmul(x, weight, bias, plan)?
    {
        return Ok(y);
    }
    x.f_conv2d(weight, bias, stride, padding, dilation, groups)
}

/// Whether `channels` is a positive multiple of `of`.
fn is_multiple(channels: i64, of: i64) -> bool {
    channels > 0 && channels % of == 0
}

/// How to compute a convolution; `None` if ATen computes all of it.
///
/// The limits are where both methods took the same time, with AMX, with AVX512-BF16 and
/// in float32, in 80 layers of 32 to 512 channels, 1 to 16 pixels wide, in batches of 16
/// to 256. docs/speed.md has some of them. AMD's processors were measured on a few of
/// these layers.
fn choose(kind: Kind, processor: Processor, shape: &ConvShape) -> Option<ConvPlan> {
    let uses_amx = kind == Kind::BFloat16 && processor == Processor::Amx;
    let is_float = kind == Kind::Float;
    let is_bf16 = kind == Kind::BFloat16 && processor.has_bf16();
    if !is_float && !is_bf16 {
        return None;
    }
    let products = processor.products();
    let onednn = is_float && products == Products::OneDnn;
    let output = shape.output()?;
    if shape.images == 0 {
        return None;
    }
    // Weights that do not fit in a core's cache are reloaded for each short row.
    let many_weights = shape.weights() >= 1 << 20;
    let short_rows = |size: [i64; 2], channels: i64| {
        many_weights && size[1] <= 4 && shape.rows_per_channel(size, channels) <= 4
    };
    // AVX512-BF16, and float32 on AMD's processors, are too slow for the output and the
    // input's gradient.
    let fast = uses_amx || (is_float && !onednn);
    let mut plan = ConvPlan {
        stride: shape.stride,
        padding: shape.padding,
        output: ConvMethod::Aten,
        input_gradient: ConvMethod::Aten,
        weight_gradient: choose_weight_gradient(shape, output, uses_amx),
        products,
    };
    if fast && short_rows(output, shape.out_channels) {
        plan.output = ConvMethod::Product;
    }
    if fast && shape.is_dense() && short_rows(shape.input, shape.in_channels) {
        plan.input_gradient = ConvMethod::Product;
    }
    if is_float && products == Products::Amx && shape.fills_tiles() {
        plan.output = ConvMethod::Amx;
        plan.input_gradient = ConvMethod::Amx;
    }
    if processor.has_avx512_bf16() {
        choose_fast_algorithm(kind, shape, output, &mut plan);
    }
    let is_atens = plan.output == ConvMethod::Aten
        && plan.input_gradient == ConvMethod::Aten
        && plan.weight_gradient == WeightGradient::Aten;
    (!is_atens).then_some(plan)
}

/// Changes a plan to Winograd's or Karatsuba's algorithm where they are faster.
fn choose_fast_algorithm(
    kind: Kind,
    shape: &ConvShape,
    output: [i64; 2],
    plan: &mut ConvPlan,
) {
    let Some(method) = shape.fast_algorithm(output) else { return };
    plan.output = method;
    if shape.fast_algorithm(shape.input).is_some() {
        plan.input_gradient = method;
    }
    // Karatsuba's bfloat16 kernel for the weight's gradient takes two images at a time.
    let is_half_empty = kind == Kind::BFloat16 && shape.images == 1;
    if method == ConvMethod::Winograd {
        plan.weight_gradient = WeightGradient::Winograd;
    } else if !is_half_empty {
        plan.weight_gradient = WeightGradient::Karatsuba;
    }
}

/// What computes the weight's gradient, which is a sum over all pixels of the output.
fn choose_weight_gradient(
    shape: &ConvShape,
    output: [i64; 2],
    uses_amx: bool,
) -> WeightGradient {
    let rows = shape.rows_per_channel(output, shape.out_channels);
    // oneDNN's kernel fills tiles of 32 pixels from one row of the output.
    let leaves_tiles_empty = uses_amx && output[1] <= 8;
    let many_channels = shape.in_channels >= 64 && shape.out_channels >= 64;
    if leaves_tiles_empty && shape.is_dense() && many_channels && rows >= 8 {
        return WeightGradient::Amx;
    }
    let limit = if leaves_tiles_empty { 16 } else { 4 };
    if rows <= limit { WeightGradient::Product } else { WeightGradient::Aten }
}

/// Computes a convolution according to `plan`. `None` if the input and the weight are not
/// in channels-last layout on the CPU.
fn im2col_matmul(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    plan: ConvPlan,
) -> Result<Option<Tensor>, TchError> {
    let undefined = Tensor::new();
    let bias = bias.unwrap_or(&undefined);
    from_cpp(ffi::conv2d(to_cpp(x), to_cpp(weight), to_cpp(bias), &plan))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;
    use tch::Device;

    use super::*;
    use crate::kernel::testing::{
        check_float32, check_within, misaligned, results, same_on_any_threads, waves,
    };
    use crate::precision::{cpu_has_amx, cpu_has_bf16};
    use crate::tensor::{channels_last, floats};

    const WAYS: &[WeightGradient] =
        &[WeightGradient::Aten, WeightGradient::Product, WeightGradient::Amx];
    const METHODS: &[ConvMethod] =
        &[ConvMethod::Aten, ConvMethod::Product, ConvMethod::Amx];
    const PRODUCTS: &[Products] = &[Products::Aten, Products::OneDnn, Products::Amx];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

        #[test]
        fn products_of_matrices_are_convolutions(
            (n, from, to) in (1..5_i64, 1..20_i64, 1..20_i64),
            kernel in [1..5_i64, 1..5_i64],
            input in [5..9_i64, 5..9_i64],
            stride in [1..4_i64, 1..4_i64],
            padding in [0..3_i64, 0..3_i64],
            with_bias: bool,
            bf16: bool,
            methods in [prop::sample::select(METHODS), prop::sample::select(METHODS)],
            products in prop::sample::select(PRODUCTS),
            weight_gradient in prop::sample::select(WAYS),
            seed: i64,
        ) {
            tch::manual_seed(seed);
            let kind = if bf16 { Kind::BFloat16 } else { Kind::Float };
            let random = |size: &[i64]| Tensor::randn(size, (Kind::Float, Device::Cpu)).to_kind(kind);
            let x = channels_last(&random(&[n, from, input[0], input[1]]));
            let weight = channels_last(&random(&[to, from, kernel[0], kernel[1]]));
            let mut inputs = vec![x, weight];
            if with_bias {
                inputs.push(random(&[to]));
            }
            let whole = stride == [1, 1] && padding[0] < kernel[0] && padding[1] < kernel[1];
            let has_amx_method = !bf16 && whole && cpu_has_amx();
            let [output, input_gradient] = methods.map(|method| match method {
                ConvMethod::Amx if !has_amx_method => ConvMethod::Product,
                possible => possible,
            });
            let input_gradient = if whole { input_gradient } else { ConvMethod::Aten };
            let weight_gradient = match weight_gradient {
                WeightGradient::Amx if !bf16 || !whole || !cpu_has_amx() => WeightGradient::Aten,
                possible => possible,
            };
            let plan = ConvPlan { stride, padding, output, input_gradient, weight_gradient, products };
            let ours = results(&inputs, waves, |p| im2col_matmul(&p[0], &p[1], p.get(2), plan).unwrap().unwrap());
            let exactly: Vec<Tensor> = inputs.iter().map(|t| t.to_kind(Kind::Double)).collect();
            let exact = results(&exactly, waves, |p| p[0].conv2d(&p[1], p.get(2), stride, padding, [1, 1], 1));
            let atens = results(&inputs, waves, |p| p[0].conv2d(&p[1], p.get(2), stride, padding, [1, 1], 1));
            let weights_is_ours = weight_gradient != WeightGradient::Aten;
            let [inputs_is_ours, output_is_ours] =
                [input_gradient, output].map(|method| method != ConvMethod::Aten);
            let is_product: &[bool] = if with_bias {
                &[inputs_is_ours, weights_is_ours, true, output_is_ours]
            } else {
                &[inputs_is_ours, weights_is_ours, output_is_ours]
            };
            // Sums are in float32 and rounded once.
            let limit = if bf16 { 1.0 / 128.0 } else { 1e-5 };
            for i in 0..ours.len() {
                if is_product[i] {
                    check_within(&ours[i], &exact[i], limit)?;
                } else if !bf16 || ours[i].size()[3] > 1 {
                    // libtorch 2.11 reads uninitialised memory in some bf16 convolutions
                    // whose output is one pixel wide.
                    prop_assert_eq!(floats(&ours[i]), floats(&atens[i]));
                }
            }
        }
    }

    #[test]
    fn a_weights_gradient_lies_as_the_weight_does() {
        let plan = ConvPlan {
            stride: [1, 1],
            padding: [1, 1],
            output: ConvMethod::Product,
            input_gradient: ConvMethod::Product,
            weight_gradient: WeightGradient::Product,
            products: Products::Aten,
        };
        let x = channels_last(&Tensor::rand([2, 3, 4, 4], (Kind::Float, Device::Cpu)));
        let weight =
            channels_last(&Tensor::rand([5, 3, 3, 3], (Kind::Float, Device::Cpu)));
        let weight = weight.set_requires_grad(true);
        let y = im2col_matmul(&x, &weight, None, plan).unwrap().unwrap();
        let gradient =
            Tensor::run_backward(&[y.sum(Kind::Float)], &[&weight], false, false);
        assert_eq!(gradient[0].size(), [5, 3, 3, 3]);
        assert!(
            gradient[0].stride() == weight.stride(),
            "the optimizer need not copy it"
        );
        assert!(
            im2col_matmul(&x.contiguous(), &weight, None, plan).unwrap().is_none(),
            "channels first"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        /// More channels and pixels than one tile.
        #[test]
        fn amx_computes_the_weights_gradient(
            (n, from, to) in (1..20_i64, 1..150_i64, 1..150_i64),
            kernel in [1..6_i64, 1..6_i64],
            input in [5..15_i64, 5..15_i64],
            padding in [0..5_i64, 0..5_i64],
            seed: i64,
        ) {
            let padding = [padding[0] % kernel[0], padding[1] % kernel[1]];
            if !cpu_has_amx() {
                return Ok(());
            }
            tch::manual_seed(seed);
            let random = |size: &[i64]| {
                channels_last(&Tensor::randn(size, (Kind::Float, Device::Cpu)).to_kind(Kind::BFloat16))
            };
            let inputs = [
                random(&[n, from, input[0], input[1]]),
                random(&[to, from, kernel[0], kernel[1]]),
            ];
            let plan = ConvPlan {
                stride: [1, 1],
                padding,
                output: ConvMethod::Aten,
                input_gradient: ConvMethod::Aten,
                weight_gradient: WeightGradient::Amx,
                products: Products::Aten,
            };
            let ours = results(&inputs, waves, |p| im2col_matmul(&p[0], &p[1], p.get(2), plan).unwrap().unwrap());
            let exactly: Vec<Tensor> = inputs.iter().map(|t| t.to_kind(Kind::Double)).collect();
            let exact = results(&exactly, waves, |p| p[0].conv2d(&p[1], p.get(2), [1, 1], padding, [1, 1], 1));
            check_within(&ours[1], &exact[1], 1.0 / 128.0)?;
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        /// More channels than one tile, and more steps than one chunk.
        #[test]
        fn amx_computes_float32(
            (n, from, to) in (1..20_i64, 33..200_i64, 33..200_i64),
            kernel in [2..6_i64, 2..6_i64],
            input in [5..15_i64, 5..15_i64],
            padding in [0..5_i64, 0..5_i64],
            with_bias: bool,
            seed: i64,
        ) {
            let padding = [padding[0] % kernel[0], padding[1] % kernel[1]];
            if !cpu_has_amx() {
                return Ok(());
            }
            tch::manual_seed(seed);
            let random =
                |size: &[i64]| channels_last(&Tensor::randn(size, (Kind::Float, Device::Cpu)));
            let mut inputs = vec![
                random(&[n, from, input[0], input[1]]),
                random(&[to, from, kernel[0], kernel[1]]),
            ];
            if with_bias {
                inputs.push(Tensor::randn([to], (Kind::Float, Device::Cpu)));
            }
            let plan = ConvPlan {
                stride: [1, 1],
                padding,
                output: ConvMethod::Amx,
                input_gradient: ConvMethod::Amx,
                weight_gradient: WeightGradient::Aten,
                products: Products::Amx,
            };
            let ours = |p: &[Tensor]| im2col_matmul(&p[0], &p[1], p.get(2), plan).unwrap().unwrap();
            check_float32(&inputs, ours, |p| {
                p[0].conv2d(&p[1], p.get(2), [1, 1], padding, [1, 1], 1)
            }, 1e-6)?;
        }
    }

    /// Winograd's algorithm for kernels of 3x3, and Karatsuba's for 5x5.
    fn fast_plan(size: i64, padding: [i64; 2]) -> ConvPlan {
        let (method, weight_gradient) = if size == 3 {
            (ConvMethod::Winograd, WeightGradient::Winograd)
        } else {
            (ConvMethod::Karatsuba, WeightGradient::Karatsuba)
        };
        ConvPlan {
            stride: [1, 1],
            padding,
            output: method,
            input_gradient: method,
            weight_gradient,
            products: Products::Aten,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// More channels than one panel and than one task, panels that are not full, more columns
        /// than registers, and images whose last tiles are not full.
        #[test]
        fn fast_algorithms_compute_convolutions(
            (n, from, to) in (1..20_i64, 1..20_i64, 1..20_i64),
            size in prop::sample::select(&[3_i64, 5]),
            input in [5..15_i64, 5..24_i64],
            padding in [0..5_i64, 0..5_i64],
            with_bias: bool,
            bf16: bool,
            is_aligned: bool,
            seed: i64,
        ) {
            if !cpu_has_bf16() {
                return Ok(());
            }
            let padding = padding.map(|p| p % size);
            let plan = fast_plan(size, padding);
            tch::manual_seed(seed);
            let kind = if bf16 { Kind::BFloat16 } else { Kind::Float };
            let random = |size: &[i64]| Tensor::randn(size, (Kind::Float, Device::Cpu)).to_kind(kind);
            let channels = |n: i64| if size == 3 { 8 * n } else { 32 * (1 + n % 4) };
            let (from, to) = (channels(from), channels(to));
            let place = |t: Tensor| if is_aligned { channels_last(&t) } else { misaligned(&t) };
            let mut inputs = vec![
                place(random(&[n, from, input[0], input[1]])),
                place(random(&[to, from, size, size])),
            ];
            if with_bias {
                inputs.push(random(&[to]));
            }
            let ours = |p: &[Tensor]| im2col_matmul(&p[0], &p[1], p.get(2), plan).unwrap().unwrap();
            let atens = |p: &[Tensor]| p[0].conv2d(&p[1], p.get(2), [1, 1], padding, [1, 1], 1);
            if !bf16 {
                // Karatsuba's odd outputs are differences of three sums.
                let limit = if size == 5 { 2e-6 } else { 1e-6 };
                return check_float32(&inputs, ours, atens, limit);
            }
            let exactly: Vec<Tensor> = inputs.iter().map(|t| t.to_kind(Kind::Double)).collect();
            let exact = results(&exactly, waves, atens);
            // Factors are rounded, and results: each by 2^-9 at most.
            for (ours, exact) in results(&inputs, waves, ours).iter().zip(&exact) {
                check_within(ours, exact, 1.0 / 64.0)?;
            }
        }
    }

    #[test]
    fn fast_algorithms_results_do_not_depend_on_the_number_of_threads() {
        for (kind, size, channels) in [
            (Kind::Float, 3, 72),
            (Kind::BFloat16, 3, 72),
            (Kind::Float, 5, 64),
            (Kind::BFloat16, 5, 64),
        ] {
            let random = |size: &[i64]| {
                let numbers = Tensor::randn(size, (Kind::Float, Device::Cpu));
                channels_last(&numbers.to_kind(kind))
            };
            let inputs = [random(&[7, 96, 9, 10]), random(&[channels, 96, size, size])];
            let plan = fast_plan(size, [1, 1]);
            same_on_any_threads(|| {
                results(&inputs, waves, |p| {
                    im2col_matmul(&p[0], &p[1], None, plan).unwrap().unwrap()
                })
            });
        }
    }

    #[test]
    fn fast_algorithms_keep_a_nan_in_its_image() {
        if !cpu_has_bf16() {
            return;
        }
        for (kind, size, channels) in [
            (Kind::Float, 3, 40),
            (Kind::BFloat16, 3, 40),
            (Kind::Float, 5, 32),
            (Kind::BFloat16, 5, 32),
        ] {
            let random = |size: &[i64]| {
                let numbers = Tensor::rand(size, (Kind::Float, Device::Cpu));
                channels_last(&numbers.to_kind(kind))
            };
            let (x, weight) = (
                random(&[3, channels, 9, 10]),
                random(&[channels, channels, size, size]),
            );
            let compute = |x: &Tensor| {
                im2col_matmul(x, &weight, None, fast_plan(size, [1, 1])).unwrap().unwrap()
            };
            let before = compute(&x);
            let _ = x.get(1).fill_(f64::NAN);
            let after = compute(&x);
            assert!(floats(&after.get(1)).iter().all(|v| v.is_nan()));
            for other in [0, 2] {
                assert_eq!(floats(&after.get(other)), floats(&before.get(other)));
            }
        }
    }

    #[test]
    fn kernels_of_3x3_and_5x5_suit_fast_algorithms() {
        let fits = ConvShape {
            images: 64,
            in_channels: 64,
            out_channels: 96,
            input: [16, 16],
            kernel: [3, 3],
            stride: [1, 1],
            padding: [1, 1],
        };
        let plan = |kind, processor, shape: &ConvShape| {
            let plan = choose(kind, processor, shape);
            plan.map(|p| (p.output, p.weight_gradient, p.input_gradient))
        };
        let winograd =
            (ConvMethod::Winograd, WeightGradient::Winograd, ConvMethod::Winograd);
        let karatsuba =
            (ConvMethod::Karatsuba, WeightGradient::Karatsuba, ConvMethod::Karatsuba);
        let is_fast = |plan: Option<ConvPlan>| {
            plan.is_some_and(|p| {
                matches!(p.output, ConvMethod::Winograd | ConvMethod::Karatsuba)
            })
        };
        for kind in [Kind::Float, Kind::BFloat16] {
            for processor in [Processor::AmdBf16, Processor::Avx512Bf16] {
                assert_eq!(plan(kind, processor, &fits), Some(winograd));
                let large = ConvShape { kernel: [5, 5], padding: [2, 2], ..fits };
                assert_eq!(plan(kind, processor, &large), Some(karatsuba));
                let one = ConvShape { images: 1, input: [32, 32], ..large };
                let gradient = plan(kind, processor, &one).map(|p| p.1);
                let takes_two = kind == Kind::BFloat16;
                assert_eq!(gradient == Some(WeightGradient::Karatsuba), !takes_two);
                let narrow = ConvShape { in_channels: 24, out_channels: 40, ..fits };
                assert_eq!(plan(kind, processor, &narrow), Some(winograd));
                for other in [
                    ConvShape { in_channels: 16, ..fits },
                    ConvShape { in_channels: 44, ..fits },
                    ConvShape { out_channels: 16, ..fits },
                    ConvShape { in_channels: 48, ..large },
                    ConvShape { in_channels: 0, ..fits },
                    ConvShape { out_channels: 0, ..fits },
                    ConvShape { out_channels: 3, ..fits },
                    ConvShape { stride: [2, 2], ..fits },
                    ConvShape { padding: [3, 1], ..fits },
                    ConvShape { kernel: [3, 5], ..fits },
                    ConvShape { input: [3, 64], ..fits },
                    ConvShape { input: [5, 5], ..fits },
                    ConvShape { images: 1, input: [8, 8], ..fits },
                    ConvShape { input: [6, 6], ..large },
                    ConvShape { images: 5, input: [8, 8], ..large },
                ] {
                    assert!(!is_fast(choose(kind, processor, &other)), "{other:?}");
                }
            }
            for processor in [Processor::Amx, Processor::Amd, Processor::Other] {
                let large = ConvShape { kernel: [5, 5], padding: [2, 2], ..fits };
                assert!(!is_fast(choose(kind, processor, &fits)));
                assert!(!is_fast(choose(kind, processor, &large)));
            }
        }
    }

    #[test]
    fn convolutions_of_colors_or_many_channels_are_pooled() {
        let fits = ConvShape {
            images: 64,
            in_channels: 3,
            out_channels: 32,
            input: [32, 32],
            kernel: [5, 5],
            stride: [1, 1],
            padding: [2, 2],
        };
        for good in [
            fits,
            ConvShape { in_channels: 1, input: [28, 28], padding: [0, 0], ..fits },
            ConvShape { in_channels: 64, out_channels: 96, ..fits },
            ConvShape { kernel: [3, 3], padding: [1, 1], in_channels: 24, ..fits },
        ] {
            assert!(good.pools_by_fast_algorithm(), "{good:?}");
        }
        for bad in [
            ConvShape { in_channels: 2, ..fits },
            ConvShape { in_channels: 48, ..fits },
            ConvShape { out_channels: 16, ..fits },
            ConvShape { kernel: [3, 3], padding: [1, 1], ..fits },
            ConvShape { stride: [2, 2], ..fits },
            ConvShape { padding: [5, 2], ..fits },
            ConvShape { input: [4, 4], padding: [0, 0], ..fits },
            ConvShape { input: [6, 6], ..fits },
            ConvShape { images: 1, input: [8, 8], ..fits },
        ] {
            assert!(!bad.pools_by_fast_algorithm(), "{bad:?}");
        }
    }

    #[test]
    fn small_images_with_many_weights_are_multiplied() {
        let resnet =
            |kind, processor, [in_channels, out_channels]: [i64; 2], side, stride| {
                let shape = ConvShape {
                    images: 64,
                    in_channels,
                    out_channels,
                    input: [side, side],
                    kernel: [3, 3],
                    stride: [stride, stride],
                    padding: [1, 1],
                };
                let plan = choose(kind, processor, &shape);
                plan.map(|p| (p.output, p.weight_gradient, p.input_gradient))
            };
        let bf16 = Kind::BFloat16;
        let float = Kind::Float;
        let product = WeightGradient::Product;
        assert_eq!(
            resnet(bf16, Processor::Amx, [512, 512], 4, 1),
            Some((ConvMethod::Product, product, ConvMethod::Product))
        );
        assert_eq!(
            resnet(float, Processor::Other, [512, 512], 4, 1),
            Some((ConvMethod::Product, product, ConvMethod::Product))
        );
        assert_eq!(
            resnet(bf16, Processor::Avx512Bf16, [256, 512], 8, 2),
            Some((ConvMethod::Aten, product, ConvMethod::Aten))
        );
        assert_eq!(resnet(bf16, Processor::Other, [512, 512], 4, 1), None);
        assert_eq!(
            resnet(bf16, Processor::Amx, [256, 512], 8, 2),
            Some((ConvMethod::Product, product, ConvMethod::Aten))
        );
        assert_eq!(
            resnet(bf16, Processor::Amx, [256, 256], 8, 1),
            Some((ConvMethod::Aten, WeightGradient::Amx, ConvMethod::Aten))
        );
        assert_eq!(
            resnet(float, Processor::Amx, [256, 256], 8, 1),
            Some((ConvMethod::Amx, WeightGradient::Aten, ConvMethod::Amx))
        );
        assert_eq!(resnet(float, Processor::Amx, [3, 64], 32, 1), None);
        assert_eq!(resnet(float, Processor::Amx, [48, 64], 32, 1), None, "half a tile");
        assert_eq!(resnet(float, Processor::Other, [256, 256], 8, 1), None);
        assert_eq!(
            resnet(float, Processor::Amd, [512, 512], 4, 1),
            Some((ConvMethod::Aten, product, ConvMethod::Aten))
        );
        assert_eq!(resnet(bf16, Processor::Amx, [64, 64], 32, 1), None);
    }

    #[test]
    fn sizes_that_do_not_fit_are_left_to_aten() {
        let fits = ConvShape {
            images: 1,
            in_channels: 1,
            out_channels: 1,
            input: [4, 4],
            kernel: [3, 3],
            stride: [1, 1],
            padding: [0, 0],
        };
        assert!(choose(Kind::Float, Processor::Other, &fits).is_some());
        for wrong in [
            ConvShape { input: [2, 2], ..fits },
            ConvShape { stride: [0, 1], ..fits },
            ConvShape { images: 0, ..fits },
        ] {
            assert_eq!(choose(Kind::Float, Processor::Other, &wrong), None);
        }
    }

    #[test]
    fn shapes_that_fit_are_multiplied_and_others_refused() {
        let x = channels_last(&Tensor::rand([2, 512, 4, 4], (Kind::Float, Device::Cpu)));
        let weight =
            channels_last(&Tensor::rand([512, 512, 3, 3], (Kind::Float, Device::Cpu)));
        let ours = conv2d(&x, &weight, None, [1, 1], [1, 1], [1, 1], 1).unwrap();
        let atens = x.conv2d(&weight, None::<Tensor>, [1, 1], [1, 1], [1, 1], 1);
        let differences = floats(&((&ours - &atens).abs() / &atens));
        assert!(differences.iter().all(|&d| d < 1e-5));
        let wrong =
            conv2d(&x, &weight.narrow(1, 0, 511), None, [1, 1], [1, 1], [1, 1], 1);
        assert!(wrong.unwrap_err().to_string().contains("511"));
    }
}
