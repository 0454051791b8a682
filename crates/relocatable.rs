//! For build scripts: the paths of this project's libtorch and codecs, as the programs
//! contain them.

use std::env;
use std::path::{Path, PathBuf};

/// This path as a program should contain it.
///
/// If TORCHMILL_RELOCATABLE is set (scripts/build does), and the path and cargo's target
/// folder are both in the repository, it is relative to the program's folder. Programs then
/// do not depend on where the repository is. Otherwise it is the path itself, so that a
/// program works from wherever it is copied to (`cargo install`).
pub fn path_in_program(path: &Path) -> PathBuf {
    println!("cargo:rerun-if-env-changed=TORCHMILL_RELOCATABLE");
    relative(path).unwrap_or_else(|| path.to_path_buf())
}

fn relative(path: &Path) -> Option<PathBuf> {
    env::var_os("TORCHMILL_RELOCATABLE")?;
    let crate_folder = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?);
    let root = crate_folder.join("../..").canonicalize().ok()?;
    let output = PathBuf::from(env::var_os("OUT_DIR")?).canonicalize().ok()?;
    // The output is in target/PROFILE/build/PACKAGE/out, programs are in target/PROFILE.
    let programs = output.ancestors().nth(3)?.strip_prefix(&root).ok()?;
    let path = path.strip_prefix(&root).ok()?;
    let up: PathBuf = programs.components().map(|_| "..").collect();
    Some(up.join(path))
}
