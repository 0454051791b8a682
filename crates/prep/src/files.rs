//! A split's files while they are written, all under temporary names.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;

use torchmill::atomic::{AtomicFile, FinishedFile, Staging};
use torchmill::progress::{Progress, Unit};
use torchmill::{Context, Error, Result};

use crate::args::Format;
use crate::bake::{Chunk, Job};
use crate::format::{self, Stream};
use crate::sidecar::Checksum;
use crate::{bake_ahead, digest};

/// The most bytes that are baked and written at a time where a file takes several chunks,
/// and the most images.
pub const CHUNK: (u64, u64) = (8 << 20, 4096);

/// A job's files under their temporary names.
#[derive(Default)]
pub struct Written {
    /// The files.
    pub files: Vec<FinishedFile>,
    /// Each file's size and checksum, by its final name.
    pub sums: BTreeMap<String, Checksum>,
    /// How many images.
    pub images: usize,
}

/// The names of file `i` of `total`: two for npy, which holds one array a file.
pub fn names(split: &str, i: usize, total: usize, format: Format) -> Vec<String> {
    let stem = format!("{split}-{i:05}-of-{total:05}");
    match format {
        Format::Npy => vec![format!("{stem}-images.npy"), format!("{stem}-labels.npy")],
        _ => vec![format!("{stem}.{}", format.extension())],
    }
}

/// Writes those of a job's files, whose images `ranges` are, that `ours` names.
pub fn write(
    job: &Job,
    ranges: &[Range<usize>],
    ours: Range<usize>,
    (folder, staging): (&Path, &Staging),
    format: Format,
    digest: &str,
) -> Result<Written> {
    // A shard begins with the checksum of all images, and the others here with their
    // number, which is not known if some may be left out. Images with bytes of their own
    // are divided by `bake_ahead`.
    let is_one_chunk = match format {
        Format::Shard | Format::Tar | Format::Csv | Format::Jsonl => true,
        Format::Safetensors | Format::Npy => job.bad.is_some(),
    };
    let chunks_of = |range: &Range<usize>| match is_one_chunk {
        true => vec![range.clone()],
        false => bake_ahead::smaller(range, job.image_bytes(), CHUNK.0, CHUNK.1),
    };
    let of_files = ours
        .clone()
        .flat_map(|i| chunks_of(&ranges[i]).into_iter().map(move |range| (i, range)));
    let (file_of, chunks): (Vec<_>, Vec<_>) = of_files.unzip();
    let total = ours.map(|i| ranges[i].len() as u64).sum();
    let mut progress = Progress::new(&job.split, Some(total), Unit::Count("images"));
    let mut files = Files {
        job,
        ranges,
        folder,
        staging,
        format,
        open: None,
        written: Written::default(),
    };
    bake_ahead::run(job, &chunks, |k, chunk| {
        files.put(file_of[k], chunk, digest)?;
        progress.add(chunk.labels.len() as u64);
        Ok(())
    })?;
    files.close()?;
    progress.finish();
    Ok(files.written)
}

struct Files<'a> {
    job: &'a Job<'a>,
    /// The images of each file, other parts' files included.
    ranges: &'a [Range<usize>],
    folder: &'a Path,
    staging: &'a Staging,
    format: Format,
    /// The file that is being written, and its number.
    open: Option<(usize, Stream<'a, SummedFile>)>,
    written: Written,
}

impl Files<'_> {
    /// Writes a chunk to file `i`, and closes the one before.
    fn put(&mut self, i: usize, chunk: &Chunk, digest: &str) -> Result<()> {
        if self.open.as_ref().is_some_and(|&(open, _)| open != i) {
            self.close()?;
        }
        let name =
            names(&self.job.split, i, self.ranges.len(), self.format).swap_remove(0);
        let path = self.folder.join(&name);
        let place = |e: Error| e.within(path.display());
        let mut stream = match self.open.take() {
            Some((_, stream)) => stream,
            None => {
                let file = SummedFile::new(self.staging.file(&name)?);
                // Those of a chunk where it is all there is, as images may have been left
                // out.
                let labels = match self.job.bad {
                    Some(_) => chunk.labels.clone(),
                    None => self.ranges[i]
                        .clone()
                        .map(|i| self.job.sample(i).label.into())
                        .collect(),
                };
                Stream::start(self.format, self.job, labels, file).map_err(place)?
            }
        };
        let meta = || digest::meta(self.job, i, self.ranges.len(), digest);
        stream.chunk(chunk, &meta).map_err(place)?;
        self.open = Some((i, stream));
        self.written.images += chunk.labels.len();
        Ok(())
    }

    /// Finishes the open file, and for npy the one with its labels.
    fn close(&mut self) -> Result<()> {
        let Some((i, stream)) = self.open.take() else { return Ok(()) };
        let mut names = names(&self.job.split, i, self.ranges.len(), self.format);
        let labels_name = if self.format == Format::Npy { names.pop() } else { None };
        let images_name = names.swap_remove(0);
        let path = self.folder.join(&images_name);
        let (file, labels) = match labels_name {
            Some(_) => stream.finish_images(),
            None => stream.finish().map(|file| (file, Vec::new())),
        }
        .map_err(|e| e.within(path.display()))?;
        self.keep(images_name, file)?;
        if let Some(name) = labels_name {
            let mut file = SummedFile::new(self.staging.file(&name)?);
            format::write_npy_labels(&mut file, &labels)
                .doing("write", self.folder.join(&name))?;
            self.keep(name, file)?;
        }
        Ok(())
    }

    fn keep(&mut self, name: String, file: SummedFile) -> Result<()> {
        self.written.sums.insert(name, file.sum);
        self.written.files.push(file.file.finish()?);
        Ok(())
    }
}

/// A file whose checksum is computed while it is written.
struct SummedFile {
    file: AtomicFile,
    sum: Checksum,
}

impl SummedFile {
    fn new(file: AtomicFile) -> Self {
        Self { file, sum: Checksum::default() }
    }
}

impl Write for SummedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
