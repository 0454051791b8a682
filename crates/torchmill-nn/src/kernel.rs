//! Kernels for the CPU that are faster than ATen's, and operators that tch does not bind.
//!
//! A kernel has a Rust file with its loops and the function for the layers, and a C++
//! file that makes it an autograd function, which libtorch supports only in C++.
//! [`bridge`] declares the functions that each side calls, and cxx checks the
//! declarations in both languages. It also holds the kernels' only `unsafe`.

mod activation;
pub(crate) mod batch_norm;
pub(crate) mod bridge;
pub(crate) use bridge::ffi::Activation;
pub(crate) mod conv2d;
pub(crate) mod conv_pool;
pub(crate) mod depthwise;
mod element;
pub(crate) mod fused_optimizer;
pub(crate) mod gate;
pub(crate) mod gelu;
pub(crate) mod linear;
pub(crate) mod loss_scale;
pub(crate) mod max_pool;
pub(crate) mod newton_schulz;
pub(crate) mod processor;
pub(crate) mod single_thread;
#[cfg(test)]
mod testing;
