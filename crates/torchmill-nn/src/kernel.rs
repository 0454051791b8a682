//! Kernels for the CPU that are faster than ATen's, and operators that tch does not bind.
//!
//! A kernel is a file of Rust with its loops and the function that the layers call, and a
//! file of C++ that makes it a function for autograd: libtorch takes those only from C++.
//! [`bridge`] declares what each side calls of the other, and cxx checks the declarations
//! in both languages. It also holds the kernels' only `unsafe`.

pub(crate) mod batch_norm;
pub(crate) mod bridge;
pub(crate) mod conv2d;
mod element;
pub(crate) mod fused_optimizer;
pub(crate) mod linear;
pub(crate) mod max_pool;
pub(crate) mod newton_schulz;
pub(crate) mod processor;
