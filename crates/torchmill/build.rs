//! Compiles the C that stands between libjpeg and Rust (src/dataset/decode/jpeg).

fn main() {
    let folder = "src/dataset/decode/jpeg";
    println!("cargo:rerun-if-changed={folder}");
    cc::Build::new()
        .file(format!("{folder}/decoder.c"))
        .opt_level(2)
        .compile("torchmill_jpeg");
}
