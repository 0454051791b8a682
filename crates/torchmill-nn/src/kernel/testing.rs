//! What the tests of the kernels share.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

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

/// The largest difference between two tensors, and the largest element.
pub(super) fn apart(ours: &Tensor, exact: &Tensor) -> (f64, f64) {
    let most = |t: &Tensor| t.abs().max().double_value(&[]);
    (most(&(ours.to_kind(Kind::Double) - exact)), most(exact))
}
