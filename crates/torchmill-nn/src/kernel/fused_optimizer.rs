//! The steps of SGD, Adam and AdamW with ATen's fused kernels, as in torch.optim with
//! `fused=True`. tch does not bind them.
//!
//! They pass over weights, gradients and buffers once. With tch's operators, SGD with
//! momentum passed over them seven times. Together with ReLU in place, this took a
//! ResNet-18's bf16 step of 64 images from 0.37 to 0.34 s.

use tch::{TchError, Tensor};

use super::bridge::ffi;
pub(crate) use super::bridge::ffi::{Adam, Sgd};
use super::bridge::{to_cpp, to_list, torch_error};

/// The tensors of a parameter group. Gradients and buffers have the layout of their
/// parameters.
#[derive(Default)]
pub(crate) struct Lists {
    parameters: Vec<Tensor>,
    gradients: Vec<Tensor>,
    /// The first, second and third buffers of the parameters; empty if unused.
    buffers: [Vec<Tensor>; 3],
}

impl Lists {
    /// Collects parameters with their gradients and buffers. A step changes the
    /// parameters and the buffers in place.
    pub(crate) fn new<'a>(
        tensors: impl Iterator<Item = ((&'a Tensor, &'a Tensor), &'a mut Vec<Tensor>)>,
    ) -> Result<Self, TchError> {
        let mut lists = Self::default();
        for ((parameter, gradient), buffers) in tensors {
            lists.push(parameter, gradient, buffers)?;
        }
        Ok(lists)
    }

    fn push(
        &mut self,
        parameter: &Tensor,
        gradient: &Tensor,
        buffers: &[Tensor],
    ) -> Result<(), TchError> {
        // The kernels read the elements in memory order, whatever the strides.
        let gradient = if gradient.stride() == parameter.stride() {
            gradient.shallow_clone()
        } else {
            let mut copy = parameter.f_detach()?.f_empty_like()?;
            copy.f_copy_(gradient)?;
            copy
        };
        self.parameters.push(parameter.shallow_clone());
        self.gradients.push(gradient);
        for (list, buffer) in self.buffers.iter_mut().zip(buffers) {
            list.push(buffer.shallow_clone());
        }
        Ok(())
    }

    /// Does a step of SGD, or nothing if `overflow` is 1. It is a float32 scalar on the
    /// device, or undefined, which stands for 0. Call this with autograd off.
    pub(crate) fn sgd(&self, overflow: &Tensor, settings: &Sgd) -> Result<(), TchError> {
        let step = ffi::fused_sgd(
            &to_list(&self.parameters),
            &to_list(&self.gradients),
            &to_list(&self.buffers[0]),
            to_cpp(overflow),
            settings,
        );
        step.map_err(|e| torch_error(&e))
    }

    /// Does a step of Adam or AdamW, or nothing if `overflow` is 1. The step's number,
    /// from 1, is a float32 scalar on the device, and so is `overflow`, unless it is
    /// undefined, which stands for 0. Call this with autograd off.
    pub(crate) fn adam(
        &self,
        number: &Tensor,
        overflow: &Tensor,
        settings: &Adam,
    ) -> Result<(), TchError> {
        let [means, squares, largest_squares] = &self.buffers;
        let step = ffi::fused_adam(
            &to_list(&self.parameters),
            &to_list(&self.gradients),
            &to_list(means),
            &to_list(squares),
            &to_list(largest_squares),
            to_cpp(number),
            to_cpp(overflow),
            settings,
        );
        step.map_err(|e| torch_error(&e))
    }
}
