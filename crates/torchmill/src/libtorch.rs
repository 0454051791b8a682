//! Finds libtorch without loading it, and replaces a program with its other half, which
//! is linked with libtorch.
//!
//! Loading libtorch (450 MB) takes a quarter of a second. So `train` and `evaluate` are
//! two executables each. The first reads the command line and answers what it can
//! (`--help`, wrong usage) in milliseconds. It then replaces itself with the second,
//! `train-torch` or `evaluate-torch`, which reads the same command line and does the
//! work.

use std::env;
use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Error, Result, limits};

/// The version of libtorch that tch requires; scripts/install-libtorch installs it.
pub const VERSION: &str = "2.11.0";

/// Where `make install` puts the halves that are linked with libtorch, relative to the
/// programs' folder. They look for libtorch in `../../lib/torchmill`, relative to their
/// own; crates/rpath.rs passes that to the linker.
const INSTALLED_HALVES: &str = "../libexec/torchmill";
/// The folder of that libtorch, relative to the programs' folder.
const INSTALLED_LIBTORCH: &str = "../lib/torchmill";

/// The variable that lists the folders that the loader searches for libraries.
const LOADER_PATH: &str =
    if cfg!(target_os = "macos") { "DYLD_LIBRARY_PATH" } else { "LD_LIBRARY_PATH" };

/// How often libgomp's threads look for work before they sleep. The default of 300,000
/// suits an idle machine: on a busy one, threads spin while the thread that they wait for
/// is not running, and training takes up to ten times as long. docs/speed.md has the
/// figures.
const SPIN_COUNT: &str = "20000";

/// The text of `--version`: this workspace's version, the libtorch version it requires,
/// and whether libtorch and its CUDA part are installed. `built_with` is the folder of
/// the libtorch that the program was built with, perhaps relative to the program's.
pub fn version(built_with: Option<&str>) -> &'static str {
    let places = places(built_with);
    match find(&places) {
        Some(folder) if pythons().contains(folder) => of_python(folder),
        Some(folder) if folder.join(library("torch_cuda")).exists() => {
            concat!(env!("CARGO_PKG_VERSION"), ", libtorch 2.11.0 with CUDA")
        }
        Some(_) => concat!(env!("CARGO_PKG_VERSION"), ", libtorch 2.11.0 for the CPU"),
        None => concat!(env!("CARGO_PKG_VERSION"), ", libtorch 2.11.0, which is missing"),
    }
}

/// Replaces this process with the program's other half, `NAME-torch`, with the same
/// arguments, environment, streams and process ID. It returns only if that fails.
pub fn become_half(name: &str, built_with: Option<&str>) -> Result<()> {
    let own = env::current_exe()
        .map_err(|e| Error::io(format_args!("cannot find {name} itself"), e))?;
    let half = half_of(&own, name)?;
    let places = places(built_with);
    let Some(libtorch) = find(&places) else {
        return Err(missing(&places));
    };
    limits::check_memory()?;
    let mut arguments = env::args_os();
    let mut command = Command::new(&half);
    for variable in limits::THREAD_VARIABLES {
        // libtorch would try to start as many threads as requested.
        if let Some(threads) = limits::threads_of(variable) {
            command.env(variable, threads.to_string());
        }
    }
    // With its own name, it would be another program in messages and in run.jsonl.
    command.arg0(arguments.next().unwrap_or_else(|| name.into())).args(arguments);
    if pythons().contains(libtorch) {
        // The loader does not search there by itself: the folder's name has Python's
        // version.
        let given = env::var_os(LOADER_PATH).unwrap_or_default();
        let folders = [libtorch.clone()].into_iter().chain(env::split_paths(&given));
        if let Ok(folders) = env::join_paths(folders) {
            command.env(LOADER_PATH, folders);
        }
    }
    if env::var_os("OMP_WAIT_POLICY").is_none() && env::var_os("GOMP_SPINCOUNT").is_none()
    {
        command.env("GOMP_SPINCOUNT", SPIN_COUNT);
    }
    Err(Error::io(format_args!("cannot run {}", half.display()), command.exec()))
}

/// The other half of the program at `own`: where `make install` puts it, or next to it,
/// where cargo does.
fn half_of(own: &Path, name: &str) -> Result<PathBuf> {
    let folder = own.parent().unwrap_or(Path::new("."));
    let file = format!("{name}-torch");
    let installed = folder.join(INSTALLED_HALVES).join(&file);
    let places = [folder.join(&file), installed];
    places.iter().find(|half| half.exists()).cloned().ok_or_else(|| {
        Error::failed(format_args!(
            "{file}, the half of {name} that does the work, is neither in {} nor in {}: \
             install both again (make install), or build both (make build)",
            folder.display(),
            folder.join(INSTALLED_HALVES).display()
        ))
    })
}

/// The folders that the loader searches, in order.
fn places(built_with: Option<&str>) -> Vec<PathBuf> {
    let given = env::var_os(LOADER_PATH).unwrap_or_default();
    let given =
        env::split_paths(&given).filter(|folder| folder.as_os_str() != OsStr::new(""));
    let own = env::current_exe().ok();
    // An absolute path stays as it is.
    let beside = |path: &str| Some(own.as_deref()?.parent()?.join(path));
    let installed = beside(INSTALLED_LIBTORCH);
    given.chain(installed).chain(pythons()).chain(built_with.and_then(beside)).collect()
}

/// The library folders of each PyTorch that pip installed under the same prefix as this
/// program, where a wheel puts its programs: `../lib/python3.12/site-packages/torch/lib`.
fn pythons() -> Vec<PathBuf> {
    let own = env::current_exe().ok();
    let prefix = own.as_deref().and_then(Path::parent).and_then(Path::parent);
    prefix.map(pythons_under).unwrap_or_default()
}

fn pythons_under(prefix: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for lib in ["lib", "lib64"] {
        // A folder that cannot be read holds no libtorch that could be loaded.
        let Ok(entries) = prefix.join(lib).read_dir() else { continue };
        for python in entries.flatten() {
            if !python.file_name().to_string_lossy().starts_with("python3") {
                continue;
            }
            for packages in ["site-packages", "dist-packages"] {
                let folder = python.path().join(packages).join("torch/lib");
                if python_version(&folder).is_some_and(|v| is_compatible(&v)) {
                    found.push(folder);
                }
            }
        }
    }
    // The folder's entries come in no particular order.
    found.sort();
    found
}

/// The version of the PyTorch whose libraries are in this folder: `2.11.0+cu130`.
fn python_version(libraries: &Path) -> Option<String> {
    let text = std::fs::read_to_string(libraries.parent()?.join("version.py")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("__version__"))?;
    line.split(['\'', '"']).nth(1).map(str::to_owned)
}

/// Whether a version differs from [`VERSION`] only after the minor number.
fn is_compatible(version: &str) -> bool {
    let minor = |version: &str| version.split('.').take(2).map(str::to_owned).collect();
    let own: Vec<String> = minor(VERSION);
    let theirs: Vec<String> = minor(version);
    own == theirs
}

/// The text of `--version` with Python's libtorch. It is leaked once, as clap keeps the
/// text.
fn of_python(folder: &Path) -> &'static str {
    let version = python_version(folder).unwrap_or_else(|| VERSION.to_owned());
    let package = folder.parent().unwrap_or(folder).display();
    let own = env!("CARGO_PKG_VERSION");
    Box::leak(format!("{own}, libtorch {version} in {package}").into_boxed_str())
}

/// The first of these folders that contains libtorch.
fn find(places: &[PathBuf]) -> Option<&PathBuf> {
    places.iter().find(|folder| folder.join(library("torch_cpu")).exists())
}

fn missing(places: &[PathBuf]) -> Error {
    let places = places.iter().map(|place| place.display().to_string());
    Error::failed(format_args!(
        "libtorch {VERSION} is not there ({} is in none of {}): \
         scripts/install-libtorch installs it for this project, make install next to \
         the programs, pip install torch=={VERSION} in the wheel's environment; \
         {LOADER_PATH} can name another one's folder",
        library("torch_cpu"),
        places.collect::<Vec<_>>().join(", ")
    ))
}

/// The file name of a shared library.
fn library(name: &str) -> String {
    format!("{}{name}{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn versions_name_this_libtorch() {
        assert!(version(None).contains(VERSION));
    }

    #[test]
    fn libtorch_is_taken_from_the_first_place_that_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let places = ["a", "b", "c"].map(|name| folder.path().join(name));
        for place in &places {
            fs::create_dir(place).unwrap();
        }
        assert_eq!(find(&places), None);
        let message = missing(&places).to_string();
        assert!(
            message.contains("install-libtorch") && message.contains("/b, "),
            "{message}"
        );
        fs::write(places[2].join(library("torch_cpu")), "").unwrap();
        fs::write(places[1].join(library("torch_cpu")), "").unwrap();
        assert_eq!(find(&places), Some(&places[1]));
    }

    #[test]
    fn a_pytorch_of_this_version_under_the_same_prefix_is_found() {
        let prefix = tempfile::tempdir().unwrap();
        let install = |python: &str, version: &str| {
            let torch = prefix.path().join(python).join("torch");
            fs::create_dir_all(torch.join("lib")).unwrap();
            let text =
                format!("__all__ = []\n__version__ = '{version}'\ndebug = False\n");
            fs::write(torch.join("version.py"), text).unwrap();
            torch.join("lib")
        };
        assert_eq!(pythons_under(prefix.path()), Vec::<PathBuf>::new());
        install("lib/python3.10/site-packages", "2.12.0");
        install("lib/ruby/site-packages", "2.11.0");
        let found = [
            install("lib/python3.12/site-packages", "2.11.0+cu130"),
            install("lib64/python3.11/dist-packages", "2.11.1"),
        ];
        assert_eq!(pythons_under(prefix.path()), found);
        assert!(of_python(&found[0]).contains("libtorch 2.11.0+cu130 in "));
    }

    #[test]
    fn the_half_lies_beside_the_program_or_in_libexec() {
        let folder = tempfile::tempdir().unwrap();
        let (bin, libexec) =
            (folder.path().join("bin"), folder.path().join("libexec/torchmill"));
        fs::create_dir_all(&bin).unwrap();
        fs::create_dir_all(&libexec).unwrap();
        let own = bin.join("train");
        assert!(half_of(&own, "train").unwrap_err().to_string().contains("make install"));
        fs::write(libexec.join("train-torch"), "").unwrap();
        assert!(
            half_of(&own, "train").unwrap().ends_with("libexec/torchmill/train-torch")
        );
        fs::write(bin.join("train-torch"), "").unwrap();
        assert_eq!(half_of(&own, "train").unwrap(), bin.join("train-torch"));
    }
}
