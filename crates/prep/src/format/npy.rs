//! numpy's .npy, version 1.0. Source: numpy.lib.format's documentation.

use std::io::{self, Write};

use torchmill::shard::DType;

/// The shape of an array of images, the count first.
pub fn images(count: usize, [channels, height, width]: [usize; 3]) -> [usize; 4] {
    [count, channels, height, width]
}

/// Writes what comes before an array's elements: magic, version, and a Python literal
/// padded with spaces so that the elements begin at a multiple of 64.
pub fn header(out: &mut impl Write, dtype: DType, shape: &[usize]) -> io::Result<()> {
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
