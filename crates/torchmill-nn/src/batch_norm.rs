//! Batch norm in training, with what often follows it: the sum with a residual and ReLU.
//!
//! S. Ioffe and C. Szegedy, "Batch Normalization", 2015; the rules are
//! torch.nn.BatchNorm2d's. What such a layer costs is the memory that it goes through.
//! ATen goes through it 14 times, forward and backward, for batch norm and ReLU, and 17
//! with a residual; these kernels 10 and 12 times. A ResNet-18's bf16 step of 64 images
//! went from 254 to 218 ms. Sums are made of blocks of pixels, which are added up in
//! order in float64: they do not depend on the number of threads.

use std::ffi::{c_char, c_void};
use std::ptr::null;

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

use crate::cpp::made;
use crate::element::{Element, vectorised};

/// What a channel is multiplied with and what is added to it, and the running statistics.
pub(crate) struct Parameters<'a> {
    /// Weight and bias, float32 `[C]`.
    pub(crate) affine: Option<&'a [Tensor; 2]>,
    /// Mean and unbiased variance, float32 `[C]`, which a step changes.
    pub(crate) running: Option<[&'a Tensor; 2]>,
    /// The share of this batch in the running statistics.
    pub(crate) momentum: f64,
    pub(crate) eps: f64,
}

/// Normalises each channel of `[N, C, H, W]` over the batch, adds `plus`, of the same
/// shape, where there is one, and cuts off below 0 where `relu` is set: differentiable,
/// once. `None` where `x` is empty or not float32 or bfloat16 in channels-last layout on
/// the CPU, `plus` is something else, or the parameters are not float32, which is left to
/// ATen.
pub(crate) fn batch_norm(
    x: &Tensor,
    parameters: &Parameters,
    plus: Option<&Tensor>,
    relu: bool,
) -> Result<Option<Tensor>, TchError> {
    let or_null = |t: Option<&Tensor>| t.map_or(null(), |t| t.as_ptr());
    let tensors = Tensors {
        x: x.as_ptr(),
        weight: or_null(parameters.affine.map(|a| &a[0])),
        bias: or_null(parameters.affine.map(|a| &a[1])),
        plus: or_null(plus),
        running_mean: or_null(parameters.running.map(|r| r[0])),
        running_var: or_null(parameters.running.map(|r| r[1])),
    };
    let mut error = std::ptr::null_mut();
    // SAFETY: the pointers are null or of tensors that live through the call, which
    // changes the running statistics alone.
    let tensor = unsafe {
        torchmill_batch_norm(
            &tensors,
            parameters.momentum,
            parameters.eps,
            relu,
            &mut error,
        )
    };
    // SAFETY: it is what such a function returns.
    unsafe { made(tensor, error) }
}

/// As in batch_norm.cpp.
#[repr(C)]
struct Tensors {
    x: *const C_tensor,
    weight: *const C_tensor,
    bias: *const C_tensor,
    plus: *const C_tensor,
    running_mean: *const C_tensor,
    running_var: *const C_tensor,
}

unsafe extern "C" {
    /// In batch_norm.cpp.
    fn torchmill_batch_norm(
        tensors: &Tensors,
        momentum: f64,
        eps: f64,
        relu: bool,
        error: *mut *mut c_char,
    ) -> *mut C_tensor;
}

/// A block of a batch's pixels, `[pixels, channels]`, as in batch_norm.cpp.
#[repr(C)]
struct Block {
    pixels: usize,
    channels: usize,
    bf16: bool,
    relu: bool,
}

impl Block {
    /// # Safety
    /// `elements` points to so many elements that nobody writes, or is null.
    unsafe fn read<'a, T>(&self, elements: *const c_void) -> &'a [T] {
        if elements.is_null() {
            return &[];
        }
        // SAFETY: the caller's promise.
        unsafe {
            std::slice::from_raw_parts(elements.cast(), self.pixels * self.channels)
        }
    }

    /// # Safety
    /// `elements` points to so many elements that nobody else has, or is null.
    unsafe fn write<'a, T>(&self, elements: *mut c_void) -> &'a mut [T] {
        if elements.is_null() {
            return &mut [];
        }
        // SAFETY: the caller's promise.
        unsafe {
            std::slice::from_raw_parts_mut(elements.cast(), self.pixels * self.channels)
        }
    }

    /// # Safety
    /// `values` points to a float for each channel that nobody writes.
    unsafe fn channels<'a>(&self, values: *const f32) -> &'a [f32] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts(values, self.channels) }
    }

    /// # Safety
    /// `values` points to a float for each channel that nobody else has.
    unsafe fn channels_mut<'a>(&self, values: *mut f32) -> &'a mut [f32] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(values, self.channels) }
    }
}

/// The mean of a block of pixels, and the sum of the squares of what they are from it,
/// channel by channel.
///
/// # Safety
/// The pointers are to as many elements as `block` says; `mean` and `squares`, of a float
/// a channel, are nobody else's.
#[unsafe(no_mangle)]
unsafe extern "C" fn torchmill_batch_norm_statistics(
    block: &Block,
    x: *const c_void,
    mean: *mut f32,
    squares: *mut f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let (mean, squares) = (block.channels_mut(mean), block.channels_mut(squares));
        if block.bf16 {
            statistics::<u16>(block.read(x), mean, squares);
        } else {
            statistics::<f32>(block.read(x), mean, squares);
        }
    }
}

/// `x * scale + shift`, plus `plus` where that is not null, cut off below 0 where `block`
/// says so.
///
/// # Safety
/// The pointers are to as many elements as `block` says, those of `scale` and `shift` to
/// a float a channel; `y` is nobody else's.
#[unsafe(no_mangle)]
unsafe extern "C" fn torchmill_batch_norm_forward(
    block: &Block,
    x: *const c_void,
    plus: *const c_void,
    scale: *const f32,
    shift: *const f32,
    y: *mut c_void,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let (scale, shift) = (block.channels(scale), block.channels(shift));
        if block.bf16 {
            forward::<u16>(
                block.read(x),
                block.read(plus),
                scale,
                shift,
                block.relu,
                block.write(y),
            );
        } else {
            forward::<f32>(
                block.read(x),
                block.read(plus),
                scale,
                shift,
                block.relu,
                block.write(y),
            );
        }
    }
}

/// The sums over a block of the gradient, and of the gradient times `x - mean`, channel
/// by channel. Where `block` says that y was cut off, its gradient is 0 where it was.
///
/// # Safety
/// As above; `sum` and `dot`, of a float a channel, are nobody else's.
#[unsafe(no_mangle)]
unsafe extern "C" fn torchmill_batch_norm_sums(
    block: &Block,
    x: *const c_void,
    y: *const c_void,
    gradient: *const c_void,
    mean: *const f32,
    sum: *mut f32,
    dot: *mut f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let (mean, sum, dot) =
            (block.channels(mean), block.channels_mut(sum), block.channels_mut(dot));
        if block.bf16 {
            sums::<u16>(
                block.read(x),
                block.read(y),
                block.read(gradient),
                block.relu,
                mean,
                sum,
                dot,
            );
        } else {
            sums::<f32>(
                block.read(x),
                block.read(y),
                block.read(gradient),
                block.relu,
                mean,
                sum,
                dot,
            );
        }
    }
}

/// The gradient of x, `scale * gradient + slope * (x - mean) + offset`, and of what was
/// added, where that is not null.
///
/// # Safety
/// As above; `of_x` and `of_plus` are nobody else's.
#[unsafe(no_mangle)]
unsafe extern "C" fn torchmill_batch_norm_backward(
    block: &Block,
    x: *const c_void,
    y: *const c_void,
    gradient: *const c_void,
    factors: &Factors,
    of_x: *mut c_void,
    of_plus: *mut c_void,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let factors = [factors.mean, factors.scale, factors.slope, factors.offset];
        let factors = factors.map(|f| block.channels(f));
        let relu = block.relu;
        if block.bf16 {
            let [x, y, gradient] = [x, y, gradient].map(|p| block.read::<u16>(p));
            backward(
                x,
                y,
                gradient,
                relu,
                factors,
                block.write(of_x),
                block.write(of_plus),
            );
        } else {
            let [x, y, gradient] = [x, y, gradient].map(|p| block.read::<f32>(p));
            backward(
                x,
                y,
                gradient,
                relu,
                factors,
                block.write(of_x),
                block.write(of_plus),
            );
        }
    }
}

/// Of [`torchmill_batch_norm_backward`], a float a channel: as in batch_norm.cpp.
#[repr(C)]
struct Factors {
    mean: *const f32,
    scale: *const f32,
    slope: *const f32,
    offset: *const f32,
}

vectorised!(statistics, statistics_plain, (x: &[T], mean: &mut [f32], squares: &mut [f32]));
vectorised!(
    forward,
    forward_plain,
    (x: &[T], plus: &[T], scale: &[f32], shift: &[f32], relu: bool, y: &mut [T])
);
vectorised!(
    sums,
    sums_plain,
    (x: &[T], y: &[T], gradient: &[T], relu: bool, mean: &[f32], sum: &mut [f32], dot: &mut [f32])
);
vectorised!(
    backward,
    backward_plain,
    (x: &[T], y: &[T], gradient: &[T], relu: bool, factors: [&[f32]; 4], of_x: &mut [T], of_plus: &mut [T])
);

/// Twice through the block, which a cache holds: the squares of differences from a mean
/// that is not known yet would lose digits.
#[inline(always)]
fn statistics_plain<T: Element>(x: &[T], mean: &mut [f32], squares: &mut [f32]) {
    let channels = mean.len();
    let share = channels as f32 / x.len() as f32;
    mean.fill(0.0);
    squares.fill(0.0);
    for x in x.chunks_exact(channels) {
        for (mean, x) in mean.iter_mut().zip(x) {
            *mean += x.value();
        }
    }
    mean.iter_mut().for_each(|mean| *mean *= share);
    for x in x.chunks_exact(channels) {
        for ((squares, mean), x) in squares.iter_mut().zip(&*mean).zip(x) {
            let from = x.value() - mean;
            *squares += from * from;
        }
    }
}

#[inline(always)]
fn forward_plain<T: Element>(
    x: &[T],
    plus: &[T],
    scale: &[f32],
    shift: &[f32],
    relu: bool,
    y: &mut [T],
) {
    let channels = scale.len();
    // As torch.relu: NaN stays NaN.
    let cut = |value: f32| if relu && value <= 0.0 { 0.0 } else { value };
    // Where nothing is added, `plus` is not looked at.
    let (plus, adds) = if plus.is_empty() { (x, false) } else { (plus, true) };
    let pixels = x.chunks_exact(channels).zip(plus.chunks_exact(channels));
    for ((x, plus), y) in pixels.zip(y.chunks_exact_mut(channels)) {
        for ((((y, x), plus), scale), shift) in
            y.iter_mut().zip(x).zip(plus).zip(scale).zip(shift)
        {
            let normalised = x.value() * scale + shift;
            *y = T::nearest(cut(if adds {
                normalised + plus.value()
            } else {
                normalised
            }));
        }
    }
}

/// The gradient before ReLU, as ATen has it: 0 where y is not above 0, and NaN's own
/// where y is NaN.
#[inline(always)]
fn before<T: Element>(relu: bool, y: T, gradient: T) -> f32 {
    if relu && y.value() <= 0.0 { 0.0 } else { gradient.value() }
}

#[inline(always)]
fn sums_plain<T: Element>(
    x: &[T],
    y: &[T],
    gradient: &[T],
    relu: bool,
    mean: &[f32],
    sum: &mut [f32],
    dot: &mut [f32],
) {
    let channels = mean.len();
    sum.fill(0.0);
    dot.fill(0.0);
    // Without ReLU, y is not looked at.
    let y = if relu { y } else { x };
    let pixels = x
        .chunks_exact(channels)
        .zip(y.chunks_exact(channels))
        .zip(gradient.chunks_exact(channels));
    for ((x, y), gradient) in pixels {
        let inputs = x.iter().zip(y).zip(gradient).zip(mean);
        for ((((x, y), gradient), mean), (sum, dot)) in
            inputs.zip(sum.iter_mut().zip(dot.iter_mut()))
        {
            let gradient = before(relu, *y, *gradient);
            *sum += gradient;
            *dot += gradient * (x.value() - mean);
        }
    }
}

#[inline(always)]
fn backward_plain<T: Element>(
    x: &[T],
    y: &[T],
    gradient: &[T],
    relu: bool,
    [mean, scale, slope, offset]: [&[f32]; 4],
    of_x: &mut [T],
    of_plus: &mut [T],
) {
    let channels = mean.len();
    let y = if relu { y } else { x };
    let pixels = x
        .chunks_exact(channels)
        .zip(y.chunks_exact(channels))
        .zip(gradient.chunks_exact(channels));
    // A pixel's row at a time, where something was added: the nearest cache has what both
    // loops read.
    let mut of_plus = of_plus.chunks_exact_mut(channels);
    for (((x, y), gradient), of_x) in pixels.zip(of_x.chunks_exact_mut(channels)) {
        if let Some(of_plus) = of_plus.next() {
            for ((of_plus, y), gradient) in of_plus.iter_mut().zip(y).zip(gradient) {
                *of_plus = T::nearest(before(relu, *y, *gradient));
            }
        }
        let factors = mean.iter().zip(scale).zip(slope).zip(offset);
        let inputs = x.iter().zip(y).zip(gradient).zip(factors);
        for ((((x, y), gradient), (((mean, scale), slope), offset)), of_x) in
            inputs.zip(of_x)
        {
            let gradient = before(relu, *y, *gradient);
            *of_x = T::nearest(gradient * scale + ((x.value() - mean) * slope + offset));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;
    use tch::{Device, Kind};

    use super::*;
    use crate::tensor::channels_last;

    /// Input, weight, bias, what is added, and the running statistics.
    struct Inputs {
        x: Tensor,
        affine: Option<[Tensor; 2]>,
        plus: Option<Tensor>,
        running: Option<[Tensor; 2]>,
    }

    impl Inputs {
        /// The same in float64, for ATen to compute exactly.
        fn exact(&self) -> Self {
            let double = |t: &Tensor| t.to_kind(Kind::Double);
            Self {
                x: double(&self.x),
                affine: self.affine.as_ref().map(|a| a.each_ref().map(double)),
                plus: self.plus.as_ref().map(double),
                running: self.running.as_ref().map(|r| r.each_ref().map(double)),
            }
        }

        /// The output, all gradients, for an output's gradient that is no constant, and
        /// the running statistics.
        fn results(&mut self, norm: impl Fn(&Self) -> Tensor) -> Vec<Tensor> {
            fn learns(t: &Tensor) -> Tensor {
                t.detach().set_requires_grad(true)
            }
            self.x = learns(&self.x);
            self.affine = self.affine.as_ref().map(|a| a.each_ref().map(learns));
            self.plus = self.plus.as_ref().map(learns);
            let y = norm(self);
            // The same to the last bit in every type.
            let steps = Tensor::arange(y.numel() as i64, (Kind::Float, Device::Cpu))
                .remainder(17);
            let waves =
                channels_last(&((steps - 8) / 8).reshape(y.size()).to_kind(y.kind()));
            let inputs: Vec<&Tensor> = std::iter::once(&self.x)
                .chain(self.affine.iter().flatten())
                .chain(&self.plus)
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
            [with_affine, with_plus, with_running, relu, bf16] in any::<[bool; 5]>(),
            (offset, momentum) in (-10.0..10.0_f64, 0.01..1.0_f64),
            seed: i64,
        ) {
            tch::manual_seed(seed);
            let float = |size: &[i64]| Tensor::randn(size, (Kind::Float, Device::Cpu));
            let kind = if bf16 { Kind::BFloat16 } else { Kind::Float };
            let size = [n, c, height, width];
            // A mean far from 0, beside the deviation.
            let mut inputs = Inputs {
                x: channels_last(&(float(&size) + offset).to_kind(kind)),
                affine: with_affine.then(|| [float(&[c]), float(&[c])]),
                plus: with_plus.then(|| channels_last(&float(&size).to_kind(kind))),
                running: with_running.then(|| [float(&[c]), float(&[c]).abs()]),
            };
            let mut exact = inputs.exact();
            let eps = 1e-5;
            let ours = inputs.results(|i| {
                let running = i.running.as_ref().map(|r| [&r[0], &r[1]]);
                let parameters = Parameters { affine: i.affine.as_ref(), running, momentum, eps };
                batch_norm(&i.x, &parameters, i.plus.as_ref(), relu).unwrap().unwrap()
            });
            // Where y is close to 0, its rounding decides what ReLU does to the gradient:
            // ours is the measure.
            let kept = ours[ours.len() - 1 - if with_running { 2 } else { 0 }].gt(0.0);
            let exact = exact.results(|i| {
                let [weight, bias] = i.affine.as_ref().map_or([None, None], |[w, b]| [Some(w), Some(b)]);
                let [mean, var] = i.running.as_ref().map_or([None, None], |[m, v]| [Some(m), Some(v)]);
                let y = i.x.batch_norm(weight, bias, mean, var, true, momentum, eps, false);
                let y = i.plus.as_ref().map_or(y.shallow_clone(), |plus| y + plus);
                if relu { y.where_scalarother(&kept, 0.0) } else { y }
            });
            prop_assert_eq!(ours.len(), exact.len());
            for (i, (ours, exact)) in ours.iter().zip(&exact).enumerate() {
                prop_assert_eq!(ours.size(), exact.size());
                let most = |t: &Tensor| t.abs().max().double_value(&[]);
                let (difference, largest) = (most(&(ours.to_kind(Kind::Double) - exact)), most(exact));
                // Float32 throughout, and a mean far from 0; bfloat16 rounds what it is
                // stored as.
                let limit = if ours.kind() == Kind::BFloat16 { 1.0 / 256.0 } else { 1e-4 };
                prop_assert!(difference <= limit * largest.max(1.0), "{i}: {difference} of {largest}");
            }
        }
    }

    #[test]
    fn nan_stays_and_takes_its_gradient() {
        let x = channels_last(&Tensor::rand([2, 1, 2, 2], (Kind::Float, Device::Cpu)));
        let plus = Tensor::from_slice(&[f32::NAN, -9.0, 9.0, 0.0])
            .reshape([1, 1, 2, 2])
            .repeat([2, 1, 1, 1]);
        let plus = plus.set_requires_grad(true);
        let parameters =
            Parameters { affine: None, running: None, momentum: 0.1, eps: 1e-5 };
        let y = batch_norm(&x, &parameters, Some(&plus), true).unwrap().unwrap();
        let gradient =
            Tensor::run_backward(&[y.sum(Kind::Float)], &[&plus], false, false);
        let floats = crate::tensor::floats;
        assert!(floats(&y)[0].is_nan() && floats(&y)[1] == 0.0 && floats(&y)[2] > 0.0);
        assert_eq!(floats(&gradient[0])[..3], [1.0, 0.0, 1.0]);
    }

    #[test]
    fn what_it_does_not_take_is_left_to_aten() {
        let x = Tensor::rand([2, 3, 4, 4], (Kind::Float, Device::Cpu));
        let parameters =
            Parameters { affine: None, running: None, momentum: 0.1, eps: 1e-5 };
        let taken = |x: &Tensor, plus: Option<&Tensor>| {
            batch_norm(x, &parameters, plus, false).unwrap().is_some()
        };
        assert!(!taken(&x, None), "channels first");
        assert!(!taken(&channels_last(&x.to_kind(Kind::Double)), None));
        assert!(!taken(&channels_last(&x), Some(&x)), "what is added is channels first");
        assert!(
            !taken(&channels_last(&x), Some(&channels_last(&x.narrow(1, 0, 1)))),
            "another shape"
        );
        assert!(taken(&channels_last(&x), Some(&channels_last(&x))));
    }
}
