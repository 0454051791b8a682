//! The reducer of DistributedDataParallel: it averages gradients over the processes while
//! backward still computes others.

use cxx::UniquePtr;
use tch::{TchError, Tensor};
use torchmill::{Error, Result};

use super::bridge::ffi;
use super::disconnected;
use super::group::{Group, to_list};
use crate::kernel::bridge::{from_cpp, to_cpp, torch_error};

/// Averages the gradients of some parameters.
///
/// It hooks into `backward`. autograd's `grad`, which is tch's `run_backward`, would pass
/// its hooks by, and leave each process with its own gradients.
pub struct Reducer {
    inner: UniquePtr<ffi::Reducer>,
    group: Group,
    parameters: Vec<Tensor>,
    buffers: Vec<Tensor>,
}

impl Reducer {
    /// A reducer for a network's trained parameters, and its buffers. Their sizes must be
    /// the same on all processes.
    pub fn new(
        group: &Group,
        parameters: Vec<Tensor>,
        buffers: Vec<Tensor>,
    ) -> Result<Self> {
        let inner = ffi::open_reducer(group.inner(), &to_list(&parameters));
        let inner = inner.map_err(|e| disconnected(&e))?;
        Ok(Self { inner, group: group.share(), parameters, buffers })
    }

    /// Call it before a forward pass. `reduces`: whether its backward pass is reduced.
    pub fn prepare_for_forward(&self, reduces: bool) -> Result<()> {
        ffi::prepare_for_forward(&self.inner, reduces).map_err(|e| disconnected(&e))
    }

    /// Gives all processes rank 0's buffers.
    pub fn broadcast_buffers(&self) -> Result<()> {
        self.group.broadcast(&self.buffers)
    }

    /// Adds the gradients of a loss to those that this process has, without the others
    /// (DistributedDataParallel's `no_sync`).
    pub fn accumulate(&self, loss: &Tensor) -> Result<(), TchError> {
        ffi::backward(to_cpp(loss)).map_err(|e| torch_error(&e))
    }

    /// Adds the gradients of a loss to those that this process has, and puts the mean of
    /// the processes' gradients in their place.
    pub fn reduce(&self, loss: &Tensor) -> Result<()> {
        ffi::prepare_for_backward(&self.inner).map_err(|e| disconnected(&e))?;
        ffi::backward(to_cpp(loss)).map_err(|e| disconnected(&e))?;
        // A parameter without a gradient leaves its bucket as it is.
        ffi::check_finalized(&self.inner).map_err(|e| {
            Error::failed(format_args!(
                "a parameter has got no gradient, so gradients could not be averaged: \
                 freeze what the loss does not depend on ({})",
                crate::torch_error(&torch_error(&e))
            ))
        })
    }

    /// The gradients, one for each parameter, which have none from here on.
    pub fn take_gradients(&self) -> Result<Vec<Tensor>> {
        let mut gradients = Vec::new();
        for parameter in &self.parameters {
            let taken = from_cpp(ffi::take_gradient(to_cpp(parameter)));
            match taken.map_err(|e| crate::torch_error(&e))? {
                Some(gradient) => gradients.push(gradient),
                None => return Err(Error::failed("a parameter has got no gradient")),
            }
        }
        Ok(gradients)
    }
}
