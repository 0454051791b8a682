//! A convolution with max pooling after it, as one operation.
//!
//! Before the pooling, the first layer has more outputs than any other layer of a network for
//! small images. A quarter of them is used, and three quarters of their gradients are zeros.
//! With AMX, a kernel for the first layer (amx_conv_pool.cpp) keeps them in the first cache.
//! With AVX512-BF16 and without AMX, the kernels of Winograd's algorithm (winograd.cpp) and of
//! Karatsuba's (karatsuba.cpp) have each window of 2x2 outputs in registers.

use tch::{Kind, TchError, Tensor};

use super::bridge::ffi;
use super::bridge::{from_cpp, to_cpp};
use super::conv2d::ConvShape;
use super::processor::Processor;

/// Whether [`conv_pool`] is faster than a convolution of `x` `[N, C, H, W]` and then
/// pooling. `weight` is `[out_channels, in_channels, height, width]`; the stride is 1.
pub(crate) fn is_chosen(
    x: &Tensor,
    weight: &[i64],
    padding: [i64; 2],
    window: [i64; 2],
) -> bool {
    let has_kernel = matches!(x.kind(), Kind::Float | Kind::BFloat16);
    if !has_kernel || window != [2, 2] {
        return false;
    }
    let Some(shape) = ConvShape::new(&x.size(), weight, [1, 1], padding) else {
        return false;
    };
    let processor = Processor::here();
    if processor == Processor::Amx {
        return shape.fits_amx_pixels();
    }
    processor.has_avx512_bf16() && shape.pools_by_fast_algorithm()
}

/// `torch.nn.functional.conv2d` of `[N, C, H, W]` with stride 1, then `max_pool2d` with
/// windows of 2x2. Differentiable once, with respect to weight and bias.
///
/// The kernel for AMX gives the values of the two operations in bfloat16, and is as exact in
/// float32. winograd_transforms.h and karatsuba_phases.h describe the errors of the others.
/// In bfloat16 the convolution's outputs are rounded before the pooling. The gradients do not
/// depend on the number of threads. Around a pixel that is infinite or NaN, outputs that do not
/// depend on it can be NaN as well.
///
/// Returns `None` if no kernel supports the input: anything but float32 or bfloat16 in
/// channels-last layout on the CPU, sizes that do not match, an input of few channels that
/// needs a gradient.
pub(crate) fn conv_pool(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    [padding_height, padding_width]: [i64; 2],
) -> Result<Option<Tensor>, TchError> {
    let undefined = Tensor::new();
    let bias = to_cpp(bias.unwrap_or(&undefined));
    let (x, weight) = (to_cpp(x), to_cpp(weight));
    from_cpp(ffi::conv_pool(x, weight, bias, padding_height, padding_width))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;
    use tch::Device;

    use super::*;
    use crate::kernel::testing::{misaligned, results, same_on_any_threads};
    use crate::precision::{cpu_has_amx, cpu_has_bf16};
    use crate::tensor::{channels_last, floats};

    /// Random integers from -limit to limit.
    fn integers(kind: Kind, size: &[i64], limit: i64) -> Tensor {
        let options = (Kind::Float, Device::Cpu);
        Tensor::randint_low(-limit, limit + 1, size, options).to_kind(kind)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

        /// The inputs are small integers, so that all products and sums are exact and ties
        /// are common.
        #[test]
        fn results_are_those_of_convolution_and_pooling(
            (n, from, to) in (1..20_i64, 1..5_i64, 16..70_i64),
            kernel in [1..7_i64, 1..6_i64],
            input in [7..40_i64, 7..40_i64],
            padding in [0..6_i64, 0..6_i64],
            with_bias: bool,
            bf16: bool,
            seed: i64,
        ) {
            let kind = if bf16 { Kind::BFloat16 } else { Kind::Float };
            let padding = [padding[0] % kernel[0], padding[1] % kernel[1]];
            if !cpu_has_amx() || from * kernel[1] > 16 {
                return Ok(());
            }
            tch::manual_seed(seed);
            let integers = |size: &[i64], limit: i64| integers(kind, size, limit);
            let x = channels_last(&integers(&[n, from, input[0], input[1]], 2));
            let mut parameters = vec![channels_last(&integers(&[to, from, kernel[0], kernel[1]], 1))];
            if with_bias {
                parameters.push(integers(&[to], 3));
            }
            let ours = |p: &[Tensor]| conv_pool(&x, &p[0], p.get(1), padding).unwrap().unwrap();
            let exactly: Vec<Tensor> = parameters.iter().map(|p| p.to_kind(Kind::Double)).collect();
            let exact = |p: &[Tensor]| {
                let y = x.to_kind(Kind::Double).conv2d(&p[0], p.get(1), [1, 1], padding, [1, 1], 1);
                y.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)
            };
            let weights = integers(&tch::no_grad(|| ours(&parameters)).size(), 1);
            let ours = results(&parameters, |_| weights.shallow_clone(), ours);
            let exact = results(&exactly, |_| weights.shallow_clone(), exact);
            for (ours, exact) in ours.iter().zip(&exact) {
                prop_assert_eq!(ours.size(), exact.size());
                prop_assert_eq!(floats(ours), floats(&exact.to_kind(kind)));
            }
        }
    }

    /// Checks the output and all gradients of Winograd's (`side` 3) or Karatsuba's kernel
    /// (`side` 5) for an input of this size and `to` output channels. All products and sums
    /// are exact.
    fn check_fast(
        kind: Kind,
        side: i64,
        size: [i64; 4],
        to: i64,
        padding: [i64; 2],
        with_bias: bool,
        is_aligned: bool,
    ) -> Result<(), TestCaseError> {
        let [images, from, height, width] = size;
        let place =
            |t: Tensor| if is_aligned { channels_last(&t) } else { misaligned(&t) };
        let x = place(integers(kind, &size, 2));
        // An input of many channels needs a gradient, too.
        let many = from >= 8;
        let mut inputs = Vec::new();
        if many {
            inputs.push(x.shallow_clone());
        }
        inputs.push(place(integers(kind, &[to, from, side, side], 1)));
        if with_bias {
            inputs.push(integers(kind, &[to], 3));
        }
        let padded = [height + 2 * padding[0], width + 2 * padding[1]];
        let pooled = padded.map(|n| (n - side + 1) / 2);
        let weights = integers(kind, &[images, to, pooled[0], pooled[1]], 1);
        let gradient = |_: &Tensor| weights.shallow_clone();
        let split = |p: &[Tensor]| {
            let first = usize::from(many);
            let x = if many { &p[0] } else { &x };
            let bias = p.get(first + 1).map(Tensor::shallow_clone);
            (x.shallow_clone(), p[first].shallow_clone(), bias)
        };
        let ours = results(&inputs, gradient, |p| {
            let (x, weight, bias) = split(p);
            conv_pool(&x, &weight, bias.as_ref(), padding).unwrap().unwrap()
        });
        let exactly: Vec<Tensor> =
            inputs.iter().map(|p| p.to_kind(Kind::Double)).collect();
        let exact = results(&exactly, gradient, |p| {
            let (x, weight, bias) = split(p);
            let x = x.to_kind(Kind::Double);
            let y = x.conv2d(&weight, bias.as_ref(), [1, 1], padding, [1, 1], 1);
            // The pooling compares rounded outputs.
            let y = y.to_kind(kind).to_kind(Kind::Double);
            y.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)
        });
        prop_assert_eq!(ours.len(), exact.len());
        for (ours, exact) in ours.iter().zip(&exact) {
            prop_assert_eq!(ours.size(), exact.size());
            prop_assert_eq!(floats(ours), floats(&exact.to_kind(kind)));
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// The numbers of channels that each kernel supports, images whose last row or column
        /// is not pooled, and more columns than registers.
        #[test]
        fn fast_results_are_those_of_convolution_and_pooling(
            n in 1..8_i64,
            side in prop::sample::select(&[3_i64, 5]),
            (from, to) in (0..12_i64, 1..12_i64),
            input in [5..15_i64, 5..40_i64],
            padding in [0..5_i64, 0..5_i64],
            with_bias: bool,
            bf16: bool,
            is_aligned: bool,
            seed: i64,
        ) {
            let padding = padding.map(|p| p % side);
            let is_pooled = [0, 1].iter().all(|&i| input[i] + 2 * padding[i] > side);
            let (from, to) = match (side, from) {
                (3, _) => (8 * (1 + from), 8 * to),
                (_, 0) => (1, 32 * (1 + to % 3)),
                (_, 1 | 2) => (3, 32 * (1 + to % 3)),
                _ => (32 * (1 + from % 2), 32 * (1 + to % 3)),
            };
            if !cpu_has_bf16() || !is_pooled {
                return Ok(());
            }
            tch::manual_seed(seed);
            let kind = if bf16 { Kind::BFloat16 } else { Kind::Float };
            check_fast(kind, side, [n, from, input[0], input[1]], to, padding, with_bias, is_aligned)?;
        }
    }

    #[test]
    fn karatsubas_kernel_divides_large_images_into_rows() {
        if !cpu_has_bf16() {
            return;
        }
        for kind in [Kind::Float, Kind::BFloat16] {
            for channels in [1, 3, 32] {
                let size = [3, channels, 71, 64];
                check_fast(kind, 5, size, 32, [2, 2], true, true).unwrap();
            }
        }
    }

    #[test]
    fn fast_kernels_send_a_gradient_to_the_last_nan() {
        if !cpu_has_bf16() {
            return;
        }
        let kind = Kind::Float;
        let x =
            channels_last(&Tensor::full([1, 32, 8, 8], f64::NAN, (kind, Device::Cpu)));
        let gradient = integers(kind, &[1, 32, 4, 4], 1);
        let of_input = |compute: &dyn Fn(&Tensor) -> Tensor| {
            let all = results(
                &[x.shallow_clone()],
                |_| gradient.shallow_clone(),
                |p| compute(&p[0]),
            );
            floats(&all[0])
        };
        for side in [3, 5] {
            let weight = channels_last(&integers(kind, &[32, 32, side, side], 1));
            let padding = [side / 2, side / 2];
            let ours =
                of_input(&|x| conv_pool(x, &weight, None, padding).unwrap().unwrap());
            let atens = of_input(&|x| {
                let y = x.conv2d(&weight, None::<Tensor>, [1, 1], padding, [1, 1], 1);
                y.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)
            });
            assert!(ours.iter().all(|v| v.is_finite()));
            assert_eq!(ours, atens);
        }
    }

    #[test]
    fn fast_kernels_refuse_what_they_do_not_support() {
        if !cpu_has_bf16() {
            return;
        }
        let random = |size: &[i64]| {
            channels_last(&Tensor::rand(size, (Kind::BFloat16, Device::Cpu)))
        };
        let bias = |count: i64| Tensor::rand([count], (Kind::BFloat16, Device::Cpu));
        let (x, weight) = (random(&[2, 3, 8, 8]), random(&[32, 3, 5, 5]));
        let is_none = |x: &Tensor, w: &Tensor, bias: Option<&Tensor>, padding| {
            conv_pool(x, w, bias, padding).unwrap().is_none()
        };
        assert!(!is_none(&x, &weight, Some(&bias(32)), [2, 2]));
        let few = random(&[2, 32, 8, 8]).set_requires_grad(true);
        assert!(!is_none(&few, &random(&[32, 32, 5, 5]), None, [2, 2]));
        assert!(is_none(&x, &weight, Some(&bias(31)), [2, 2]), "a short bias");
        assert!(is_none(&x, &weight.to_kind(Kind::Float), None, [2, 2]), "two dtypes");
        assert!(is_none(&x, &weight, None, [5, 2]), "padding without a pixel");
        assert!(is_none(&x, &weight, None, [-1, 2]), "negative padding");
        assert!(is_none(&x.narrow(2, 0, 5), &weight, None, [0, 0]), "no window");
        assert!(is_none(&x, &random(&[48, 3, 5, 5]), None, [2, 2]), "48 outputs");
        assert!(is_none(&x, &random(&[32, 3, 3, 3]), None, [1, 1]), "3x3 of 3 channels");
        assert!(is_none(&few, &random(&[32, 32, 3, 5]), None, [1, 1]), "a kernel of 3x5");
        let two = random(&[2, 2, 8, 8]);
        assert!(is_none(&two, &random(&[32, 2, 5, 5]), None, [2, 2]), "two channels");
        if !cpu_has_amx() {
            let leaf = x.detach().set_requires_grad(true);
            assert!(is_none(&leaf, &weight, None, [2, 2]), "a gradient of few channels");
        }
    }

    /// The largest differences from float64 of the output and of the weight's gradient.
    fn errors(
        x: &Tensor,
        weight: &Tensor,
        compute: impl Fn(&Tensor) -> Tensor,
    ) -> [f64; 2] {
        let pool = |y: &Tensor| y.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false);
        let exact = |p: &[Tensor]| {
            let x = x.to_kind(Kind::Double);
            pool(&x.conv2d(&p[0], None::<Tensor>, [1, 1], [2, 2], [1, 1], 1))
        };
        let exact = results(&[weight.to_kind(Kind::Double)], Tensor::ones_like, exact);
        let found =
            results(&[weight.shallow_clone()], Tensor::ones_like, |p| compute(&p[0]));
        let error = |i: usize| (&found[i] - &exact[i]).abs().max().double_value(&[]);
        [error(1), error(0)]
    }

    #[test]
    fn float32_is_as_exact_as_atens() {
        if !cpu_has_bf16() {
            return;
        }
        tch::manual_seed(0);
        let random = |size: &[i64]| {
            channels_last(&Tensor::randn(size, (Kind::Float, Device::Cpu)))
        };
        let x = random(&[4, 3, 16, 16]);
        let weight = random(&[32, 3, 5, 5]);
        let ours =
            errors(&x, &weight, |w| conv_pool(&x, w, None, [2, 2]).unwrap().unwrap());
        let atens = errors(&x, &weight, |w| {
            let y = x.conv2d(w, None::<Tensor>, [1, 1], [2, 2], [1, 1], 1);
            y.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)
        });
        assert!(
            ours[0] < 2.0 * atens[0] && ours[1] < 2.0 * atens[1],
            "{ours:?} {atens:?}"
        );
    }

    #[test]
    fn a_nan_reaches_every_output_that_sees_it_and_no_other_image() {
        if !cpu_has_amx() {
            return;
        }
        let random = |size: &[i64]| Tensor::rand(size, (Kind::BFloat16, Device::Cpu));
        let x = channels_last(&random(&[2, 1, 8, 8]));
        let weight = channels_last(&random(&[16, 1, 3, 3]));
        let pool = |x: &Tensor| conv_pool(x, &weight, None, [1, 1]).unwrap().unwrap();
        let before = pool(&x);
        let _ = x.get(0).get(0).get(3).get(3).fill_(f64::NAN);
        let after = pool(&x);
        let window = |image: i64, row: i64, column: i64| {
            floats(&after.get(image).select(1, row).select(1, column))
        };
        for (row, column) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
            assert!(window(0, row, column).iter().all(|v| v.is_nan()), "{row} {column}");
        }
        assert!(window(0, 0, 3).iter().all(|v| v.is_finite()));
        assert_eq!(floats(&after.get(1)), floats(&before.get(1)));
    }

    #[test]
    fn the_gradients_do_not_depend_on_the_number_of_threads() {
        if !cpu_has_bf16() {
            return;
        }
        for kind in [Kind::Float, Kind::BFloat16] {
            let random = |size: &[i64]| {
                Tensor::randn(size, (Kind::Float, Device::Cpu)).to_kind(kind)
            };
            let weights = random(&[37, 32, 16, 16]);
            let gradient = |_: &Tensor| weights.shallow_clone();
            let bias = random(&[32]);
            let x = channels_last(&random(&[37, 3, 32, 32]));
            let few = [channels_last(&random(&[32, 3, 5, 5])), bias.shallow_clone()];
            same_on_any_threads(|| {
                results(&few, gradient, |p| {
                    conv_pool(&x, &p[0], p.get(1), [2, 2]).unwrap().unwrap()
                })
            });
            for (side, channels) in [(3, 24), (3, 160), (5, 64)] {
                let many = [
                    channels_last(&random(&[37, channels, 32, 32])),
                    channels_last(&random(&[32, channels, side, side])),
                    bias.shallow_clone(),
                ];
                same_on_any_threads(|| {
                    results(&many, gradient, |p| {
                        let padding = [side / 2, side / 2];
                        conv_pool(&p[0], &p[1], p.get(2), padding).unwrap().unwrap()
                    })
                });
            }
        }
    }

    #[test]
    fn a_nan_reaches_every_output_of_fast_kernels_that_sees_it_and_no_other_image() {
        if !cpu_has_bf16() {
            return;
        }
        let threads = tch::get_num_threads();
        // One thread has all images in one block.
        tch::set_num_threads(1);
        for kind in [Kind::Float, Kind::BFloat16] {
            for (side, channels, padding) in [
                (5, 1, 2),
                (5, 3, 2),
                (5, 32, 2),
                (5, 1, 0),
                (5, 3, 0),
                (5, 32, 0),
                (3, 24, 1),
                (3, 32, 0),
            ] {
                let random = |size: &[i64]| {
                    channels_last(&Tensor::rand(size, (kind, Device::Cpu)))
                };
                let x = random(&[3, channels, 12, 16]);
                let weight = random(&[32, channels, side, side]);
                let pool = |x: &Tensor| {
                    conv_pool(x, &weight, None, [padding, padding]).unwrap().unwrap()
                };
                let before = pool(&x);
                let _ = x.get(1).get(0).get(0).get(0).fill_(f64::NAN);
                let after = pool(&x);
                let seen = after.get(1).select(1, 0).select(1, 0);
                assert!(floats(&seen).iter().all(|v| v.is_nan()));
                for other in [0, 2] {
                    assert_eq!(floats(&after.get(other)), floats(&before.get(other)));
                }
            }
        }
        tch::set_num_threads(threads);
    }

    #[test]
    fn what_is_not_supported_is_left_to_other_kernels() {
        let x = Tensor::rand([2, 3, 8, 8], (Kind::BFloat16, Device::Cpu));
        let last = channels_last(&x);
        let weight =
            channels_last(&Tensor::rand([16, 3, 3, 3], (Kind::BFloat16, Device::Cpu)));
        let is_none =
            |x: &Tensor, w: &Tensor| conv_pool(x, w, None, [1, 1]).unwrap().is_none();
        assert!(is_none(&x, &weight), "channels first");
        assert!(is_none(&last.to_kind(Kind::Double), &weight.to_kind(Kind::Double)));
        assert!(is_none(&last.to_kind(Kind::Float), &weight), "two dtypes");
        assert!(is_none(&last, &weight.narrow(0, 0, 8)), "few output channels");
        assert!(is_none(&last.detach().set_requires_grad(true), &weight));
        let wide =
            channels_last(&Tensor::rand([16, 3, 3, 7], (Kind::BFloat16, Device::Cpu)));
        assert!(is_none(&last, &wide), "more than 16 elements in a row of the kernel");
        let other =
            channels_last(&Tensor::rand([16, 2, 3, 3], (Kind::BFloat16, Device::Cpu)));
        assert!(is_none(&last, &other), "another number of channels");
        assert!(!is_chosen(&last, &[16, 3, 3, 3], [1, 1], [3, 3]));
        assert!(!is_chosen(&last, &[16, 3, 3, 3], [3, 1], [2, 2]));
        assert!(!is_chosen(&last, &[16, 8, 3, 3], [1, 1], [2, 2]));
    }
}
