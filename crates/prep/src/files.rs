//! A split's files while they are written, all under temporary names.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use torchmill::atomic::{AtomicFile, FinishedFile, Staging};
use torchmill::progress::{Progress, Unit};
use torchmill::{Context, Error, Result};

use crate::args::Format;
use crate::bake::{Chunk, Job};
use crate::format::{self, Stream};
use crate::{digest, work};

/// The most bytes that are baked and written at a time where a file takes several chunks,
/// and the most images.
pub const CHUNK: (u64, u64) = (8 << 20, 4096);

/// A job's files under their temporary names.
#[derive(Default)]
pub struct Written {
    /// The files.
    pub files: Vec<FinishedFile>,
    /// Each file's size, by its final name.
    pub sizes: BTreeMap<String, u64>,
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
    // What begins with the checksum of all images, or with a number that is not known
    // yet, is written at once.
    let at_once = match format {
        Format::Shard => true,
        Format::Safetensors | Format::Npy => job.bad.is_some(),
        Format::Tar | Format::Csv | Format::Jsonl => false,
    };
    let chunks_of = |range: &Range<usize>| match at_once {
        true => vec![range.clone()],
        false => work::smaller(
            std::slice::from_ref(range),
            job.image_bytes(),
            CHUNK.0,
            CHUNK.1,
        ),
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
    work::run(job, &chunks, |k, chunk| {
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
    open: Option<(usize, Stream<'a, AtomicFile>)>,
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
                let file = self.staging.file(&name)?;
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
        let meta = digest::meta(self.job, i, self.ranges.len(), digest);
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
        self.keep(images_name, file.finish()?)?;
        if let Some(name) = labels_name {
            let mut file = self.staging.file(&name)?;
            format::write_npy_labels(&mut file, &labels)
                .doing("write", self.folder.join(&name))?;
            self.keep(name, file.finish()?)?;
        }
        Ok(())
    }

    fn keep(&mut self, name: String, file: FinishedFile) -> Result<()> {
        self.written.sizes.insert(name, file.length()?);
        self.written.files.push(file);
        Ok(())
    }
}
