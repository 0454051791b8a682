//! `--device auto|cpu|cuda|cuda:N`, and loading CUDA's half of libtorch where it is installed.

use std::path::PathBuf;

use tch::Device;
use torchmill::{Error, Result};

/// Resolves a device name. `auto` takes the first GPU where there is one; naming a GPU that is not there is
/// an error, never a silent fall back to the CPU.
pub fn resolve(name: &str) -> Result<Device> {
    if name == "cpu" {
        return Ok(Device::Cpu);
    }
    let cuda = load_cuda();
    let count = tch::Cuda::device_count();
    let available = tch::Cuda::is_available() && count > 0;
    let index = match name {
        "auto" if available => 0,
        "auto" => return Ok(Device::Cpu),
        "cuda" => 0,
        _ => match name.strip_prefix("cuda:").and_then(|n| n.parse::<usize>().ok()) {
            Some(n) => n,
            None => {
                return Err(Error::usage(format_args!(
                    "--device `{name}` is none of auto, cpu, cuda and cuda:N (such as cuda:0)"
                )));
            }
        },
    };
    if !available {
        let why = match cuda {
            Err(e) => e.to_string(),
            Ok(false) => {
                "this libtorch is built for the CPU only: run scripts/install-libtorch cuda".to_owned()
            }
            Ok(true) => "no GPU or driver was found".to_owned(),
        };
        return Err(Error::failed(format_args!("--device {name}: CUDA is not available: {why}")));
    }
    if index as i64 >= count {
        return Err(Error::failed(format_args!("--device {name}: there are {count} GPUs, cuda:0 the first")));
    }
    Ok(Device::Cuda(index))
}

/// The device as it is named on the command line.
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(n) => format!("cuda:{n}"),
        _ => "cpu".to_owned(),
    }
}

/// Loads libtorch_cuda.so from the folder that libtorch itself was loaded from, if it is there.
///
/// The programs are linked with libtorch's CPU half alone, so that one binary serves both kinds of machine;
/// CUDA's half registers itself with it when loaded. This must come before the first use of a GPU.
fn load_cuda() -> Result<bool> {
    let Some(library) = libtorch_folder().map(|f| f.join("libtorch_cuda.so")).filter(|l| l.exists()) else {
        return Ok(false);
    };
    #[cfg(unix)]
    {
        use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
        // SAFETY: loading runs the library's initialisers; it is the other half of the libtorch that this
        // process already runs, from the same folder and so of the same version.
        let loaded = unsafe { Library::open(Some(&library), RTLD_NOW | RTLD_GLOBAL) };
        let loaded =
            loaded.map_err(|e| Error::failed(format_args!("cannot load {} ({e})", library.display())))?;
        // It stays loaded until the process ends.
        std::mem::forget(loaded);
    }
    Ok(true)
}

/// The libtorch that tch is for: the two are a pair, and scripts/install-libtorch installs this one.
pub const LIBTORCH: &str = "2.11.0";

/// `--version`'s text: this workspace's version, the libtorch it is built for, and whether CUDA's half of that
/// is installed.
pub fn version() -> &'static str {
    let cuda = libtorch_folder().is_some_and(|f| f.join("libtorch_cuda.so").exists());
    // tch and libtorch are a pair; scripts/install-libtorch installs this one.
    if cuda {
        concat!(env!("CARGO_PKG_VERSION"), ", libtorch 2.11.0 with CUDA")
    } else {
        concat!(env!("CARGO_PKG_VERSION"), ", libtorch 2.11.0 for the CPU")
    }
}

/// Where the libtorch of this process lies.
pub fn libtorch_folder() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|l| l.ends_with("/libtorch_cpu.so"))?;
    let path = PathBuf::from(&line[line.find('/')?..]);
    path.parent().map(PathBuf::from)
}
