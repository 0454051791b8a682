//! Comma-separated values: a header, then a line for each image with its label and the
//! elements of `[C, H, W]`.

use std::fmt::Display;
use std::io::{self, Write};

use torchmill::shard::DType;

use super::{Encode, Format, Images};
use crate::elements;
use crate::job::{Failure, Job};

pub const NAME: &str = "csv";

pub struct Csv;

impl Format for Csv {
    fn name(&self) -> &'static str {
        NAME
    }

    fn endings(&self) -> &'static [&'static str] {
        &[".csv"]
    }

    fn images(&self) -> Images<'_> {
        Images::OneByOne(self)
    }

    fn is_binary(&self) -> bool {
        false
    }

    /// `label,pixel0,pixel1,...`
    fn start(&self, out: &mut dyn Write, job: &Job, _: &[i64]) -> io::Result<()> {
        let mut header = "label".to_owned();
        for i in 0..job.shape.iter().product() {
            let i: usize = i;
            header += &format!(",pixel{i}");
        }
        header.push('\n');
        out.write_all(header.as_bytes())
    }
}

impl Encode for Csv {
    fn encode(&self, job: &Job, i: usize) -> Result<Vec<u8>, Failure> {
        let (_, elements) = job.elements(i)?;
        let mut row = job.label(i).to_string().into_bytes();
        row.reserve(elements.len() * 4);
        match job.dtype {
            DType::Float16 => append(&mut row, elements::float16(&elements)),
            DType::BFloat16 => append(&mut row, elements::bfloat16(&elements)),
            DType::Float32 => append(&mut row, elements::float32(&elements)),
            DType::Uint8 | DType::Int64 => append(&mut row, elements.iter()),
        }
        row.push(b'\n');
        Ok(row)
    }
}

fn append(row: &mut Vec<u8>, values: impl Iterator<Item = impl Display>) {
    for value in values {
        // Writing to a Vec cannot fail.
        let _ = write!(row, ",{value}");
    }
}
