//! numpy's .npy, version 1.0. Source: numpy.lib.format's documentation.

use std::io::{self, Write};

use torchmill::Result;
use torchmill::pixels::Layout;
use torchmill::shard::{DType, Meta};

use super::{Chunk, Format, Images, cannot_write, refuse_bfloat16};
use crate::job::Job;

pub const NAME: &str = "npy";

/// Two arrays: the images, `[count, C, H, W]`, and the labels, `[count]`. A file holds one
/// array; in a stream the labels follow the images.
pub struct Npy;

impl Format for Npy {
    fn name(&self) -> &'static str {
        NAME
    }

    fn endings(&self) -> &'static [&'static str] {
        &["-images.npy", "-labels.npy"]
    }

    fn images(&self) -> Images<'_> {
        Images::Array(Layout::ChannelsFirst)
    }

    fn check_dtype(&self, dtype: DType) -> Result<()> {
        refuse_bfloat16(dtype)
    }

    fn begins_with_count(&self) -> bool {
        true
    }

    fn start(&self, out: &mut dyn Write, job: &Job, labels: &[i64]) -> io::Result<()> {
        let [channels, height, width] = job.shape;
        header(out, job.dtype, &[labels.len(), channels, height, width])
    }

    fn write(
        &self,
        out: &mut dyn Write,
        _: &Job,
        chunk: &Chunk,
        _: &dyn Fn() -> Meta,
    ) -> Result<()> {
        out.write_all(&chunk.pixels).map_err(cannot_write)
    }

    fn finish(&self, out: &mut dyn Write, labels: &[i64]) -> io::Result<()> {
        header(out, DType::Int64, &[labels.len()])?;
        for label in labels {
            out.write_all(&label.to_le_bytes())?;
        }
        Ok(())
    }
}

/// Writes what comes before an array's elements: magic, version, and a Python literal
/// padded with spaces so that the elements begin at a multiple of 64.
pub fn header(out: &mut dyn Write, dtype: DType, shape: &[usize]) -> io::Result<()> {
    let descr = match dtype {
        DType::Uint8 => "|u1",
        DType::Int64 => "<i8",
        DType::Float16 => "<f2",
        DType::Float32 => "<f4",
        DType::BFloat16 => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "npy has no bfloat16",
            ));
        }
    };
    let dims: Vec<_> = shape.iter().map(usize::to_string).collect();
    // A tuple of one needs its comma.
    let comma = if shape.len() == 1 { "," } else { "" };
    let mut dict = format!(
        "{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}{comma}), }}",
        dims.join(", ")
    );
    let before = 10;
    let length = (before + dict.len() + 1).next_multiple_of(64) - before;
    dict.extend(std::iter::repeat_n(' ', length - dict.len() - 1));
    dict.push('\n');
    out.write_all(b"\x93NUMPY\x01\x00")?;
    out.write_all(&(length as u16).to_le_bytes())?;
    out.write_all(dict.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_elements_begin_at_a_multiple_of_64() {
        let mut out = Vec::new();
        header(&mut out, DType::Int64, &[7]).unwrap();
        assert_eq!(out.len() % 64, 0);
        assert_eq!(usize::from(u16::from_le_bytes([out[8], out[9]])), out.len() - 10);
        let text = std::str::from_utf8(&out[10..]).unwrap();
        assert!(
            text.starts_with("{'descr': '<i8', 'fortran_order': False, 'shape': (7,), }"),
            "{text}"
        );
        assert!(text.ends_with(" \n"));
    }
}
