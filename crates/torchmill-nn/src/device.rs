//! Resolves `--device auto|cpu|cuda|cuda:N`, and loads libtorch's CUDA library if it is
//! installed.

use std::path::PathBuf;

use tch::Device;
use torchmill::{Error, Result, progress};

/// The advice where libtorch has no CUDA: for a copy of the project, and for installed
/// programs.
const NO_CUDA: &str = "this libtorch is built for the CPU only: \
     `make libtorch TORCH=cuda` installs another; programs that are installed use a \
     PyTorch with CUDA of the same version if LD_LIBRARY_PATH is its folder torch/lib";

/// Finds the device. `auto` is the first GPU if the machine has one, else the CPU. A GPU
/// that does not exist is an error: nothing falls back to the CPU silently.
pub fn resolve(asked: torchmill::device::Device) -> Result<Device> {
    use torchmill::device::Device as Asked;
    let index = match asked {
        Asked::Cpu => return Ok(Device::Cpu),
        Asked::Auto => 0,
        Asked::Cuda(n) => n,
    };
    let cuda = load_cuda();
    let count = tch::Cuda::device_count();
    if !tch::Cuda::is_available() || count == 0 {
        if asked == Asked::Auto {
            if let Err(e) = cuda {
                // The CUDA library is installed, so the user means to use it.
                progress::note(format_args!("note: computing on the CPU: {e}"));
            }
            return Ok(Device::Cpu);
        }
        let why = match cuda {
            Err(e) => e.to_string(),
            Ok(false) => NO_CUDA.to_owned(),
            Ok(true) => "no GPU or driver was found".to_owned(),
        };
        return Err(Error::failed(format_args!(
            "--device {asked}: CUDA is not available: {why}"
        )));
    }
    if index as i64 >= count {
        let gpus = match count {
            1 => "is one GPU, cuda:0".to_owned(),
            2 => "are 2 GPUs, cuda:0 and cuda:1".to_owned(),
            n => format!("are {n} GPUs, cuda:0 to cuda:{}", n - 1),
        };
        return Err(Error::failed(format_args!("--device {asked}: there {gpus}")));
    }
    Ok(Device::Cuda(index))
}

/// The device's name as on the command line.
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(n) => format!("cuda:{n}"),
        _ => "cpu".to_owned(),
    }
}

/// Loads libtorch_cuda.so from the folder of the libtorch that this process has loaded.
/// Returns false if there is no such file.
///
/// The programs link only to libtorch's CPU library, so that one binary serves machines
/// with and without a GPU. The CUDA library registers itself with it when it is loaded,
/// which must happen before the first use of a GPU.
#[cfg(target_os = "linux")]
fn load_cuda() -> Result<bool> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

    let Some(library) = find_in_libtorch("libtorch_cuda.so") else { return Ok(false) };
    // SAFETY: loading runs the library's initialisers. The library belongs to the
    // libtorch that this process already runs: it is in the same folder and so has the
    // same version.
    let loaded = unsafe { Library::open(Some(&library), RTLD_NOW | RTLD_GLOBAL) };
    let loaded = loaded.map_err(|e| {
        // The system's reason is in the error's source.
        let reason = match std::error::Error::source(&e) {
            Some(source) => source.to_string(),
            None => e.to_string(),
        };
        Error::failed(format_args!("cannot load {}: {reason}", library.display()))
    })?;
    // It stays loaded until the process ends.
    std::mem::forget(loaded);
    Ok(true)
}

/// CUDA is supported only on Linux.
#[cfg(not(target_os = "linux"))]
fn load_cuda() -> Result<bool> {
    Ok(false)
}

/// A library in the folder of the libtorch that this process has loaded.
#[cfg(target_os = "linux")]
pub(crate) fn find_in_libtorch(name: &str) -> Option<PathBuf> {
    for folder in libtorch_folders(&loaded_libraries()) {
        let library = folder.join(name);
        if library.exists() {
            return Some(library);
        }
    }
    None
}

/// CUDA is supported only on Linux.
#[cfg(not(target_os = "linux"))]
pub(crate) fn find_in_libtorch(_name: &str) -> Option<PathBuf> {
    None
}

/// The folders that may hold the CUDA library: the one that libtorch was loaded from and,
/// if libtorch's file there is a symbolic link, the link target's.
#[cfg(target_os = "linux")]
fn libtorch_folders(libraries: &[PathBuf]) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    let is_libtorch = |path: &&PathBuf| path.ends_with("libtorch_cpu.so");
    let Some(libtorch) = libraries.iter().find(is_libtorch) else { return folders };
    let mut paths = vec![libtorch.clone()];
    paths.extend(std::fs::canonicalize(libtorch).ok());
    for path in paths {
        folders.extend(path.parent().map(PathBuf::from));
    }
    folders
}

/// The paths of the libraries that this process has loaded.
#[cfg(target_os = "linux")]
fn loaded_libraries() -> Vec<PathBuf> {
    use std::ffi::{CStr, OsStr, c_int, c_void};
    use std::os::unix::ffi::OsStrExt;

    /// Adds one library to the list that `found` points to.
    unsafe extern "C" fn add(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        found: *mut c_void,
    ) -> c_int {
        // SAFETY: the loader passes a valid description whose name is a C string or null,
        // and the `found` pointer that was given to it below.
        unsafe {
            let name = (*info).dlpi_name;
            if !name.is_null() {
                let name = OsStr::from_bytes(CStr::from_ptr(name).to_bytes());
                (*found.cast::<Vec<PathBuf>>()).push(PathBuf::from(name));
            }
        }
        0
    }

    let mut found: Vec<PathBuf> = Vec::new();
    // SAFETY: `add` is called only during this call, with this list.
    unsafe { libc::dl_iterate_phdr(Some(add), (&raw mut found).cast()) };
    found
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_libtorch_of_this_process_is_found() {
        // Any use of libtorch makes the test program load it.
        let _ = tch::get_num_threads();
        let folders = libtorch_folders(&loaded_libraries());
        assert!(folders[0].join("libtorch_cpu.so").exists(), "{folders:?}");
    }

    #[test]
    fn a_linked_libtorchs_own_folder_comes_first() {
        let parent = tempfile::tempdir().unwrap();
        let parent = fs::canonicalize(parent.path()).unwrap();
        for name in ["installed", "linked"] {
            fs::create_dir(parent.join(name)).unwrap();
        }
        let file = parent.join("installed/libtorch_cpu.so");
        let link = parent.join("linked/libtorch_cpu.so");
        fs::write(&file, "").unwrap();
        symlink(&file, &link).unwrap();
        let libraries = [PathBuf::from("/lib/libc.so.6"), link];
        let expected = [parent.join("linked"), parent.join("installed")];
        assert_eq!(libtorch_folders(&libraries), expected);
    }
}
