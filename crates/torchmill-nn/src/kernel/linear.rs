//! Linear layers whose float32 products are computed by oneDNN.
//!
//! ATen multiplies float32 matrices with MKL, which uses only half of an AMD processor's
//! speed: on two Zen 5 cores, MKL reached 213 GFLOP/s and oneDNN 489 for a product of
//! 2048 x 2048 matrices. ATen offers oneDNN's product as an operator for compiled
//! networks, `mkldnn::_linear_pointwise`.

use tch::{TchError, Tensor};

use super::bridge::ffi;
use super::bridge::{from_cpp, to_cpp};
use super::processor::{Products, products};

/// `torch.nn.functional.linear` of `[..., K]`, a weight `[N, K]` and a bias `[N]`.
/// Differentiable once.
pub(crate) fn linear(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor, TchError> {
    if products() == Products::OneDnn
        && let Some(y) = onednn_linear(x, weight, bias)?
    {
        return Ok(y);
    }
    x.f_linear(weight, bias)
}

/// The same with oneDNN. `None` unless all tensors are float32 on the CPU.
fn onednn_linear(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Option<Tensor>, TchError> {
    let undefined = Tensor::new();
    let bias = bias.unwrap_or(&undefined);
    from_cpp(ffi::linear(to_cpp(x), to_cpp(weight), to_cpp(bias)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;
    use tch::{Device, Kind};

    use super::*;
    use crate::kernel::testing::{apart, results, waves};

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn onednns_products_are_atens(
            rows in proptest::collection::vec(1..9_i64, 1..3),
            (inputs, outputs) in (1..70_i64, 1..40_i64),
            with_bias: bool,
            transposed: bool,
            seed: i64,
        ) {
            tch::manual_seed(seed);
            let random = |size: &[i64]| Tensor::randn(size, (Kind::Float, Device::Cpu));
            let x = if transposed {
                random(&[inputs, rows[0]]).transpose(0, 1)
            } else {
                random(&[&rows[..], &[inputs]].concat())
            };
            let mut tensors = vec![x, random(&[outputs, inputs])];
            if with_bias {
                tensors.push(random(&[outputs]));
            }
            let ours = |p: &[Tensor]| onednn_linear(&p[0], &p[1], p.get(2)).unwrap().unwrap();
            let found = results(&tensors, waves, ours);
            let again = results(&tensors, waves, ours);
            let doubles: Vec<Tensor> = tensors.iter().map(|t| t.to_kind(Kind::Double)).collect();
            let exact = results(&doubles, waves, |p| p[0].linear(&p[1], p.get(2)));
            for ((found, again), exact) in found.iter().zip(&again).zip(&exact) {
                prop_assert!(found.equal(again));
                prop_assert_eq!(found.size(), exact.size());
                let (difference, largest) = apart(found, exact);
                prop_assert!(difference <= 1e-5 * largest.max(1.0), "{} of {}", difference, largest);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_left_to_aten() {
        let x = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
        let wrong = Tensor::zeros([4, 5], (Kind::Float, Device::Cpu));
        assert!(onednn_linear(&x, &wrong, None).unwrap().is_none());
        assert!(linear(&x, &wrong, None).is_err());
        let bf16 = x.to_kind(Kind::BFloat16);
        assert!(onednn_linear(&bf16, &bf16, None).unwrap().is_none());
    }
}
