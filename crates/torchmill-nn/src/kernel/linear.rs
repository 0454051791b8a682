//! Linear layers whose float32 products are computed by oneDNN or by our kernel for AMX.
//!
//! ATen multiplies float32 matrices with MKL, which uses only half of an AMD processor's
//! speed: on two Zen 5 cores, MKL reached 213 GFLOP/s and oneDNN 489 for a product of
//! 2048 x 2048 matrices. ATen offers oneDNN's product as an operator for compiled
//! networks, `mkldnn::_linear_pointwise`. With AMX, large products take 0.65 to 0.85 of
//! MKL's time (docs/speed.md).

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
    let products = products();
    if products != Products::Aten
        && let Some(y) = linear_by(products, x, weight, bias)?
    {
        return Ok(y);
    }
    x.f_linear(weight, bias)
}

/// The same with oneDNN or AMX. `None` unless all tensors are float32 on the CPU, and if
/// the matrices are too small for AMX.
fn linear_by(
    products: Products,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Option<Tensor>, TchError> {
    let undefined = Tensor::new();
    let bias = bias.unwrap_or(&undefined);
    from_cpp(ffi::linear(to_cpp(x), to_cpp(weight), to_cpp(bias), products))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;
    use tch::{Device, Kind};

    use super::*;
    use crate::kernel::testing::{check_float32, results, same_on_any_threads, waves};
    use crate::precision::cpu_has_amx;

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
            check(Products::OneDnn, &rows, inputs, outputs, with_bias, transposed, seed)?;
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        /// Sizes that are not multiples of a tile, with more than one chunk of steps.
        #[test]
        fn amxs_products_are_atens(
            rows in 430..700_i64,
            (inputs, outputs) in (440..1700_i64, 440..600_i64),
            with_bias: bool,
            transposed: bool,
            seed: i64,
        ) {
            if cpu_has_amx() {
                check(Products::Amx, &[rows], inputs, outputs, with_bias, transposed, seed)?;
            }
        }
    }

    fn check(
        products: Products,
        rows: &[i64],
        inputs: i64,
        outputs: i64,
        with_bias: bool,
        transposed: bool,
        seed: i64,
    ) -> Result<(), TestCaseError> {
        tch::manual_seed(seed);
        let random = |size: &[i64]| Tensor::randn(size, (Kind::Float, Device::Cpu));
        let x = if transposed {
            random(&[inputs, rows[0]]).transpose(0, 1)
        } else {
            random(&[rows, &[inputs]].concat())
        };
        let mut tensors = vec![x, random(&[outputs, inputs])];
        if with_bias {
            tensors.push(random(&[outputs]));
        }
        let ours =
            |p: &[Tensor]| linear_by(products, &p[0], &p[1], p.get(2)).unwrap().unwrap();
        check_float32(&tensors, ours, |p| p[0].linear(&p[1], p.get(2)), 1e-6)
    }

    #[test]
    fn amxs_products_do_not_depend_on_the_number_of_threads() {
        if !cpu_has_amx() {
            return;
        }
        let random = |size: &[i64]| Tensor::randn(size, (Kind::Float, Device::Cpu));
        let tensors = [random(&[500, 900]), random(&[444, 900]), random(&[444])];
        let compute = |p: &[Tensor]| {
            linear_by(Products::Amx, &p[0], &p[1], p.get(2)).unwrap().unwrap()
        };
        same_on_any_threads(|| results(&tensors, waves, compute));
    }

    #[test]
    fn what_does_not_fit_is_left_to_aten() {
        let x = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
        let wrong = Tensor::zeros([4, 5], (Kind::Float, Device::Cpu));
        assert!(linear_by(Products::OneDnn, &x, &wrong, None).unwrap().is_none());
        assert!(linear(&x, &wrong, None).is_err());
        let bf16 = x.to_kind(Kind::BFloat16);
        assert!(linear_by(Products::OneDnn, &bf16, &bf16, None).unwrap().is_none());
        assert!(linear_by(Products::Amx, &x, &x, None).unwrap().is_none(), "too small");
    }
}
