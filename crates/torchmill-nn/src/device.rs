//! `--device auto|cpu|cuda|cuda:N`, and loading CUDA's half of libtorch where it is
//! installed.

use std::path::PathBuf;

use tch::Device;
use torchmill::{Error, Result, progress};

/// Finds the device. `auto` takes the first GPU where there is one; asking for a GPU that
/// is not there is an error, never a silent fall back to the CPU.
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
                // It is installed, so the user means to use it.
                progress::note(format_args!("note: computing on the CPU: {e}"));
            }
            return Ok(Device::Cpu);
        }
        let why = match cuda {
            Err(e) => e.to_string(),
            Ok(false) => {
                "this libtorch is built for the CPU only: run scripts/install-libtorch cuda".to_owned()
            }
            Ok(true) => "no GPU or driver was found".to_owned(),
        };
        return Err(Error::failed(format_args!(
            "--device {asked}: CUDA is not available: {why}"
        )));
    }
    if index as i64 >= count {
        let gpus = match count {
            1 => "is one GPU, cuda:0".to_owned(),
            n => format!("are {n} GPUs, cuda:0 to cuda:{}", n - 1),
        };
        return Err(Error::failed(format_args!("--device {asked}: there {gpus}")));
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

/// Loads libtorch_cuda.so from the folder that libtorch itself was loaded from, if it is
/// there.
///
/// The programs are linked with libtorch's CPU half alone, so that one binary serves both
/// kinds of machine; CUDA's half registers itself with it when loaded. This must come
/// before the first use of a GPU.
fn load_cuda() -> Result<bool> {
    let Some(library) =
        libtorch_folder().map(|f| f.join("libtorch_cuda.so")).filter(|l| l.exists())
    else {
        return Ok(false);
    };
    #[cfg(unix)]
    {
        use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
        // SAFETY: loading runs the library's initialisers; it is the other half of the
        // libtorch that this process already runs, from the same folder and so of the
        // same version.
        let loaded = unsafe { Library::open(Some(&library), RTLD_NOW | RTLD_GLOBAL) };
        let loaded = loaded.map_err(|e| {
            // The system's reason is in the source.
            let reason = match std::error::Error::source(&e) {
                Some(source) => source.to_string(),
                None => e.to_string(),
            };
            Error::failed(format_args!("cannot load {}: {reason}", library.display()))
        })?;
        // It stays loaded until the process ends.
        std::mem::forget(loaded);
    }
    Ok(true)
}

/// Where the libtorch of this process lies.
fn libtorch_folder() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|l| l.ends_with("/libtorch_cpu.so"))?;
    let path = PathBuf::from(&line[line.find('/')?..]);
    path.parent().map(PathBuf::from)
}
