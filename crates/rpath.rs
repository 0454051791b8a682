//! The build script of all that link libtorch. Says in each program and test where its
//! libtorch is, so that nobody needs LD_LIBRARY_PATH: first the place that `make install`
//! puts it in, then the one it was built with. The programs' other halves, which are not
//! linked with it, learn the latter as TORCHMILL_LIBTORCH.

#[path = "relocatable.rs"]
mod relocatable;

use std::path::Path;

/// Prints the flags.
pub fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let macos = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "macos");
    let own_folder = if macos { "@loader_path" } else { "$ORIGIN" };
    println!("cargo:rustc-link-arg=-Wl,-rpath,{own_folder}/../../lib/torchmill");
    if let Some(libtorch) = std::env::var_os("LIBTORCH") {
        let lib = Path::new(&libtorch).join("lib");
        let lib = std::fs::canonicalize(&lib).unwrap_or(lib);
        let lib = relocatable::path_in_program(&lib);
        println!("cargo:rustc-env=TORCHMILL_LIBTORCH={}", lib.display());
        if lib.is_absolute() {
            println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
        } else {
            // Tests are one folder below the programs.
            for folder in ["", "../"] {
                println!(
                    "cargo:rustc-link-arg=-Wl,-rpath,{own_folder}/{folder}{}",
                    lib.display()
                );
            }
        }
    }
}
