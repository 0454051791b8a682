//! Convolution. Where images are small and weights many, it is computed as products of
//! matrices.
//!
//! oneDNN's convolutions, which ATen calls, go along the rows of images, and leave most
//! of a vector or an AMX tile empty where rows are short: on 2 cores with AMX, the three
//! 512x512x3x3 convolutions of a ResNet-18 for CIFAR, on 4x4 pixels, took a third of a
//! bf16 step of 64 images, for a fifth of its operations. A matrix of what the kernel
//! sees at each place (im2col: K. Chellapilla et al., "High Performance Convolutional
//! Neural Networks for Document Processing", 2006) has no short rows; making it is what
//! this costs, and larger images pay more for it than they gain. That step went from 354
//! to 269 ms.

use std::ffi::c_char;
use std::ptr::null;
use std::sync::LazyLock;

use tch::{Kind, TchError, Tensor};
use torch_sys::C_tensor;

use crate::cpp::made;
use crate::precision::{cpu_has_amx, cpu_has_bf16};

/// How to compute a convolution, without dilation and groups: as in conv2d.cpp.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Conv2d {
    stride: [i64; 2],
    padding: [i64; 2],
    /// Which of its three results come of a product of matrices; the others are ATen's.
    output: bool,
    weight_gradient: bool,
    input_gradient: bool,
}

/// What the processor multiplies bf16 matrices with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bf16 {
    Amx,
    Avx512,
    No,
}

static BF16: LazyLock<Bf16> = LazyLock::new(|| match () {
    () if cpu_has_amx() => Bf16::Amx,
    () if cpu_has_bf16() => Bf16::Avx512,
    () => Bf16::No,
});

/// `torch.nn.functional.conv2d` of `[N, C, H, W]`, differentiable.
pub(crate) fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: [i64; 2],
    padding: [i64; 2],
    dilation: [i64; 2],
    groups: i64,
) -> Result<Tensor, TchError> {
    // What was measured; ATen says what is wrong with shapes that do not fit.
    let plain = cfg!(target_arch = "x86_64")
        && groups == 1
        && dilation == [1, 1]
        && x.kind() == weight.kind();
    if plain
        && let (
            &[images, from, height, width],
            &[to, channels, kernel_height, kernel_width],
        ) = (&x.size()[..], &weight.size()[..])
        && from == channels
    {
        let (input, kernel) = ([height, width], [kernel_height, kernel_width]);
        let how =
            choose(x.kind(), *BF16, images, [from, to], input, kernel, stride, padding);
        if let Some(how) = how
            && let Some(y) = by_products(x, weight, bias, how)?
        {
            return Ok(y);
        }
    }
    x.f_conv2d(weight, bias, stride, padding, dilation, groups)
}

/// Which results to compute as products of matrices, if any. The limits are where times
/// met, with AMX, with AVX512-BF16 and in float32, among 80 layers of 32 to 512 channels,
/// 1 to 16 pixels wide, in batches of 16 to 256; docs/speed.md has some of them.
#[expect(clippy::too_many_arguments, reason = "a convolution has so many sizes")]
fn choose(
    kind: Kind,
    bf16: Bf16,
    images: i64,
    [from, to]: [i64; 2],
    input: [i64; 2],
    kernel: [i64; 2],
    stride: [i64; 2],
    padding: [i64; 2],
) -> Option<Conv2d> {
    let amx = kind == Kind::BFloat16 && bf16 == Bf16::Amx;
    if !(kind == Kind::Float || kind == Kind::BFloat16 && bf16 != Bf16::No) {
        return None;
    }
    let fits = |i: usize| {
        stride[i] > 0 && padding[i] >= 0 && input[i] + 2 * padding[i] >= kernel[i]
    };
    if images == 0 || !fits(0) || !fits(1) {
        return None;
    }
    let size = |i: usize| (input[i] + 2 * padding[i] - kernel[i]) / stride[i] + 1;
    let output = [size(0), size(1)];
    // How many places there are for each channel that is made: how large the matrix is
    // beside the weights.
    let share = |[height, width]: [i64; 2], channels: i64| {
        images * height * width / channels.max(1)
    };
    // Weights that a core's cache does not hold are read anew for each short row;
    // AVX512-BF16 is not fast enough to wait.
    let many = from * to * kernel[0] * kernel[1] >= 1 << 20;
    let short = |size: [i64; 2], channels: i64| {
        many && size[1] <= 4 && share(size, channels) <= 4
    };
    let fast = kind == Kind::Float || amx;
    // Of the weights' gradient, a row is what is summed over: AMX takes 32 pixels at a
    // time.
    let weights_share = if amx && output[1] <= 8 { 16 } else { 4 };
    let whole = stride == [1, 1] && (0..2).all(|i| padding[i] < kernel[i]);
    let how = Conv2d {
        stride,
        padding,
        output: fast && short(output, to),
        weight_gradient: share(output, to) <= weights_share,
        input_gradient: fast && whole && short(input, from),
    };
    (how.output || how.weight_gradient || how.input_gradient).then_some(how)
}

/// `None` where the input and the weight are not in channels-last layout on the CPU.
fn by_products(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    how: Conv2d,
) -> Result<Option<Tensor>, TchError> {
    let mut error = std::ptr::null_mut();
    let bias = bias.map_or(null(), |b| b.as_ptr());
    // SAFETY: tch's tensors are pointers to at::Tensor, and they live through the call,
    // which only reads them.
    let tensor =
        unsafe { torchmill_conv2d(x.as_ptr(), weight.as_ptr(), bias, &how, &mut error) };
    // SAFETY: it is what such a function returns.
    unsafe { made(tensor, error) }
}

unsafe extern "C" {
    /// In conv2d.cpp.
    fn torchmill_conv2d(
        x: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        how: &Conv2d,
        error: *mut *mut c_char,
    ) -> *mut C_tensor;
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;
    use tch::Device;

    use super::*;
    use crate::tensor::channels_last;
    use crate::tensor::floats;

    /// The gradients of all that goes in, for an output's gradient that is no constant,
    /// and the output.
    fn results(
        inputs: &[Tensor],
        convolve: impl Fn(&Tensor, &Tensor, Option<&Tensor>) -> Tensor,
    ) -> Vec<Tensor> {
        let inputs: Vec<Tensor> =
            inputs.iter().map(|t| t.detach().set_requires_grad(true)).collect();
        let y = convolve(&inputs[0], &inputs[1], inputs.get(2));
        // The same to the last bit in every type.
        let steps =
            Tensor::arange(y.numel() as i64, (Kind::Float, Device::Cpu)).remainder(17);
        let weights = ((steps - 8) / 8).reshape(y.size()).to_kind(y.kind());
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        let mut results = Tensor::run_backward(
            &[(&y * weights).sum(Kind::Double)],
            &inputs,
            false,
            false,
        );
        results.push(y);
        results
    }

    /// The largest difference between two tensors, and the largest element.
    fn apart(ours: &Tensor, exact: &Tensor) -> (f64, f64) {
        let most = |t: &Tensor| t.abs().max().double_value(&[]);
        (most(&(ours.to_kind(Kind::Double) - exact)), most(exact))
    }

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
            ways in [any::<bool>(), any::<bool>(), any::<bool>()],
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
            let [output, weight_gradient, input_gradient] = ways;
            let input_gradient = input_gradient && whole;
            let how = Conv2d { stride, padding, output, weight_gradient, input_gradient };
            let ours = results(&inputs, |x, w, b| by_products(x, w, b, how).unwrap().unwrap());
            let exactly: Vec<Tensor> = inputs.iter().map(|t| t.to_kind(Kind::Double)).collect();
            let exact = results(&exactly, |x, w, b| x.conv2d(w, b, stride, padding, [1, 1], 1));
            let atens = results(&inputs, |x, w, b| x.conv2d(w, b, stride, padding, [1, 1], 1));
            let by_products: &[bool] = if with_bias {
                &[input_gradient, weight_gradient, true, output]
            } else {
                &[input_gradient, weight_gradient, output]
            };
            for (((ours, exact), atens), by_products) in ours.iter().zip(&exact).zip(&atens).zip(by_products) {
                if !by_products {
                    // libtorch 2.11 reads what nobody wrote in some bf16 convolutions
                    // whose output is one pixel wide.
                    if !bf16 || ours.size()[3] > 1 {
                        prop_assert_eq!(floats(ours), floats(atens));
                    }
                    continue;
                }
                prop_assert_eq!(ours.size(), exact.size());
                let (difference, largest) = apart(ours, exact);
                // Summed in float32, then rounded once.
                let limit = if bf16 { 1.0 / 128.0 } else { 1e-5 };
                prop_assert!(difference <= limit * largest.max(1.0), "{} of {}", difference, largest);
            }
        }
    }

    #[test]
    fn a_weights_gradient_lies_as_the_weight_does() {
        let how = Conv2d {
            stride: [1, 1],
            padding: [1, 1],
            output: true,
            weight_gradient: true,
            input_gradient: true,
        };
        let x = channels_last(&Tensor::rand([2, 3, 4, 4], (Kind::Float, Device::Cpu)));
        let weight =
            channels_last(&Tensor::rand([5, 3, 3, 3], (Kind::Float, Device::Cpu)));
        let weight = weight.set_requires_grad(true);
        let y = by_products(&x, &weight, None, how).unwrap().unwrap();
        let gradient =
            Tensor::run_backward(&[y.sum(Kind::Float)], &[&weight], false, false);
        assert_eq!(gradient[0].size(), [5, 3, 3, 3]);
        assert!(
            gradient[0].stride() == weight.stride(),
            "the optimizer need not copy it"
        );
        assert!(
            by_products(&x.contiguous(), &weight, None, how).unwrap().is_none(),
            "channels first"
        );
    }

    #[test]
    fn small_images_with_many_weights_are_multiplied() {
        let resnet = |kind, bf16, channels, side, stride| {
            let how = choose(
                kind,
                bf16,
                64,
                channels,
                [side, side],
                [3, 3],
                [stride, stride],
                [1, 1],
            );
            how.map(|h| (h.output, h.weight_gradient, h.input_gradient))
        };
        let (bf16, float) = (Kind::BFloat16, Kind::Float);
        assert_eq!(resnet(bf16, Bf16::Amx, [512, 512], 4, 1), Some((true, true, true)));
        assert_eq!(resnet(float, Bf16::No, [512, 512], 4, 1), Some((true, true, true)));
        assert_eq!(
            resnet(bf16, Bf16::Avx512, [512, 512], 4, 1),
            Some((false, true, false))
        );
        assert_eq!(resnet(bf16, Bf16::No, [512, 512], 4, 1), None);
        assert_eq!(resnet(bf16, Bf16::Amx, [256, 512], 8, 2), Some((true, true, false)));
        assert_eq!(resnet(bf16, Bf16::Amx, [256, 256], 8, 1), Some((false, true, false)));
        assert_eq!(resnet(float, Bf16::Amx, [256, 256], 8, 1), None);
        assert_eq!(resnet(bf16, Bf16::Amx, [64, 64], 32, 1), None);
        // What does not fit is left to ATen, which says so.
        assert_eq!(
            choose(float, Bf16::No, 1, [1, 1], [2, 2], [3, 3], [1, 1], [0, 0]),
            None
        );
        assert_eq!(
            choose(float, Bf16::No, 1, [1, 1], [4, 4], [3, 3], [0, 1], [0, 0]),
            None
        );
        assert_eq!(
            choose(float, Bf16::No, 0, [1, 1], [4, 4], [3, 3], [1, 1], [0, 0]),
            None
        );
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
