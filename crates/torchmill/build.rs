//! Compiles the C glue between the image codecs and Rust (src/dataset/decode), and says
//! where the codecs of this project are.

#[path = "../relocatable.rs"]
mod relocatable;

use std::path::Path;

fn main() {
    let folder = "src/dataset/decode";
    println!("cargo:rerun-if-changed={folder}/jpeg");
    println!("cargo:rerun-if-changed={folder}/tiff");
    cc::Build::new()
        .files([format!("{folder}/jpeg/decoder.c"), format!("{folder}/tiff/message.c")])
        .opt_level(2)
        .compile("torchmill_codecs");

    println!("cargo:rerun-if-env-changed=TORCHMILL_CODECS");
    if let Some(codecs) = std::env::var_os("TORCHMILL_CODECS") {
        let codecs = Path::new(&codecs);
        let codecs = codecs.canonicalize().unwrap_or_else(|_| codecs.to_path_buf());
        let codecs = relocatable::path_in_program(&codecs);
        println!("cargo:rustc-env=TORCHMILL_BUILT_WITH_CODECS={}", codecs.display());
    }
}
