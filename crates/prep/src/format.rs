//! The formats: each writes chunks of images to a file or a pipe, front to back.

pub mod encode;
mod npy;
mod safetensors;
mod tar;

use std::io::Write;

use torchmill::pixels::Layout;
use torchmill::shard::{self, Contents, DType, Images, Meta};
use torchmill::{Error, Result};

use crate::args::{Format, TarImage};
use crate::bake::{Chunk, Job};
use encode::Encoding;

/// Checks that `format` can hold elements of `dtype`, and says how it keeps an image.
pub fn encoding(format: Format, tar_image: TarImage, dtype: DType) -> Result<Encoding> {
    let only_uint8 = |what: &str| {
        if dtype == DType::Uint8 {
            Ok(())
        } else {
            Err(Error::usage(format_args!(
                "{what} holds whole numbers: leave out --dtype {}",
                dtype.name()
            )))
        }
    };
    let no_bfloat16 = |what: &str| {
        if dtype == DType::BFloat16 {
            Err(Error::usage(format_args!(
                "{what} has no bfloat16: use --dtype float32, or --format safetensors"
            )))
        } else {
            Ok(())
        }
    };
    Ok(match (format, tar_image) {
        (Format::Shard, _) => Encoding::Pixels(Layout::ChannelsLast),
        (Format::Safetensors, _) => Encoding::Pixels(Layout::ChannelsFirst),
        (Format::Npy, _) => {
            no_bfloat16("npy")?;
            Encoding::Pixels(Layout::ChannelsFirst)
        }
        (Format::Tar, TarImage::Png) => only_uint8("png").map(|()| Encoding::Png)?,
        (Format::Tar, TarImage::Jpg) => only_uint8("jpg").map(|()| Encoding::Jpg)?,
        (Format::Tar, TarImage::Npy) => no_bfloat16("npy").map(|()| Encoding::Npy)?,
        (Format::Csv, _) => Encoding::CsvRow,
        (Format::Jsonl, _) => Encoding::JsonLine,
    })
}

/// A file or pipe being written in one of the formats. Its errors say `cannot write`
/// without a place.
pub struct Stream<'a, W> {
    out: W,
    format: Format,
    job: &'a Job<'a>,
    /// The labels of all images to come.
    labels: Vec<i64>,
}

impl<'a, W: Write> Stream<'a, W> {
    /// Starts writing the images with these labels to `out`: what comes before the first
    /// image. Only safetensors and npy, which know their number at the start, need all of
    /// them.
    pub fn start(
        format: Format,
        job: &'a Job<'a>,
        labels: Vec<i64>,
        mut out: W,
    ) -> Result<Self> {
        match format {
            Format::Safetensors => safetensors::start(&mut out, job, &labels),
            Format::Npy => {
                npy::header(&mut out, job.dtype, &npy::images(labels.len(), job.shape))
            }
            Format::Csv => encode::csv_header(&mut out, job.shape),
            Format::Shard | Format::Tar | Format::Jsonl => Ok(()),
        }
        .map_err(cannot_write)?;
        Ok(Self { out, format, job, labels })
    }

    /// Writes the next images; a chunk is a shard, with this header, where the format is
    /// [`Format::Shard`].
    pub fn chunk(&mut self, chunk: &Chunk, meta: &dyn Fn() -> Meta) -> Result<()> {
        match self.format {
            Format::Shard => return write_shard(&mut self.out, self.job, chunk, &meta()),
            Format::Safetensors | Format::Npy => self.out.write_all(&chunk.pixels),
            Format::Csv | Format::Jsonl => {
                chunk.encoded.iter().try_for_each(|row| self.out.write_all(row))
            }
            Format::Tar => {
                tar::chunk(&mut self.out, chunk, self.job.encoding.extension())
            }
        }
        .map_err(cannot_write)
    }

    /// Writes what comes after the last image and returns the flushed writer.
    pub fn finish(mut self) -> Result<W> {
        match self.format {
            Format::Npy => write_npy_labels(&mut self.out, &self.labels),
            Format::Tar => tar::finish(&mut self.out),
            Format::Shard | Format::Safetensors | Format::Csv | Format::Jsonl => Ok(()),
        }
        .and_then(|()| self.out.flush())
        .map_err(cannot_write)?;
        Ok(self.out)
    }

    /// Leaves out what comes after the last image and returns the flushed writer and the
    /// labels: npy files, which hold one array each.
    pub fn finish_images(mut self) -> Result<(W, Vec<i64>)> {
        self.out.flush().map_err(cannot_write)?;
        Ok((self.out, self.labels))
    }
}

/// Writes labels as an npy array.
pub fn write_npy_labels(out: &mut impl Write, labels: &[i64]) -> std::io::Result<()> {
    npy::header(out, DType::Int64, &[labels.len()])?;
    labels.iter().try_for_each(|l| out.write_all(&l.to_le_bytes()))
}

fn write_shard(
    out: &mut impl Write,
    job: &Job,
    chunk: &Chunk,
    meta: &Meta,
) -> Result<()> {
    let source = |&i: &usize| job.set.source(job.sample(i));
    let sources: Vec<String> = chunk.indices.iter().map(source).collect();
    let contents = Contents {
        meta,
        images: Images::Array {
            shape: chunk.shape,
            dtype: chunk.dtype,
            bytes: &chunk.pixels,
        },
        labels: &chunk.labels,
        sources: &sources,
    };
    shard::write_to(out, &contents)
}

fn cannot_write(error: std::io::Error) -> Error {
    Error::io("cannot write", error)
}
