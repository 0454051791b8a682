//! Decodes the image files whose paths come on standard input, and prints a line for
//! each: `WIDTHxHEIGHT SHA256` of the RGB pixels, or `error: MESSAGE`. parity/images.py
//! compares these with PIL's.

use std::io::{self, BufRead, Write};

use sha2::{Digest, Sha256};
use torchmill::dataset::decode;

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for path in io::stdin().lock().lines() {
        match decode::rgb(&std::fs::read(path?)?) {
            Ok(image) => {
                let mut line = format!("{}x{} ", image.width, image.height);
                for byte in Sha256::digest(&image.pixels) {
                    line += &format!("{byte:02x}");
                }
                writeln!(out, "{line}")?;
            }
            Err(error) => writeln!(out, "error: {error}")?,
        }
    }
    out.flush()
}
