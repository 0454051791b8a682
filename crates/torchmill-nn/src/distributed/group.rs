//! c10d's process group: collective operations.

use std::path::Path;
use std::time::Duration;

use cxx::UniquePtr;
use tch::Tensor;
use torchmill::launch::Launch;
use torchmill::{Error, Result, parallel};

use super::bridge::ffi;
use super::store::Store;
use super::{address, disconnected, milliseconds};
use crate::kernel::bridge::{to_cpp, to_list, torch_error};

/// Gloo's connections between all processes. All processes must make the same calls in
/// the same order, with tensors of the same sizes.
pub struct Group {
    inner: UniquePtr<ffi::ProcessGroup>,
    rank: u32,
    size: u32,
}

/// A group that is no longer used.
struct Closing(#[allow(dead_code, reason = "it is only dropped")] Group);

// SAFETY: any thread may destroy a c10d process group, and no other has this one.
unsafe impl Send for Closing {}

impl Group {
    /// Connects the processes of a launch. Gloo listens on this machine's address on the
    /// route to the store, or on the addresses of the interfaces in GLOO_SOCKET_IFNAME.
    pub(super) fn open(
        store: &Store,
        prefix: &str,
        launch: &Launch,
        timeout: Duration,
    ) -> Result<Self> {
        let mut address = None;
        if !address::are_interfaces_named()? {
            address = address::towards(&launch.host, launch.port);
        }
        let address = address.map(|address| address.to_string()).unwrap_or_default();
        Self::on(store, prefix, (launch.rank, launch.size), timeout, address)
    }

    /// Connects `size` processes. Gloo listens on this machine's `address`.
    pub(super) fn on(
        store: &Store,
        prefix: &str,
        (rank, size): (u32, u32),
        timeout: Duration,
        address: String,
    ) -> Result<Self> {
        let options = ffi::GroupOptions {
            prefix: prefix.to_owned(),
            rank: rank as i32,
            size: size as i32,
            timeout_ms: milliseconds(timeout),
            address,
        };
        let inner = ffi::open_group(store.inner(), &options);
        let inner = inner.map_err(|e| disconnected(&e))?;
        Ok(Self { inner, rank, size })
    }

    /// From here on, sends CUDA tensors through NCCL, with the library that
    /// scripts/build-nccl makes. Without it they go through Gloo, by way of the CPU.
    pub(super) fn add_nccl(
        &self,
        store: &Store,
        prefix: &str,
        timeout: Duration,
        library: &Path,
    ) -> Result<()> {
        let options = ffi::GroupOptions {
            prefix: prefix.to_owned(),
            rank: self.rank as i32,
            size: self.size as i32,
            timeout_ms: milliseconds(timeout),
            address: String::new(),
        };
        let library = library.display().to_string();
        let added = ffi::add_nccl(&self.inner, store.inner(), &options, &library);
        added.map_err(|e| {
            let e = crate::torch_error(&torch_error(&e));
            Error::failed(format_args!("cannot use NCCL with {library}: {e}"))
        })
    }

    /// Closes the connections on a separate thread, which the process does not wait for.
    pub(super) fn close_in_background(self) {
        let closing = Closing(self);
        // If the thread cannot be started, the connections close when the process ends.
        let _ = parallel::spawn(move || drop(closing));
    }

    /// This process's rank, from 0.
    pub fn rank(&self) -> u32 {
        self.rank
    }

    /// The number of processes.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Replaces the tensor with the element-wise sum over all processes.
    pub fn all_reduce_sum(&self, tensor: &mut Tensor) -> Result<()> {
        ffi::all_reduce_sum(&self.inner, to_cpp(tensor)).map_err(|e| disconnected(&e))
    }

    /// Replaces the tensor with the element-wise maximum over all processes.
    pub fn all_reduce_max(&self, tensor: &mut Tensor) -> Result<()> {
        ffi::all_reduce_max(&self.inner, to_cpp(tensor)).map_err(|e| disconnected(&e))
    }

    /// For each flag, whether it is true in any process.
    pub fn any<const N: usize>(&self, flags: [bool; N]) -> Result<[bool; N]> {
        let shared = Tensor::f_from_slice(&flags.map(i64::from));
        let mut shared = shared.map_err(|e| crate::torch_error(&e))?;
        self.all_reduce_max(&mut shared)?;
        let mut any = [false; N];
        for (i, flag) in any.iter_mut().enumerate() {
            let value = shared.f_int64_value(&[i as i64]);
            *flag = value.map_err(|e| crate::torch_error(&e))? != 0;
        }
        Ok(any)
    }

    /// The tensors of all processes, ordered by rank.
    pub fn all_gather(&self, own: &Tensor) -> Result<Vec<Tensor>> {
        let mut all = Vec::new();
        for _ in 0..self.size {
            all.push(own.f_empty_like().map_err(|e| crate::torch_error(&e))?);
        }
        let gathered = ffi::all_gather(&self.inner, to_cpp(own), &to_list(&all));
        gathered.map_err(|e| disconnected(&e))?;
        Ok(all)
    }

    /// Overwrites the tensors with those of rank 0.
    pub fn broadcast(&self, tensors: &[Tensor]) -> Result<()> {
        if tensors.is_empty() {
            return Ok(());
        }
        let sent = ffi::broadcast(&self.inner, &to_list(tensors));
        sent.map_err(|e| disconnected(&e))
    }

    /// Waits until all processes have called this.
    pub fn barrier(&self) -> Result<()> {
        ffi::barrier(&self.inner).map_err(|e| disconnected(&e))
    }

    /// Another handle to the same group.
    pub(super) fn share(&self) -> Self {
        let inner = ffi::share_group(&self.inner);
        Self { inner, rank: self.rank, size: self.size }
    }

    pub(super) fn inner(&self) -> &ffi::ProcessGroup {
        &self.inner
    }
}
