//! In which arithmetic the layers compute. The weights, the loss and the optimizer are always float32.

use tch::Kind;
use torchmill::recipe::Precision;
use torchmill::{Error, Result};

/// Reads `fp32`, `bf16` or `auto`.
pub fn parse(text: &str) -> Result<Precision> {
    match text {
        "fp32" => Ok(Precision::Fp32),
        "bf16" => Ok(Precision::Bf16),
        "auto" => Ok(Precision::Auto),
        _ => Err(Error::usage(format_args!("--precision `{text}` is none of fp32, bf16 and auto"))),
    }
}

/// What `auto` comes to here: bf16 where the device computes it in hardware.
pub fn resolve(precision: Precision, device: tch::Device) -> Precision {
    match precision {
        Precision::Auto if device.is_cuda() || cpu_has_bf16() => Precision::Bf16,
        Precision::Auto => Precision::Fp32,
        chosen => chosen,
    }
}

/// The element type that layers compute in.
pub fn kind(precision: Precision) -> Kind {
    match precision {
        Precision::Bf16 => Kind::BFloat16,
        Precision::Fp32 | Precision::Auto => Kind::Float,
    }
}

/// Whether the processor multiplies bf16 matrices in hardware (AMX or AVX512-BF16).
fn cpu_has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::arch::is_x86_feature_detected!("avx512bf16")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}
