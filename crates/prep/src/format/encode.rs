//! One image as bytes of its own: a PNG or JPEG file, a CSV row, a JSON line.

use std::io::{self, Cursor, Write};

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use serde_json::json;
use torchmill::dataset::{self, decode};
use torchmill::pixels::Layout;
use torchmill::shard::DType;
use torchmill::transform::{Image, Sample};
use torchmill::{Error, Result};

use super::npy;
use crate::bake::{self, Failure, Job};

/// How an image is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// In one array with the others, in this layout.
    Pixels(Layout),
    /// A PNG file.
    Png,
    /// A JPEG file of quality 95.
    Jpg,
    /// An npy array `[C, H, W]`.
    Npy,
    /// A line of comma-separated values: the label, then the elements of `[C, H, W]`.
    CsvRow,
    /// A JSON object that says what the image is, without its pixels.
    JsonLine,
}

impl Encoding {
    /// The end of the file's name in a tar.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpg => "jpg",
            _ => "npy",
        }
    }

    /// Whether all images must be of one size.
    pub fn needs_equal_sizes(self) -> bool {
        matches!(self, Self::Pixels(_) | Self::CsvRow)
    }
}

/// Image `i` of the job's split, encoded.
pub fn image(job: &Job, i: usize) -> Result<Vec<u8>, Failure> {
    let sample = job.sample(i);
    match job.encoding {
        Encoding::JsonLine => json_line(job, sample, i),
        Encoding::Png | Encoding::Jpg => {
            // Decoded even where it is copied: a damaged image must stop us.
            let baked = job.bake(i)?;
            match unchanged(job, sample)? {
                Some(bytes) => Ok(bytes),
                None => Ok(compress(job, sample, baked)?),
            }
        }
        Encoding::Npy | Encoding::CsvRow | Encoding::Pixels(_) => {
            let (shape, elements) = job.elements(i)?;
            if job.encoding == Encoding::CsvRow {
                return Ok(csv_row(sample.label, job.dtype, &elements));
            }
            let mut bytes = Vec::with_capacity(elements.len() + 128);
            npy::header(&mut bytes, job.dtype, &shape)
                .map_err(|e| Error::io("cannot write", e))?;
            bytes.extend_from_slice(&elements);
            Ok(bytes)
        }
    }
}

/// The image file itself where nothing is done to it and it is of the kind asked for.
fn unchanged(job: &Job, sample: dataset::Sample) -> Result<Option<Vec<u8>>> {
    if !job.cut.baked.steps().is_empty() {
        return Ok(None);
    }
    let Some(bytes) = job.set.encoded(sample).transpose()? else { return Ok(None) };
    let same = match job.encoding {
        Encoding::Jpg => decode::is_jpeg(&bytes),
        _ => bytes.starts_with(b"\x89PNG\r\n\x1a\n"),
    };
    Ok(same.then_some(bytes))
}

fn compress(job: &Job, sample: dataset::Sample, baked: Sample) -> Result<Vec<u8>> {
    let Sample::Image(Image { width, height, channels, pixels }) = baked else {
        return Err(Error::usage("png and jpg hold whole numbers: use --tar-image npy"));
    };
    let color =
        if channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let mut out = Cursor::new(Vec::new());
    let (w, h) = (width as u32, height as u32);
    match job.encoding {
        Encoding::Jpg => {
            JpegEncoder::new_with_quality(&mut out, 95).write_image(&pixels, w, h, color)
        }
        _ => PngEncoder::new_with_quality(
            &mut out,
            CompressionType::Fast,
            FilterType::Adaptive,
        )
        .write_image(&pixels, w, h, color),
    }
    .map_err(|e| {
        Error::failed(format_args!(
            "{}: cannot be encoded: {e}",
            job.set.location(sample)
        ))
    })?;
    Ok(out.into_inner())
}

/// `label,pixel0,pixel1,...`
pub fn csv_header(out: &mut impl Write, shape: [usize; 3]) -> io::Result<()> {
    out.write_all(b"label")?;
    (0..shape.iter().product()).try_for_each(|i: usize| write!(out, ",pixel{i}"))?;
    out.write_all(b"\n")
}

fn csv_row(label: u32, dtype: DType, elements: &[u8]) -> Vec<u8> {
    let mut row = label.to_string().into_bytes();
    row.reserve(elements.len() * 4);
    let mut put = |text: &dyn std::fmt::Display| {
        // Writing to a Vec cannot fail.
        let _ = write!(row, ",{text}");
    };
    match dtype {
        DType::Float16 => bake::float16(elements).for_each(|v| put(&v)),
        DType::BFloat16 => bake::bfloat16(elements).for_each(|v| put(&v)),
        DType::Float32 => bake::float32(elements).for_each(|v| put(&v)),
        DType::Uint8 | DType::Int64 => elements.iter().for_each(|v| put(v)),
    }
    row.push(b'\n');
    row
}

fn json_line(job: &Job, sample: dataset::Sample, i: usize) -> Result<Vec<u8>, Failure> {
    let (width, height) = match (job.set.record_shape(sample), job.set.encoded(sample)) {
        (Some([_, height, width]), _) => (width, height),
        (None, Some(bytes)) => bytes
            .and_then(|b| {
                decode::dimensions(&b).map_err(|e| e.within(job.set.location(sample)))
            })
            .map_err(Failure::Bad)?,
        (None, None) => (0, 0),
    };
    let class = &job.set.classes[sample.label as usize];
    let mut line = json!({
        "index": i,
        "split": job.split,
        "label": sample.label,
        "class": class,
        "source": job.set.source(sample),
        "width": width,
        "height": height,
    })
    .to_string()
    .into_bytes();
    line.push(b'\n');
    Ok(line)
}
