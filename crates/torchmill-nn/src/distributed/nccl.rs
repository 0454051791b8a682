//! NCCL, which sends gradients between GPUs: finds its library, and decides whether the
//! processes can use it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use tch::{Device, Tensor};
use torchmill::{Result, progress};

use super::group::Group;
use crate::device;

/// The library that scripts/build-nccl makes.
const LIBRARY: &str = "libtorchmill_nccl.so";
/// The environment variable with the library's path, if it is elsewhere.
const VARIABLE: &str = "TORCHMILL_NCCL";

/// The library, if all processes have it and each has a GPU of its own, as NCCL requires.
/// Otherwise prints why it is not used. All processes must call this together.
pub(super) fn usable_library(group: &Group, device: Device) -> Result<Option<PathBuf>> {
    let library = library();
    let [is_any_without] = group.any([library.is_none()])?;
    if is_any_without {
        progress::note(
            "note: gradients go through the CPU: scripts/build-nccl makes the library that \
             sends them from GPU to GPU",
        );
        return Ok(None);
    }
    if is_any_shared(group, device)? {
        progress::note("note: gradients go through the CPU: processes share a GPU");
        return Ok(None);
    }
    Ok(library)
}

/// The library at the path in the environment variable, or the one in libtorch's folder.
pub(super) fn library() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(VARIABLE) {
        return Some(PathBuf::from(named)).filter(|path| path.exists());
    }
    device::find_in_libtorch(LIBRARY)
}

/// Whether two processes use the same GPU: the same machine, visible devices and index.
fn is_any_shared(group: &Group, device: Device) -> Result<bool> {
    let own = Tensor::from_slice(&[identity(device)]);
    let mut seen = Vec::new();
    for other in group.all_gather(&own)? {
        let other = other.int64_value(&[0]);
        if seen.contains(&other) {
            return Ok(true);
        }
        seen.push(other);
    }
    Ok(false)
}

/// A hash that identifies this GPU among those of all machines.
fn identity(device: Device) -> i64 {
    let mut hasher = DefaultHasher::new();
    gethostname::gethostname().hash(&mut hasher);
    std::env::var_os("CUDA_VISIBLE_DEVICES").hash(&mut hasher);
    if let Device::Cuda(index) = device {
        index.hash(&mut hasher);
    }
    hasher.finish().cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_told_apart() {
        assert_eq!(identity(Device::Cuda(1)), identity(Device::Cuda(1)));
        assert_ne!(identity(Device::Cuda(0)), identity(Device::Cuda(1)));
    }
}
