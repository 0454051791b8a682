//! The reducer of DistributedDataParallel: it averages gradients over the processes while
//! the backward pass still computes others.

use cxx::UniquePtr;
use tch::{TchError, Tensor};
use torchmill::{Error, Result};

use super::bridge::ffi;
use super::disconnected;
use super::group::Group;
use crate::kernel::bridge::{from_cpp, to_cpp, to_list, torch_error};

/// Averages the gradients of a network's parameters.
///
/// It hooks into `backward`. autograd's `grad`, which is tch's `run_backward`, does not
/// call these hooks and would leave each process with its own gradients.
pub struct Reducer {
    inner: UniquePtr<ffi::Reducer>,
    group: Group,
    parameters: Vec<Tensor>,
    buffers: Vec<Tensor>,
}

impl Reducer {
    /// Creates a reducer for a network's trained parameters and its buffers. Their sizes
    /// must be the same on all processes.
    pub fn new(
        group: &Group,
        parameters: Vec<Tensor>,
        buffers: Vec<Tensor>,
    ) -> Result<Self> {
        let inner = ffi::open_reducer(group.inner(), &to_list(&parameters));
        let inner = inner.map_err(|e| disconnected(&e))?;
        Ok(Self { inner, group: group.share(), parameters, buffers })
    }

    /// Call this before a forward pass. `reduces`: whether its backward pass is reduced.
    pub fn prepare_for_forward(&self, reduces: bool) -> Result<()> {
        ffi::prepare_for_forward(&self.inner, reduces).map_err(|e| disconnected(&e))
    }

    /// Overwrites the buffers with those of rank 0.
    pub fn broadcast_buffers(&self) -> Result<()> {
        self.group.broadcast(&self.buffers)
    }

    /// Adds the gradients of a loss to this process's gradients, without averaging
    /// (DistributedDataParallel's `no_sync`).
    pub fn accumulate(&self, loss: &Tensor) -> Result<(), TchError> {
        ffi::backward(to_cpp(loss)).map_err(|e| torch_error(&e))
    }

    /// Adds the gradients of a loss to this process's gradients, and replaces them with
    /// their mean over the processes.
    pub fn reduce(&self, loss: &Tensor) -> Result<()> {
        ffi::prepare_for_backward(&self.inner).map_err(|e| disconnected(&e))?;
        ffi::backward(to_cpp(loss)).map_err(|e| disconnected(&e))?;
        // A parameter without a gradient leaves its bucket unfinished.
        ffi::check_finalized(&self.inner).map_err(|e| {
            Error::failed(format_args!(
                "a parameter has no gradient, so gradients could not be averaged: \
                 freeze what the loss does not depend on ({})",
                crate::torch_error(&torch_error(&e))
            ))
        })
    }

    /// Takes the gradients out of the parameters, in the parameters' order.
    pub fn take_gradients(&self) -> Result<Vec<Tensor>> {
        let mut gradients = Vec::new();
        for parameter in &self.parameters {
            let taken = from_cpp(ffi::take_gradient(to_cpp(parameter)));
            match taken.map_err(|e| crate::torch_error(&e))? {
                Some(gradient) => gradients.push(gradient),
                None => return Err(Error::failed("a parameter has no gradient")),
            }
        }
        Ok(gradients)
    }
}
