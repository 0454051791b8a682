//! Compiles the C glue between the image codecs and Rust (src/dataset/decode).

fn main() {
    let folder = "src/dataset/decode";
    println!("cargo:rerun-if-changed={folder}/jpeg");
    println!("cargo:rerun-if-changed={folder}/tiff");
    cc::Build::new()
        .files([format!("{folder}/jpeg/decoder.c"), format!("{folder}/tiff/message.c")])
        .opt_level(2)
        .compile("torchmill_codecs");
}
