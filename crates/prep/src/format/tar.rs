//! WebDataset tar: for each image `00000017.png` and `00000017.cls`, its label as decimal
//! text. The number is the image's index in its split, so that names in several files
//! never collide.

use std::io::{self, Cursor, Write};

use clap::ValueEnum;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use tar::Header;
use torchmill::dataset::decode;
use torchmill::shard::{DType, Meta};
use torchmill::transform::{Image, Sample};
use torchmill::{Error, Result};

use super::{Chunk, Encode, Format, Images, cannot_write, npy, refuse_bfloat16};
use crate::job::{Failure, Job};

pub const NAME: &str = "tar";

const BLOCK: usize = 512;

/// A tar of files.
pub struct Tar {
    /// The format of the image files.
    pub image: TarImage,
}

/// `--tar-image`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "a doc comment would be a second help text")]
pub enum TarImage {
    // PNG, lossless
    Png,
    // JPEG of quality 95
    Jpg,
    // The array [C, H, W] as .npy
    Npy,
}

impl TarImage {
    /// The extension of the image files.
    fn ending(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpg => "jpg",
            Self::Npy => "npy",
        }
    }
}

impl Format for Tar {
    fn name(&self) -> &'static str {
        NAME
    }

    fn endings(&self) -> &'static [&'static str] {
        &[".tar"]
    }

    fn images(&self) -> Images<'_> {
        Images::OneByOne(self)
    }

    fn check_dtype(&self, dtype: DType) -> Result<()> {
        match self.image {
            TarImage::Npy => refuse_bfloat16(dtype),
            TarImage::Png | TarImage::Jpg if dtype != DType::Uint8 => {
                Err(Error::usage(format_args!(
                    "{} holds whole numbers: leave out --dtype {}",
                    self.image.ending(),
                    dtype.name()
                )))
            }
            TarImage::Png | TarImage::Jpg => Ok(()),
        }
    }

    fn needs_equal_sizes(&self) -> bool {
        false
    }

    /// Most images come as JPEG.
    fn copies_files(&self) -> bool {
        self.image == TarImage::Jpg
    }

    fn settings(&self) -> String {
        format!("{NAME} of {}", self.image.ending())
    }

    fn shown(&self, job: &Job) -> String {
        let [channels, height, width] = job.shape;
        match self.image {
            TarImage::Png => "as PNG".to_owned(),
            TarImage::Jpg => "as JPEG".to_owned(),
            TarImage::Npy => {
                format!("of [{channels}, {height}, {width}] {}", job.dtype.name())
            }
        }
    }

    fn write(
        &self,
        out: &mut dyn Write,
        _: &Job,
        chunk: &Chunk,
        _: &dyn Fn() -> Meta,
    ) -> Result<()> {
        let ending = self.image.ending();
        for (n, i) in chunk.indices.iter().enumerate() {
            let label = chunk.labels[n].to_string();
            let image = &chunk.encoded[n];
            entry(out, &format!("{i:08}.{ending}"), image).map_err(cannot_write)?;
            entry(out, &format!("{i:08}.cls"), label.as_bytes()).map_err(cannot_write)?;
        }
        Ok(())
    }

    /// Two empty blocks end a tar.
    fn finish(&self, out: &mut dyn Write, _: &[i64]) -> io::Result<()> {
        out.write_all(&[0; 2 * BLOCK])
    }
}

impl Encode for Tar {
    fn encode(&self, job: &Job, i: usize) -> Result<Vec<u8>, Failure> {
        if self.image == TarImage::Npy {
            return array(job, i);
        }
        // Decoded even if it is copied: a damaged image must be found.
        let baked = job.bake(i)?;
        match self.unchanged(job, i)? {
            Some(bytes) => Ok(bytes),
            None => Ok(self.compress(job, i, baked)?),
        }
    }
}

impl Tar {
    /// The image file itself, if no step changes it and it already has the requested
    /// format.
    fn unchanged(&self, job: &Job, i: usize) -> Result<Option<Vec<u8>>> {
        if !job.pipeline.baked.is_empty() {
            return Ok(None);
        }
        let Some(bytes) = job.set.encoded(job.sample(i)).transpose()? else {
            return Ok(None);
        };
        let is_same_kind = match self.image {
            TarImage::Jpg => decode::is_jpeg(&bytes),
            _ => bytes.starts_with(b"\x89PNG\r\n\x1a\n"),
        };
        Ok(is_same_kind.then_some(bytes))
    }

    fn compress(&self, job: &Job, i: usize, baked: Sample) -> Result<Vec<u8>> {
        let Sample::Image(Image { width, height, channels, pixels }) = baked else {
            return Err(Error::usage(
                "png and jpg hold whole numbers: use --tar-image npy",
            ));
        };
        let color =
            if channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
        let size = (width as u32, height as u32);
        let mut out = Cursor::new(Vec::new());
        let encoded = if self.image == TarImage::Jpg {
            let jpeg = JpegEncoder::new_with_quality(&mut out, 95);
            jpeg.write_image(&pixels, size.0, size.1, color)
        } else {
            let fast = (CompressionType::Fast, FilterType::Adaptive);
            let png = PngEncoder::new_with_quality(&mut out, fast.0, fast.1);
            png.write_image(&pixels, size.0, size.1, color)
        };
        encoded.map_err(|e| {
            Error::failed(format_args!("{}: cannot be encoded: {e}", job.location(i)))
        })?;
        Ok(out.into_inner())
    }
}

/// Image `i` as an npy array `[C, H, W]`.
fn array(job: &Job, i: usize) -> Result<Vec<u8>, Failure> {
    let (shape, elements) = job.elements(i)?;
    let mut bytes = Vec::with_capacity(elements.len() + 128);
    npy::header(&mut bytes, job.dtype, &shape).map_err(cannot_write)?;
    bytes.extend_from_slice(&elements);
    Ok(bytes)
}

/// Writes a file with these bytes. It has no owner and no time, so that equal images give
/// equal tars.
fn entry(out: &mut dyn Write, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_cksum();
    out.write_all(header.as_bytes())?;
    out.write_all(bytes)?;
    out.write_all(&[0; BLOCK][..bytes.len().next_multiple_of(BLOCK) - bytes.len()])
}
