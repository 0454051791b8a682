//! Selects libraries and instructions by processor. Every choice that depends on the
//! processor is made here, by its vendor and its instructions, so that a machine always
//! gives the same result. `bench/products.py` measures what the table is based on.

use std::sync::LazyLock;

pub(crate) use super::bridge::ffi::Products;
use crate::precision::{cpu_has_amx, cpu_has_bf16};

/// A group of processors that are treated alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Processor {
    /// Intel's with AMX, from Sapphire Rapids on.
    Amx,
    /// AMD's with AVX512-BF16: Zen 4 and 5.
    AmdBf16,
    /// Another vendor's with AVX512-BF16.
    Avx512Bf16,
    /// AMD's without AVX512-BF16.
    Amd,
    /// Any other, with AVX2 or AVX512, or arm64.
    Other,
}

static PROCESSOR: LazyLock<Processor> = LazyLock::new(Processor::detect);

impl Processor {
    fn detect() -> Self {
        match (cpu_has_amx(), cpu_has_bf16(), is_amd()) {
            (true, ..) => Self::Amx,
            (false, true, true) => Self::AmdBf16,
            (false, true, false) => Self::Avx512Bf16,
            (false, false, true) => Self::Amd,
            (false, false, false) => Self::Other,
        }
    }

    /// This machine's processor.
    pub(crate) fn here() -> Self {
        *PROCESSOR
    }

    /// Whether it multiplies bfloat16 matrices in hardware.
    pub(crate) fn has_bf16(self) -> bool {
        self == Self::Amx || self.has_avx512_bf16()
    }

    /// Whether AVX512-BF16 is its fastest unit for matrices.
    pub(crate) fn has_avx512_bf16(self) -> bool {
        matches!(self, Self::AmdBf16 | Self::Avx512Bf16)
    }

    /// What multiplies float32 matrices. MKL is slow on processors that are not Intel's.
    pub(crate) fn products(self) -> Products {
        match self {
            Self::Amx => Products::Amx,
            Self::AmdBf16 | Self::Amd => Products::OneDnn,
            Self::Avx512Bf16 | Self::Other => Products::Aten,
        }
    }

    /// The name in run.jsonl, with what multiplies float32 matrices and whether convolutions
    /// are computed by Winograd's and Karatsuba's algorithms.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Amx => "AMX; fp32 products by AMX and MKL",
            Self::AmdBf16 => {
                "AMD, AVX512-BF16; fp32 products by oneDNN; convolutions by Winograd and Karatsuba"
            }
            Self::Avx512Bf16 => {
                "AVX512-BF16; fp32 products by MKL; convolutions by Winograd and Karatsuba"
            }
            Self::Amd => "AMD; fp32 products by oneDNN",
            Self::Other => "other; fp32 products by ATen's library",
        }
    }
}

/// What multiplies float32 matrices on this machine.
pub(crate) fn products() -> Products {
    Processor::here().products()
}

/// Whether AMD made the processor, according to Linux.
fn is_amd() -> bool {
    let says = |text: String| text.contains("AuthenticAMD");
    cfg!(target_arch = "x86_64")
        && std::fs::read_to_string("/proc/cpuinfo").is_ok_and(says)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_processor_multiplies_with_the_fastest_library() {
        use Processor::{Amd, AmdBf16, Amx, Avx512Bf16, Other};
        for (processor, products) in [
            (Amx, Products::Amx),
            (AmdBf16, Products::OneDnn),
            (Avx512Bf16, Products::Aten),
            (Amd, Products::OneDnn),
            (Other, Products::Aten),
        ] {
            assert_eq!(processor.products(), products, "{processor:?}");
            let says_onednn = processor.describe().contains("oneDNN");
            assert_eq!(says_onednn, products == Products::OneDnn, "{processor:?}");
        }
    }
}
