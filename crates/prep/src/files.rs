//! A split's files while they are written, all under temporary names.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;

use torchmill::atomic::{AtomicFile, FinishedFile, Staging};
use torchmill::progress::{Progress, Unit};
use torchmill::{Error, Result};

use crate::format::{Chunk, Format, Stream};
use crate::job::Job;
use crate::sidecar::Checksum;
use crate::{bake, digest, file_names, ranges};

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

/// The files of a job and where they go.
pub struct Target<'a> {
    /// The images of each file, including the files of other parts.
    pub ranges: &'a [Range<usize>],
    /// The files to write.
    pub ours: Range<usize>,
    /// The digest of the job.
    pub digest: &'a str,
    /// The output folder.
    pub folder: &'a Path,
    /// Where the files are before they get their final names.
    pub staging: &'a Staging,
}

/// Writes a job's files.
pub fn write(job: &Job, format: &dyn Format, target: &Target) -> Result<Written> {
    // A shard is one chunk, because it begins with the checksum of all images. Images
    // that are encoded one by one are divided while they are baked. A format that begins
    // with the number of images needs all images first if some may be left out.
    let is_one_chunk = !format.begins_with_count() || job.bad.is_some();
    let mut file_of_chunk = Vec::new();
    let mut chunks = Vec::new();
    for i in target.ours.clone() {
        let file = &target.ranges[i];
        let parts = match is_one_chunk {
            true => vec![file.clone()],
            false => ranges::chunks(file, job.image_bytes()),
        };
        file_of_chunk.extend(parts.iter().map(|_| i));
        chunks.extend(parts);
    }
    let total = chunks.iter().map(|chunk| chunk.len() as u64).sum();
    let mut progress = Progress::new(&job.split, Some(total), Unit::Count("images"));
    let mut files =
        Files { job, format, target, open: None, written: Written::default() };
    bake::in_order(job, format, &chunks, |k, chunk| {
        files.put(file_of_chunk[k], chunk)?;
        progress.add(chunk.labels.len() as u64);
        Ok(())
    })?;
    files.close()?;
    progress.finish();
    Ok(files.written)
}

struct Files<'a> {
    job: &'a Job<'a>,
    format: &'a dyn Format,
    target: &'a Target<'a>,
    /// The file that is being written, and its number.
    open: Option<(usize, Stream<'a, SummedFile>)>,
    written: Written,
}

impl<'a> Files<'a> {
    /// Writes a chunk to file `i`, and closes the one before.
    fn put(&mut self, i: usize, chunk: &Chunk) -> Result<()> {
        if self.open.as_ref().is_some_and(|&(open, _)| open != i) {
            self.close()?;
        }
        let mut stream = match self.open.take() {
            Some((_, stream)) => stream,
            None => self.start(i, chunk)?,
        };
        let files = self.target.ranges.len();
        let meta = || digest::meta(self.job, i, files, self.target.digest);
        stream.write(chunk, &meta).map_err(|e| self.in_file(i, e))?;
        self.open = Some((i, stream));
        self.written.images += chunk.labels.len();
        Ok(())
    }

    /// Starts file `i`, whose first chunk this is.
    fn start(&self, i: usize, chunk: &Chunk) -> Result<Stream<'a, SummedFile>> {
        let labels = match self.job.bad {
            // The chunk has all images of the file except those that are left out.
            Some(_) => chunk.labels.clone(),
            None => self.target.ranges[i].clone().map(|i| self.job.label(i)).collect(),
        };
        let file = SummedFile::new(self.target.staging.file(&self.names(i)[0])?);
        Stream::start(self.format, self.job, labels, file).map_err(|e| self.in_file(i, e))
    }

    /// Finishes the open file, and the second one if the format has one.
    fn close(&mut self) -> Result<()> {
        let Some((i, stream)) = self.open.take() else { return Ok(()) };
        let names = self.names(i);
        if let [first, second] = &names[..] {
            let end = SummedFile::new(self.target.staging.file(second)?);
            let (images, end) = stream.finish_in(end).map_err(|e| self.in_file(i, e))?;
            self.keep(first, images)?;
            self.keep(second, end)
        } else {
            let file = stream.finish().map_err(|e| self.in_file(i, e))?;
            self.keep(&names[0], file)
        }
    }

    fn names(&self, i: usize) -> Vec<String> {
        file_names::of_file(&self.job.split, i, self.target.ranges.len(), self.format)
    }

    /// Adds the path of file `i` to an error.
    fn in_file(&self, i: usize, error: Error) -> Error {
        error.within(self.target.folder.join(&self.names(i)[0]).display())
    }

    fn keep(&mut self, name: &str, file: SummedFile) -> Result<()> {
        self.written.sums.insert(name.to_owned(), file.sum);
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
