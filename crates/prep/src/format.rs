//! The output formats: each writes images to a file or a pipe, front to back.
//!
//! A format is a file in `format/` and a row of [`FORMATS`].

mod csv;
mod jsonl;
mod npy;
mod safetensors;
mod shard;
mod tar;

use std::io::{self, Write};

use torchmill::pixels::Layout;
use torchmill::shard::{DType, Meta, StoredImage};
use torchmill::{Error, Result};

use crate::job::{Failure, Job};
pub use tar::TarImage;

/// Makes a format from its options.
type Make = fn(TarImage) -> Box<dyn Format>;

/// The formats, by the names that `--format` accepts.
const FORMATS: &[(&str, Make)] = &[
    (shard::NAME, |_| Box::new(shard::Shard)),
    (safetensors::NAME, |_| Box::new(safetensors::Safetensors)),
    (npy::NAME, |_| Box::new(npy::Npy)),
    (tar::NAME, |image| Box::new(tar::Tar { image })),
    (csv::NAME, |_| Box::new(csv::Csv)),
    (jsonl::NAME, |_| Box::new(jsonl::Jsonl)),
];

/// An output format.
pub trait Format: Send + Sync {
    /// Its name in [`FORMATS`].
    fn name(&self) -> &'static str;

    /// The suffixes of its file names. If there are two, the first file holds the images
    /// and the second the data that follow them in a stream.
    fn endings(&self) -> &'static [&'static str];

    /// How images are laid out in a file.
    fn images(&self) -> Images<'_>;

    /// Refuses an element type that the format cannot hold.
    fn check_dtype(&self, _dtype: DType) -> Result<()> {
        Ok(())
    }

    /// Whether all images must have one shape.
    fn needs_equal_sizes(&self) -> bool {
        true
    }

    /// Whether it holds pixels. If not, images go through no pipeline.
    fn has_pixels(&self) -> bool {
        true
    }

    /// Whether image files that no step changes are usually copied as they are.
    fn copies_files(&self) -> bool {
        false
    }

    /// Whether the output is binary, and not text that a terminal can show.
    fn is_binary(&self) -> bool {
        true
    }

    /// Whether a file begins with the number of its images.
    fn begins_with_count(&self) -> bool {
        false
    }

    /// Whether a file says how it was made. If not, a JSON file does.
    fn describes_itself(&self) -> bool {
        false
    }

    /// The settings that affect this format's files, for the digest.
    fn settings(&self) -> String {
        self.name().to_owned()
    }

    /// Describes a job's images, for a message.
    fn shown(&self, job: &Job) -> String {
        of_one_size(job)
    }

    /// Writes what comes before the first image. `labels` are those of all images of the
    /// file; only formats that begin with the count can rely on them.
    fn start(&self, _out: &mut dyn Write, _job: &Job, _labels: &[i64]) -> io::Result<()> {
        Ok(())
    }

    /// Writes the next images. The default copies images that are already encoded.
    fn write(
        &self,
        out: &mut dyn Write,
        _job: &Job,
        chunk: &Chunk,
        _meta: &dyn Fn() -> Meta,
    ) -> Result<()> {
        for image in &chunk.encoded {
            out.write_all(image).map_err(cannot_write)?;
        }
        Ok(())
    }

    /// Writes what comes after the last image.
    fn finish(&self, _out: &mut dyn Write, _labels: &[i64]) -> io::Result<()> {
        Ok(())
    }
}

/// Describes images of one size, for a message.
fn of_one_size(job: &Job) -> String {
    let [channels, height, width] = job.shape;
    format!("of [{channels}, {height}, {width}] {}", job.dtype.name())
}

/// How images are laid out in a file.
pub enum Images<'a> {
    /// In one array in this layout.
    Array(Layout),
    /// One by one, each encoded by this.
    OneByOne(&'a dyn Encode),
}

/// Makes the bytes of one image: a PNG or JPEG file, a CSV row, a JSON line.
pub trait Encode: Sync {
    /// Encodes image `i`.
    fn encode(&self, job: &Job, i: usize) -> Result<Vec<u8>, Failure>;
}

/// Some images of a split, ready to be written.
pub struct Chunk {
    /// The index of each image in its split.
    pub indices: Vec<usize>,
    /// Each image's label.
    pub labels: Vec<i64>,
    /// The images' little-endian elements, one image after the other, in the layout of
    /// [`Images::Array`]; empty if images are encoded one by one.
    pub pixels: Vec<u8>,
    /// Each image's bytes, if images are encoded one by one.
    pub encoded: Vec<Vec<u8>>,
    /// The images, for a shard that stores images of different sizes.
    pub stored: Vec<StoredImage>,
}

/// The names of the formats.
pub fn names() -> impl Iterator<Item = &'static str> {
    FORMATS.iter().map(|(name, _)| *name)
}

/// The format of this name, which is one of [`names`].
#[allow(clippy::expect_used, reason = "clap takes only these names")]
pub fn new(name: &str, tar_image: TarImage) -> Box<dyn Format> {
    let row = FORMATS.iter().find(|(known, _)| *known == name);
    let (_, make) = row.expect("clap takes only these names");
    make(tar_image)
}

/// A file or pipe being written in one of the formats. Its errors say `cannot write`
/// without a path.
pub struct Stream<'a, W> {
    out: W,
    format: &'a dyn Format,
    job: &'a Job<'a>,
    labels: Vec<i64>,
}

impl<'a, W: Write> Stream<'a, W> {
    /// Starts writing the images with these labels to `out`.
    pub fn start(
        format: &'a dyn Format,
        job: &'a Job<'a>,
        labels: Vec<i64>,
        mut out: W,
    ) -> Result<Self> {
        format.start(&mut out, job, &labels).map_err(cannot_write)?;
        Ok(Self { out, format, job, labels })
    }

    /// Writes the next images. In the format `shard` each chunk becomes a shard, whose
    /// header gets `meta`.
    pub fn write(&mut self, chunk: &Chunk, meta: &dyn Fn() -> Meta) -> Result<()> {
        self.format.write(&mut self.out, self.job, chunk, meta)
    }

    /// Writes what comes after the last image and returns the flushed writer.
    pub fn finish(mut self) -> Result<W> {
        let end = self.format.finish(&mut self.out, &self.labels);
        end.and_then(|()| self.out.flush()).map_err(cannot_write)?;
        Ok(self.out)
    }

    /// Writes what comes after the last image to another file. Returns both, flushed.
    pub fn finish_in(mut self, mut end: W) -> Result<(W, W)> {
        self.out.flush().map_err(cannot_write)?;
        let written = self.format.finish(&mut end, &self.labels);
        written.and_then(|()| end.flush()).map_err(cannot_write)?;
        Ok((self.out, end))
    }
}

fn cannot_write(error: io::Error) -> Error {
    Error::io("cannot write", error)
}

/// Refuses a type that numpy does not have.
fn refuse_bfloat16(dtype: DType) -> Result<()> {
    if dtype == DType::BFloat16 {
        return Err(Error::usage(
            "npy has no bfloat16: use --dtype float32, or --format safetensors",
        ));
    }
    Ok(())
}
