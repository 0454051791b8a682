//! Compiles the kernels' C++ against the libtorch that tch is built with, as tch does its
//! own C++.

#[path = "../rpath.rs"]
mod rpath;

use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    rpath::main();
    for name in ["LIBTORCH_INCLUDE", "LIBTORCH_CXX11_ABI"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let sources = ["batch_norm", "conv2d", "fused_optimizer", "max_pool"]
        .map(|name| format!("src/kernel/{name}.cpp"));
    for source in &sources {
        println!("cargo:rerun-if-changed={source}");
    }
    for source in ["src/kernel/kernels.h", "src/kernel/bridge.rs"] {
        println!("cargo:rerun-if-changed={source}");
    }
    // torch-sys says where the libraries are, wherever it took them from. The headers are in
    // the same installation.
    let lib = PathBuf::from(std::env::var("DEP_TCH_LIBTORCH_LIB")?);
    let root = std::env::var_os("LIBTORCH_INCLUDE").map(PathBuf::from);
    let root = root
        .or_else(|| lib.parent().map(Path::to_path_buf))
        .ok_or("torch-sys does not say where libtorch is")?;
    let abi = std::env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_owned());
    cxx_build::bridge("src/kernel/bridge.rs")
        .warnings(false)
        .std("c++17")
        .include(root.join("include"))
        .include(root.join("include/torch/csrc/api/include"))
        .flag(format!("-D_GLIBCXX_USE_CXX11_ABI={abi}"))
        // libtorch's threads; without it the work is done on one.
        .flag_if_supported("-fopenmp")
        .files(sources)
        .compile("torchmill_nn_cpp");
    Ok(())
}
