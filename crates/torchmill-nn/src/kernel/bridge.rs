//! The functions of the kernels that Rust and C++ call in each other.
//!
//! cxx generates both sides' declarations from the module [`ffi`], so code with a
//! mismatch does not compile. C++ exceptions become errors. One assumption is not
//! checked: a tch tensor is a pointer to an `at::Tensor`. [`to_cpp`] and [`from_cpp`]
//! rely on it.

use cxx::UniquePtr;
use tch::{TchError, Tensor};

use super::batch_norm::{
    backward_bf16, backward_f32, forward_bf16, forward_f32, statistics_bf16,
    statistics_f32, sums_bf16, sums_f32,
};
use super::depthwise::{
    depthwise_input_gradient_bf16, depthwise_input_gradient_f32,
    depthwise_weight_gradient_bf16, depthwise_weight_gradient_f32,
};
use super::gate::{
    gate_backward_bf16, gate_backward_f32, gate_forward_bf16, gate_forward_f32,
};
use super::gelu::{
    gelu_backward_bf16, gelu_backward_f32, gelu_forward_bf16, gelu_forward_f32,
};
use super::max_pool::{
    pool_backward_bf16, pool_backward_f32, pool_forward_bf16, pool_forward_f32,
};

#[allow(clippy::too_many_arguments, reason = "fused_adam has those of ATen's kernel")]
#[cxx::bridge(namespace = "torchmill")]
pub(crate) mod ffi {
    /// The sizes of an image and of a pooling window.
    struct PoolShape {
        height: usize,
        width: usize,
        channels: usize,
        kernel_height: usize,
        kernel_width: usize,
    }

    /// What a kernel applies to its output.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Activation {
        Identity,
        Relu,
        Relu6,
        Silu,
        Hardswish,
        Gelu,
    }

    /// What normalises a batch: `activation(x * scale + shift)`, with one value per
    /// channel in each slice.
    struct BatchNormFactors<'a> {
        mean: &'a [f32],
        scale: &'a [f32],
        shift: &'a [f32],
        activation: Activation,
    }

    /// The part of the gradient of batch norm's input that depends on the whole batch,
    /// `slope * (x - mean) + offset`, with one value per channel in each slice.
    struct BatchNormSlopes<'a> {
        slope: &'a [f32],
        offset: &'a [f32],
    }

    /// Batch norm's settings.
    struct BatchNormOptions {
        /// The weight of this batch in the running statistics.
        momentum: f64,
        eps: f64,
        activation: Activation,
    }

    /// What multiplies large float32 matrices.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Products {
        /// The library that ATen calls: MKL on x86-64.
        Aten,
        /// oneDNN.
        OneDnn,
        /// Our kernel for AMX (amx_product.cpp).
        Amx,
    }

    /// What computes a convolution's output or the gradient of its input.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum ConvMethod {
        /// ATen's convolution.
        Aten,
        /// A product of matrices.
        Product,
        /// Our kernel for AMX (amx_product.cpp). Only for float32 and stride 1.
        Amx,
        /// Our kernel for AVX512-BF16 (winograd.cpp). Only for kernels of 3x3, stride 1, and
        /// multiples of 8 channels.
        Winograd,
        /// Our kernel for AVX512-BF16 (karatsuba.cpp). Only for kernels of 5x5, stride 1, and
        /// multiples of 32 channels.
        Karatsuba,
    }

    /// What computes the gradient of a convolution's weight.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum WeightGradient {
        /// ATen's convolution.
        Aten,
        /// A product of matrices.
        Product,
        /// Our kernel for AMX (amx_weight_gradient.cpp). Only for bfloat16 and stride 1.
        Amx,
        /// Our kernel for AVX512-BF16 (winograd_weight_gradient.cpp). Only for kernels of 3x3,
        /// stride 1, and multiples of 8 channels.
        Winograd,
        /// Our kernel for AVX512-BF16 (karatsuba_weight_gradient.cpp). Only for kernels of
        /// 5x5, stride 1, and multiples of 32 channels.
        Karatsuba,
    }

    /// How to compute a convolution without dilation or groups.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct ConvPlan {
        stride: [i64; 2],
        padding: [i64; 2],
        output: ConvMethod,
        input_gradient: ConvMethod,
        weight_gradient: WeightGradient,
        /// What multiplies float32 matrices.
        products: Products,
    }

    /// A depthwise convolution along one axis of an image.
    #[derive(Debug)]
    struct DepthwiseAxis {
        /// The number of positions, of the input and of the output.
        input: usize,
        output: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
    }

    /// The sizes of a depthwise convolution.
    struct DepthwiseShape {
        channels: usize,
        rows: DepthwiseAxis,
        columns: DepthwiseAxis,
    }

    /// The settings of a step of torch.optim.SGD.
    struct Sgd {
        lr: f64,
        momentum: f64,
        dampening: f64,
        weight_decay: f64,
        nesterov: bool,
        /// Whether the gradients become the momentum buffers, as in the first step.
        first: bool,
    }

    /// The settings of a step of torch.optim.Adam or AdamW.
    struct Adam {
        lr: f64,
        beta1: f64,
        beta2: f64,
        eps: f64,
        weight_decay: f64,
        amsgrad: bool,
        /// AdamW: the weight decay is not part of the gradient.
        decoupled: bool,
    }

    /// The settings of the Newton-Schulz iteration.
    struct NewtonSchulz {
        a: f64,
        b: f64,
        c: f64,
        eps: f64,
        steps: i64,
        /// Whether to compute in bfloat16 instead of float32.
        bf16: bool,
    }

    // Several threads call these at once.
    extern "Rust" {
        #[cxx_name = "max_pool_forward"]
        fn pool_forward_f32(
            shape: &PoolShape,
            x: &[f32],
            y: &mut [f32],
            winners: &mut [u8],
        );
        #[cxx_name = "max_pool_forward"]
        fn pool_forward_bf16(
            shape: &PoolShape,
            x: &[u16],
            y: &mut [u16],
            winners: &mut [u8],
        );
        #[cxx_name = "max_pool_backward"]
        fn pool_backward_f32(
            shape: &PoolShape,
            gradient: &[f32],
            winners: &[u8],
            x_gradient: &mut [f32],
        );
        #[cxx_name = "max_pool_backward"]
        fn pool_backward_bf16(
            shape: &PoolShape,
            gradient: &[u16],
            winners: &[u8],
            x_gradient: &mut [u16],
        );

        #[cxx_name = "gate_forward"]
        fn gate_forward_f32(x: &[f32], factors: &[f32], y: &mut [f32]);
        #[cxx_name = "gate_forward"]
        fn gate_forward_bf16(x: &[u16], factors: &[u16], y: &mut [u16]);
        #[cxx_name = "gate_backward"]
        fn gate_backward_f32(
            x: &[f32],
            factors: &[f32],
            gradient: &[f32],
            x_gradient: &mut [f32],
            factor_gradient: &mut [f32],
        );
        #[cxx_name = "gate_backward"]
        fn gate_backward_bf16(
            x: &[u16],
            factors: &[u16],
            gradient: &[u16],
            x_gradient: &mut [u16],
            factor_gradient: &mut [u16],
        );

        #[cxx_name = "gelu_forward"]
        fn gelu_forward_f32(x: &[f32], y: &mut [f32]);
        #[cxx_name = "gelu_forward"]
        fn gelu_forward_bf16(x: &[u16], y: &mut [u16]);
        #[cxx_name = "gelu_backward"]
        fn gelu_backward_f32(x: &[f32], gradient: &[f32], x_gradient: &mut [f32]);
        #[cxx_name = "gelu_backward"]
        fn gelu_backward_bf16(x: &[u16], gradient: &[u16], x_gradient: &mut [u16]);

        #[cxx_name = "depthwise_input_gradient"]
        fn depthwise_input_gradient_f32(
            shape: &DepthwiseShape,
            row: usize,
            gradient: &[f32],
            weight: &[f32],
            x_gradient: &mut [f32],
        );
        #[cxx_name = "depthwise_input_gradient"]
        fn depthwise_input_gradient_bf16(
            shape: &DepthwiseShape,
            row: usize,
            gradient: &[u16],
            weight: &[f32],
            x_gradient: &mut [u16],
        );
        #[cxx_name = "depthwise_weight_gradient"]
        fn depthwise_weight_gradient_f32(
            shape: &DepthwiseShape,
            x: &[f32],
            gradient: &[f32],
            sums: &mut [f32],
        );
        #[cxx_name = "depthwise_weight_gradient"]
        fn depthwise_weight_gradient_bf16(
            shape: &DepthwiseShape,
            x: &[u16],
            gradient: &[u16],
            sums: &mut [f32],
        );

        #[cxx_name = "batch_norm_statistics"]
        fn statistics_f32(x: &[f32], mean: &mut [f32], squares: &mut [f32]);
        #[cxx_name = "batch_norm_statistics"]
        fn statistics_bf16(x: &[u16], mean: &mut [f32], squares: &mut [f32]);
        #[cxx_name = "batch_norm_forward"]
        fn forward_f32(
            x: &[f32],
            residual: &[f32],
            factors: &BatchNormFactors,
            y: &mut [f32],
        );
        #[cxx_name = "batch_norm_forward"]
        fn forward_bf16(
            x: &[u16],
            residual: &[u16],
            factors: &BatchNormFactors,
            y: &mut [u16],
        );
        #[cxx_name = "batch_norm_sums"]
        fn sums_f32(
            x: &[f32],
            y: &[f32],
            gradient: &[f32],
            factors: &BatchNormFactors,
            sum: &mut [f32],
            dot: &mut [f32],
        );
        #[cxx_name = "batch_norm_sums"]
        fn sums_bf16(
            x: &[u16],
            y: &[u16],
            gradient: &[u16],
            factors: &BatchNormFactors,
            sum: &mut [f32],
            dot: &mut [f32],
        );
        #[cxx_name = "batch_norm_backward"]
        fn backward_f32(
            x: &[f32],
            y: &[f32],
            gradient: &[f32],
            factors: &BatchNormFactors,
            slopes: &BatchNormSlopes,
            x_gradient: &mut [f32],
            residual_gradient: &mut [f32],
        );
        #[cxx_name = "batch_norm_backward"]
        fn backward_bf16(
            x: &[u16],
            y: &[u16],
            gradient: &[u16],
            factors: &BatchNormFactors,
            slopes: &BatchNormSlopes,
            x_gradient: &mut [u16],
            residual_gradient: &mut [u16],
        );
    }

    unsafe extern "C++" {
        include!("torchmill-nn/src/kernel/kernels.h");

        #[namespace = "at"]
        type Tensor;
        type TensorList;

        fn max_pool2d(
            x: &Tensor,
            kernel_height: i64,
            kernel_width: i64,
        ) -> Result<UniquePtr<Tensor>>;
        fn gate(x: &Tensor, factors: &Tensor) -> Result<UniquePtr<Tensor>>;
        fn gelu(x: &Tensor) -> Result<UniquePtr<Tensor>>;
        fn batch_norm(
            x: &Tensor,
            weight: &Tensor,
            bias: &Tensor,
            residual: &Tensor,
            running_mean: &Tensor,
            running_var: &Tensor,
            options: &BatchNormOptions,
        ) -> Result<UniquePtr<Tensor>>;
        fn conv2d(
            x: &Tensor,
            weight: &Tensor,
            bias: &Tensor,
            plan: &ConvPlan,
        ) -> Result<UniquePtr<Tensor>>;
        fn depthwise_conv2d(
            x: &Tensor,
            weight: &Tensor,
            bias: &Tensor,
            stride: [i64; 2],
            padding: [i64; 2],
        ) -> Result<UniquePtr<Tensor>>;
        fn conv_pool(
            x: &Tensor,
            weight: &Tensor,
            bias: &Tensor,
            padding_height: i64,
            padding_width: i64,
        ) -> Result<UniquePtr<Tensor>>;

        fn use_single_thread();

        fn tensor_list() -> UniquePtr<TensorList>;
        fn push(list: Pin<&mut TensorList>, tensor: &Tensor);
        fn fused_sgd(
            parameters: &TensorList,
            gradients: &TensorList,
            momenta: &TensorList,
            overflow: &Tensor,
            settings: &Sgd,
        ) -> Result<()>;
        fn fused_adam(
            parameters: &TensorList,
            gradients: &TensorList,
            means: &TensorList,
            squares: &TensorList,
            largest_squares: &TensorList,
            step: &Tensor,
            overflow: &Tensor,
            settings: &Adam,
        ) -> Result<()>;
        fn unscale(
            gradients: &TensorList,
            scale: &Tensor,
            overflow: &Tensor,
        ) -> Result<()>;

        fn linear(
            x: &Tensor,
            weight: &Tensor,
            bias: &Tensor,
            products: Products,
        ) -> Result<UniquePtr<Tensor>>;
        fn newton_schulz(
            matrix: &Tensor,
            settings: &NewtonSchulz,
        ) -> Result<UniquePtr<Tensor>>;
    }
}

/// Passes a tch tensor to the C++ functions.
pub(crate) fn to_cpp(tensor: &Tensor) -> &ffi::Tensor {
    let pointer = tensor.as_ptr().cast::<ffi::Tensor>();
    // SAFETY: tch's pointer is to an at::Tensor, which ffi::Tensor stands for, and it
    // lives as long as `tensor`.
    unsafe { &*pointer }
}

/// Passes a list of tensors to the C++ functions.
pub(crate) fn to_list(tensors: &[Tensor]) -> UniquePtr<ffi::TensorList> {
    let mut list = ffi::tensor_list();
    for tensor in tensors {
        ffi::push(list.pin_mut(), to_cpp(tensor));
    }
    list
}

/// Takes the tensor that a C++ function returned. `None` for a null pointer, which means
/// that the kernel does not support its input.
pub(crate) fn from_cpp(
    result: Result<UniquePtr<ffi::Tensor>, cxx::Exception>,
) -> Result<Option<Tensor>, TchError> {
    let tensor = result.map_err(|e| torch_error(&e))?;
    if tensor.is_null() {
        return Ok(None);
    }
    // SAFETY: the pointer is to an at::Tensor created with `new`, like tch's own, and
    // nothing else owns it.
    Ok(Some(unsafe { Tensor::from_ptr(tensor.into_raw().cast()) }))
}

/// The error for a C++ exception.
pub(crate) fn torch_error(exception: &cxx::Exception) -> TchError {
    TchError::Torch(exception.what().to_owned())
}
