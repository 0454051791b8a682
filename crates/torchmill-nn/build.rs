//! Compiles the C++ code of the kernels and of data parallelism against the libtorch that
//! tch links to, as tch compiles its own.

#[path = "../rpath.rs"]
mod rpath;

use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if std::env::var_os("CARGO_FEATURE_DOC_ONLY").is_some() {
        return Ok(());
    }
    rpath::main();
    for name in ["LIBTORCH_INCLUDE", "LIBTORCH_CXX11_ABI"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let bridges = ["src/kernel/bridge.rs", "src/distributed/bridge.rs"];
    let sources = [
        "src/kernel/amx_conv_pool.cpp",
        "src/kernel/amx_product.cpp",
        "src/kernel/amx_weight_gradient.cpp",
        "src/kernel/batch_norm.cpp",
        "src/kernel/conv2d.cpp",
        "src/kernel/conv_pool.cpp",
        "src/kernel/depthwise.cpp",
        "src/kernel/fused_optimizer.cpp",
        "src/kernel/gate.cpp",
        "src/kernel/gelu.cpp",
        "src/kernel/karatsuba.cpp",
        "src/kernel/karatsuba_weight_gradient.cpp",
        "src/kernel/linear.cpp",
        "src/kernel/loss_scale.cpp",
        "src/kernel/max_pool.cpp",
        "src/kernel/newton_schulz.cpp",
        "src/kernel/products.cpp",
        "src/kernel/single_thread.cpp",
        "src/kernel/winograd.cpp",
        "src/kernel/winograd_weight_gradient.cpp",
        "src/distributed/distributed.cpp",
    ];
    // Stands in for Gloo's headers, which PyTorch's wheels lack.
    let gloo = "src/distributed/gloo-stand-in";
    let headers = [
        "src/kernel/amx_conv_pool.h",
        "src/kernel/amx_pixels.h",
        "src/kernel/amx_product.h",
        "src/kernel/amx_tiles.h",
        "src/kernel/amx_weight_gradient.h",
        "src/kernel/avx512.h",
        "src/kernel/convolution_inputs.h",
        "src/kernel/convolution_outputs.h",
        "src/kernel/dense_convolution.h",
        "src/kernel/division.h",
        "src/kernel/karatsuba.h",
        "src/kernel/karatsuba_phases.h",
        "src/kernel/kernels.h",
        "src/kernel/square_transform.h",
        "src/kernel/transformed_weight.h",
        "src/kernel/weight_views.h",
        "src/kernel/winograd.h",
        "src/kernel/winograd_tiles.h",
        "src/kernel/winograd_transforms.h",
        "src/distributed/distributed.h",
        gloo,
    ];
    for file in bridges.iter().chain(&sources).chain(&headers) {
        println!("cargo:rerun-if-changed={file}");
    }
    // torch-sys reports the library folder, wherever it found libtorch. The headers are
    // in the same installation.
    let lib = PathBuf::from(std::env::var("DEP_TCH_LIBTORCH_LIB")?);
    let root = std::env::var_os("LIBTORCH_INCLUDE").map(PathBuf::from);
    let root = root
        .or_else(|| lib.parent().map(Path::to_path_buf))
        .ok_or("torch-sys does not say where libtorch is")?;
    let abi = std::env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_owned());
    cxx_build::bridges(bridges)
        .warnings(false)
        .std("c++17")
        .include(gloo)
        .include(root.join("include"))
        .include(root.join("include/torch/csrc/api/include"))
        .flag(format!("-D_GLIBCXX_USE_CXX11_ABI={abi}"))
        // Enables libtorch's threads. Without OpenMP its loops run on one thread.
        .flag_if_supported("-fopenmp")
        .files(sources)
        .compile("torchmill_nn_cpp");
    Ok(())
}
