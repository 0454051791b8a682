//! The arithmetic that the layers compute in. The weights, the loss and the optimizer are
//! always float32.

use tch::Kind;
use torchmill::recipe::Precision;
use torchmill::{Error, Result};

use crate::kernel::processor::Processor;

/// Resolves `auto`: bf16 if the device supports it in hardware. fp16 and tf32 need CUDA:
/// on the CPU, libtorch has only a few slow float16 kernels, and no TensorFloat-32.
pub fn resolve(precision: Precision, device: tch::Device) -> Result<Precision> {
    match precision {
        Precision::Auto if device.is_cuda() || cpu_has_bf16() => Ok(Precision::Bf16),
        Precision::Auto => Ok(Precision::Fp32),
        Precision::Fp16 | Precision::Tf32 if !device.is_cuda() => {
            Err(Error::usage(format_args!(
                "--precision {} needs a GPU (--device cuda); the CPU takes fp32 and bf16",
                if precision == Precision::Fp16 { "fp16" } else { "tf32" }
            )))
        }
        chosen => Ok(chosen),
    }
}

/// Why `auto` resolves to `resolved`, in words.
pub fn reason(resolved: Precision, device: tch::Device) -> &'static str {
    match resolved {
        Precision::Bf16 if device.is_cuda() => "bf16: the GPU computes it in hardware",
        Precision::Bf16 if cpu_has_amx() => "bf16: the processor has AMX",
        Precision::Bf16 => "bf16: the processor has AVX512-BF16",
        _ => "fp32: the processor has neither AMX nor AVX512-BF16",
    }
}

/// A name for this machine's processor and what multiplies matrices on it.
pub fn processor() -> &'static str {
    Processor::here().describe()
}

/// Call this before the first use of libtorch, which reads only once whether matrix
/// products may use TensorFloat-32. Convolutions always may, as in PyTorch.
pub fn prepare(precision: Precision) {
    if precision == Precision::Tf32 {
        // SAFETY: the programs call this before they start a thread that reads the
        // environment.
        unsafe { std::env::set_var("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "1") };
    }
}

/// The dtype that layers compute in.
pub fn kind(precision: Precision) -> Kind {
    match precision {
        Precision::Bf16 => Kind::BFloat16,
        Precision::Fp16 => Kind::Half,
        Precision::Fp32 | Precision::Tf32 | Precision::Auto => Kind::Float,
    }
}

/// Whether the processor multiplies bf16 matrices in hardware, with AVX512-BF16 or with
/// AMX, which implies it.
pub(crate) fn cpu_has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::arch::is_x86_feature_detected!("avx512bf16")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// Whether the processor has AMX's tiles for bf16 and the system lets programs use them.
/// Linux lists AMX only if it does.
pub(crate) fn cpu_has_amx() -> bool {
    let lists = |text: String| text.split_whitespace().any(|flag| flag == "amx_bf16");
    std::fs::read_to_string("/proc/cpuinfo").is_ok_and(lists)
}
