//! The Newton-Schulz iteration, which makes a matrix nearly orthogonal.
//!
//! G. Schulz, "Iterative Berechnung der reziproken Matrix", 1933. As a polynomial of
//! degree 5: K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks",
//! 2024. The order of operations is torch.optim.Muon's.

use tch::{Device, TchError, Tensor};

use super::bridge::ffi;
use super::bridge::{from_cpp, to_cpp};
use crate::precision::cpu_has_bf16;

/// The settings of the iteration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Iteration {
    /// A step computes `a X + (b G + c G G) X`, where `G` is `X X^T`.
    pub(crate) coefficients: [f64; 3],
    /// The lower bound for the norm by which the matrix is divided before the first step.
    pub(crate) eps: f64,
    /// The number of steps.
    pub(crate) steps: u32,
}

/// For a matrix `U S V^T`, returns approximately `U V^T`, with singular values from 0.5
/// to 1.5 instead of 1.
///
/// It computes in bfloat16, as PyTorch does, which is precise enough. On a processor
/// without bfloat16 instructions that would take many times as long, so float32 is used.
pub(crate) fn newton_schulz(
    matrix: &Tensor,
    iteration: &Iteration,
) -> Result<Tensor, TchError> {
    let [a, b, c] = iteration.coefficients;
    let settings = ffi::NewtonSchulz {
        a,
        b,
        c,
        eps: iteration.eps,
        steps: i64::from(iteration.steps),
        bf16: matrix.device() != Device::Cpu || cpu_has_bf16(),
    };
    let result = from_cpp(ffi::newton_schulz(to_cpp(matrix), &settings))?;
    result.ok_or_else(|| TchError::Torch("no result of the iteration".to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use tch::Kind;

    use super::*;

    const MUON: Iteration =
        Iteration { coefficients: [3.4445, -4.7750, 2.0315], eps: 1e-7, steps: 5 };

    #[test]
    fn singular_values_become_about_one() {
        tch::manual_seed(1);
        for size in [[8, 40], [40, 8], [16, 16]] {
            let matrix = Tensor::randn(size, (Kind::Float, Device::Cpu));
            let before = matrix.copy();
            let found = newton_schulz(&matrix, &MUON).unwrap().to_kind(Kind::Float);
            assert_eq!(found.size(), size);
            assert!(matrix.equal(&before), "the argument is not changed");
            let (_, values, _) = found.svd(true, true);
            let [least, most] = [values.min(), values.max()].map(|v| v.double_value(&[]));
            assert!(least > 0.3 && most < 1.3, "{size:?}: {least} to {most}");
        }
    }

    #[test]
    fn zeros_stay_zeros() {
        let zeros = Tensor::zeros([3, 4], (Kind::Float, Device::Cpu));
        let found = newton_schulz(&zeros, &MUON).unwrap();
        assert_eq!(found.abs().max().double_value(&[]), 0.0);
    }
}
