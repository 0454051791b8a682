//! The steps of SGD, Adam and AdamW by ATen's fused kernels, those of torch.optim's
//! `fused=True`: each goes through weights, gradients and buffers once. tch does not bind
//! them. With the operators that tch has, SGD with momentum went through them seven
//! times; this and ReLU in place took a ResNet-18's bf16 step of 64 images from 0.37 to
//! 0.34 s.

use std::ffi::c_char;
use std::ptr::null;

use tch::{Kind, TchError, Tensor};
use torch_sys::C_tensor;

use crate::cpp::checked;

/// What a step of SGD takes, as torch.optim.SGD calls it.
#[repr(C)]
pub(crate) struct Sgd {
    pub(crate) lr: f64,
    pub(crate) momentum: f64,
    pub(crate) dampening: f64,
    pub(crate) weight_decay: f64,
    pub(crate) nesterov: bool,
    /// Whether the momentum buffers are to become the gradients.
    pub(crate) first: bool,
}

/// What a step of Adam takes, as torch.optim.Adam calls it.
#[repr(C)]
pub(crate) struct Adam {
    pub(crate) lr: f64,
    pub(crate) beta1: f64,
    pub(crate) beta2: f64,
    pub(crate) eps: f64,
    pub(crate) weight_decay: f64,
    pub(crate) amsgrad: bool,
    /// AdamW: the weight decay is no part of the gradient.
    pub(crate) decoupled: bool,
}

type Pointer = *const C_tensor;

unsafe extern "C" {
    // In fused.cpp.
    fn torchmill_fused_sgd(
        count: usize,
        parameters: *const Pointer,
        gradients: *const Pointer,
        momenta: *const Pointer,
        settings: &Sgd,
    ) -> *mut c_char;
    fn torchmill_fused_adam(
        count: usize,
        parameters: *const Pointer,
        gradients: *const Pointer,
        means: *const Pointer,
        squares: *const Pointer,
        largest: *const Pointer,
        step: Pointer,
        settings: &Adam,
    ) -> *mut c_char;
}

/// Tensors of a group of parameters, one of each kind a parameter, in their layout:
/// gradients are made so.
#[derive(Default)]
pub(crate) struct Lists {
    parameters: Vec<Tensor>,
    gradients: Vec<Tensor>,
    /// The first, second and third buffer of each parameter, as far as there are any.
    buffers: [Vec<Tensor>; 3],
}

impl Lists {
    /// Those of parameters with their gradients and buffers, which are changed where they
    /// are.
    pub(crate) fn new<'a>(
        tensors: impl Iterator<Item = ((&'a Tensor, &'a Tensor), &'a mut Vec<Tensor>)>,
    ) -> Self {
        let mut lists = Self::default();
        tensors.for_each(|((parameter, gradient), buffers)| {
            lists.push(parameter, gradient, buffers);
        });
        lists
    }

    fn push(&mut self, parameter: &Tensor, gradient: &Tensor, buffers: &[Tensor]) {
        // The kernels look at nothing but the elements in the order in which they lie.
        let gradient = if gradient.stride() == parameter.stride() {
            gradient.shallow_clone()
        } else {
            let mut same = parameter.detach().empty_like();
            same.copy_(gradient);
            same
        };
        self.parameters.push(parameter.shallow_clone());
        self.gradients.push(gradient);
        for (list, buffer) in self.buffers.iter_mut().zip(buffers) {
            list.push(buffer.shallow_clone());
        }
    }

    /// A step of SGD. Autograd is off.
    pub(crate) fn sgd(&self, settings: &Sgd) -> Result<(), TchError> {
        let [parameters, gradients] =
            [&self.parameters, &self.gradients].map(|list| pointers(list));
        let momenta = pointers(&self.buffers[0]);
        // SAFETY: the pointers are of tensors that live through the call, which changes
        // only their elements; each array has as many as there are parameters, or is
        // null. The message is from strdup.
        checked(unsafe {
            torchmill_fused_sgd(
                parameters.len(),
                parameters.as_ptr(),
                gradients.as_ptr(),
                or_null(&momenta),
                settings,
            )
        })
    }

    /// The `step`th step of Adam or AdamW, from 1. Autograd is off.
    pub(crate) fn adam(&self, step: u64, settings: &Adam) -> Result<(), TchError> {
        let Some(device) = self.parameters.first().map(Tensor::device) else {
            return Ok(());
        };
        let step = Tensor::full([], step as f64, (Kind::Float, device));
        let [parameters, gradients] =
            [&self.parameters, &self.gradients].map(|list| pointers(list));
        let buffers = self.buffers.each_ref().map(|list| pointers(list));
        let [means, squares, largest] = buffers.each_ref().map(|list| or_null(list));
        // SAFETY: as above.
        checked(unsafe {
            torchmill_fused_adam(
                parameters.len(),
                parameters.as_ptr(),
                gradients.as_ptr(),
                means,
                squares,
                largest,
                step.as_ptr(),
                settings,
            )
        })
    }
}

fn pointers(tensors: &[Tensor]) -> Vec<Pointer> {
    tensors.iter().map(|t| t.as_ptr()).collect()
}

fn or_null(pointers: &[Pointer]) -> *const Pointer {
    if pointers.is_empty() { null() } else { pointers.as_ptr() }
}
