//! What the tests of the kernels share.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;
use tch::{Device, Kind, Tensor};

/// The gradients of all inputs for a gradient `gradient` of the output, and the output.
pub(super) fn results(
    inputs: &[Tensor],
    gradient: impl Fn(&Tensor) -> Tensor,
    compute: impl Fn(&[Tensor]) -> Tensor,
) -> Vec<Tensor> {
    let mut leaves = Vec::new();
    for input in inputs {
        leaves.push(input.detach().set_requires_grad(true));
    }
    let y = compute(&leaves);
    let gradient = gradient(&y).to_kind(y.kind());
    let loss = (&y * gradient).sum(Kind::Double);
    let mut results = Tensor::run_backward(&[loss], &leaves, false, false);
    results.push(y);
    results
}

/// A gradient for an output `y`, whose values vary and are exact in every dtype.
pub(super) fn waves(y: &Tensor) -> Tensor {
    let steps =
        Tensor::arange(y.numel() as i64, (Kind::Float, Device::Cpu)).remainder(17);
    ((steps - 8) / 8).reshape(y.size())
}

/// A copy of a tensor `[N, C, H, W]` in channels-last layout whose elements are not aligned
/// to more than an element.
pub(super) fn misaligned(x: &Tensor) -> Tensor {
    let &[n, c, h, w] = &x.size()[..] else { panic!("four dimensions") };
    let memory = Tensor::zeros([x.numel() as i64 + 1], (x.kind(), Device::Cpu));
    let mut copy =
        memory.narrow(0, 1, x.numel() as i64).view([n, h, w, c]).permute([0, 3, 1, 2]);
    copy.copy_(x);
    copy
}

/// The largest difference between two tensors, and the largest element.
fn apart(ours: &Tensor, exact: &Tensor) -> (f64, f64) {
    let most = |t: &Tensor| t.abs().max().double_value(&[]);
    (most(&(ours.to_kind(Kind::Double) - exact)), most(exact))
}

/// Compares results with ATen's in float64: no element is off by more than `limit`, as a
/// share of the largest, or of 1 if that is more. Results in bfloat16 may be off by what
/// rounding them changes, instead.
pub(super) fn check_exact(
    ours: &[Tensor],
    exact: &[Tensor],
    limit: f64,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(ours.len(), exact.len());
    for i in 0..ours.len() {
        let is_bf16 = ours[i].kind() == Kind::BFloat16;
        check_within(&ours[i], &exact[i], if is_bf16 { 1.0 / 256.0 } else { limit })?;
    }
    Ok(())
}

/// The same for one result, with a limit for its dtype.
pub(super) fn check_within(
    ours: &Tensor,
    exact: &Tensor,
    limit: f64,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(ours.size(), exact.size());
    let (difference, largest) = apart(ours, exact);
    prop_assert!(difference <= limit * largest.max(1.0), "{difference} of {largest}");
    Ok(())
}

/// Compares float32 results with ATen's: `compute` and `aten` compute the same output. The
/// largest error, by ATen's results in float64, is at most four times ATen's, or `limit` of
/// the largest element, or of 1 if that is more. A second run gives the same bits.
pub(super) fn check_float32(
    inputs: &[Tensor],
    compute: impl Fn(&[Tensor]) -> Tensor,
    aten: impl Fn(&[Tensor]) -> Tensor,
    limit: f64,
) -> Result<(), TestCaseError> {
    let ours = results(inputs, waves, &compute);
    let again = results(inputs, waves, &compute);
    let doubles: Vec<Tensor> = inputs.iter().map(|t| t.to_kind(Kind::Double)).collect();
    let exact = results(&doubles, waves, &aten);
    let atens = results(inputs, waves, &aten);
    for i in 0..ours.len() {
        prop_assert!(ours[i].equal(&again[i]));
        prop_assert_eq!(ours[i].size(), exact[i].size());
        let (difference, largest) = apart(&ours[i], &exact[i]);
        let (of_aten, _) = apart(&atens[i], &exact[i]);
        let most = (4.0 * of_aten).max(limit * largest.max(1.0));
        prop_assert!(
            difference <= most,
            "{i}: {difference} of {largest}, ATen {of_aten}"
        );
    }
    Ok(())
}

/// Checks that 1, 2 and 3 threads compute the same bits, and returns the results.
pub(super) fn same_on_any_threads(compute: impl Fn() -> Vec<Tensor>) -> Vec<Tensor> {
    let threads = tch::get_num_threads();
    let mut all = Vec::new();
    for count in [1, 2, 3] {
        tch::set_num_threads(count);
        all.push(compute());
    }
    tch::set_num_threads(threads);
    for other in &all[1..] {
        for (one, several) in all[0].iter().zip(other) {
            assert!(one.equal(several));
        }
    }
    all.swap_remove(0)
}
