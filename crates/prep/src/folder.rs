//! Files in a folder: all written under temporary names first, then renamed together, then what an earlier run
//! left is removed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::time::{Instant, SystemTime};

use torchmill::atomic::{AtomicFile, FinishedFile};
use torchmill::progress::{self, Progress, Unit};
use torchmill::shard::Shard;
use torchmill::{Context, Error, Result};

use crate::args::{Args, Format};
use crate::bake::{Chunk, Job};
use crate::format::{self, Stream};
use crate::sidecar::Sidecar;
use crate::{digest, job, work};

/// What is to be written for a job.
struct Planned {
    /// The job's place in the list.
    job: usize,
    /// The images of each file, other parts' files included.
    ranges: Vec<Range<usize>>,
    /// The files that are ours to write.
    files: Range<usize>,
    digest: String,
}

/// Writes every job's files into `folder`, those of jobs that are already there excepted.
pub fn write(folder: &Path, mut jobs: Vec<Job>, args: &Args) -> Result<()> {
    let format = args.output.format;
    let mut to_do = Vec::new();
    for (i, job) in jobs.iter().enumerate() {
        let ranges = work::ranges(job.len(), job.image_bytes(), args.output.shard_size);
        let files = args.output.part.map_or(0..ranges.len(), |part| part.of(ranges.len()));
        let digest = digest::of(job, ranges.len(), args)?;
        let planned = Planned { job: i, ranges, files, digest };
        if planned.is_done(folder, job, args)? {
            job::report(job, planned.images(), planned.files.len(), ": up to date, nothing done");
        } else {
            to_do.push(planned);
        }
    }
    if to_do.is_empty() {
        return Ok(());
    }
    job::fill_in_statistics(&mut jobs, args)?;
    let started = Instant::now();
    let mut written = Vec::new();
    for planned in &to_do {
        written.push(planned.write(folder, &jobs[planned.job], format)?);
    }
    let mut images = 0;
    for (planned, written) in to_do.iter().zip(written) {
        let job = &jobs[planned.job];
        // Renaming is quick, but it is many steps: a reader that comes between them is told by the digests.
        written.files.into_iter().try_for_each(FinishedFile::commit)?;
        planned.remove_stale(folder, job, format)?;
        if format != Format::Shard {
            let sidecar = Sidecar::new(job, written.images, &planned.digest, written.sizes);
            sidecar.write(&folder.join(planned.sidecar(job, args)))?;
        }
        images += written.images;
        job::report(job, written.images, planned.files.len(), &format!(" in {}", folder.display()));
    }
    if let Some(path) = &args.select.skip_bad {
        job::list_bad(&jobs, path)?;
    }
    let took = started.elapsed();
    progress::detail(format_args!(
        "{} images in {}, {} images/s",
        progress::count(images as u64),
        progress::duration(took),
        progress::count((images as f64 / took.as_secs_f64().max(1e-9)) as u64)
    ));
    Ok(())
}

/// A job's files under their temporary names.
#[derive(Default)]
struct Written {
    files: Vec<FinishedFile>,
    /// Each file's size, by its final name.
    sizes: BTreeMap<String, u64>,
    /// How many images.
    images: usize,
}

impl Planned {
    /// How many images are in our files, bad ones included.
    fn images(&self) -> usize {
        self.ranges[self.files.clone()].iter().map(ExactSizeIterator::len).sum()
    }

    /// Where the files are described, one description for each part.
    fn sidecar(&self, job: &Job, args: &Args) -> String {
        match args.output.part {
            Some(part) => format!("{}-part-{}-of-{}.json", job.split, part.index, part.of),
            None => format!("{}.json", job.split),
        }
    }

    /// The names of file `i`: two for npy, which holds one array a file.
    fn names_of(&self, i: usize, job: &Job, format: Format) -> Vec<String> {
        let stem = format!("{}-{i:05}-of-{:05}", job.split, self.ranges.len());
        match format {
            Format::Npy => vec![format!("{stem}-images.npy"), format!("{stem}-labels.npy")],
            _ => vec![format!("{stem}.{}", format.extension())],
        }
    }

    /// Whether an earlier run with the same digest has left everything in place, and no input with a checksum
    /// has been touched since.
    fn is_done(&self, folder: &Path, job: &Job, args: &Args) -> Result<bool> {
        let format = args.output.format;
        let touched = job.set.newest();
        for i in self.files.clone() {
            for path in self.names_of(i, job, format).iter().map(|name| folder.join(name)) {
                let Ok(about) = fs::metadata(&path) else { return Ok(false) };
                let written = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                if touched.is_some_and(|t| t > written) {
                    return Ok(false);
                }
                // A damaged shard is written again.
                let ours = |s: &Shard| {
                    let meta = &s.header().meta;
                    (meta.index as usize, meta.shards as usize) == (i, self.ranges.len())
                        && meta.digest == self.digest
                };
                if format == Format::Shard && !Shard::open(&path).is_ok_and(|s| ours(&s)) {
                    return Ok(false);
                }
            }
        }
        if format == Format::Shard {
            return Ok(true);
        }
        match Sidecar::read(&folder.join(self.sidecar(job, args))) {
            Some(sidecar) => Ok(sidecar.digest == self.digest && sidecar.is_whole(folder)?),
            None => Ok(false),
        }
    }

    /// Writes every file under a temporary name.
    fn write(&self, folder: &Path, job: &Job, format: Format) -> Result<Written> {
        let mut progress = Progress::new(&job.split, Some(self.images() as u64), Unit::Count("images"));
        let mut written = Written::default();
        work::run(job, &self.ranges[self.files.clone()], |i, chunk| {
            let i = self.files.start + i;
            let names = self.names_of(i, job, format);
            for (k, name) in names.into_iter().enumerate() {
                let file = AtomicFile::create(folder.join(&name))?;
                let file = self.fill(file, &folder.join(&name), job, format, (i, k), chunk)?;
                written.sizes.insert(name, file.length()?);
                written.files.push(file);
            }
            written.images += chunk.labels.len();
            progress.add(chunk.labels.len() as u64);
            Ok(())
        })?;
        progress.finish();
        Ok(written)
    }

    /// Fills the `k`th file of chunk `i`.
    fn fill(
        &self,
        mut file: AtomicFile,
        path: &Path,
        job: &Job,
        format: Format,
        (i, k): (usize, usize),
        chunk: &Chunk,
    ) -> Result<FinishedFile> {
        let place = |e: Error| e.within(path.display());
        if k == 1 {
            format::write_npy_labels(&mut file, &chunk.labels).doing("write", path)?;
            return file.finish();
        }
        let meta = digest::meta(job, i, self.ranges.len(), &self.digest);
        let mut stream = Stream::start(format, job, &chunk.labels, file).map_err(place)?;
        stream.chunk(chunk, &meta).map_err(place)?;
        let done = if format == Format::Npy { stream.finish_images() } else { stream.finish() };
        done.map_err(place)?.finish()
    }

    /// Removes this split's files of an earlier run in the same format that are not among the new ones, other
    /// parts' included.
    fn remove_stale(&self, folder: &Path, job: &Job, format: Format) -> Result<()> {
        let ours: BTreeSet<String> =
            (0..self.ranges.len()).flat_map(|i| self.names_of(i, job, format)).collect();
        let mut removed = 0;
        for entry in fs::read_dir(folder).doing("read the folder", folder)? {
            let name = entry.doing("read the folder", folder)?.file_name();
            let Some(name) = name.to_str() else { continue };
            if is_part(name, &job.split, format) && !ours.contains(name) {
                let path = folder.join(name);
                match fs::remove_file(&path) {
                    // Another part's run was quicker.
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                    result => result.doing("remove", &path)?,
                }
                removed += 1;
            }
        }
        if removed > 0 {
            progress::note(format_args!(
                "{}: removed {removed} {} of an earlier run from {}",
                job.split,
                if removed == 1 { "file" } else { "files" },
                folder.display()
            ));
        }
        Ok(())
    }
}

/// Whether `name` is what prep calls one of a split's files: `train-00000-of-00005.shard`.
fn is_part(name: &str, split: &str, format: Format) -> bool {
    let number = |text: &str| text.len() >= 5 && text.bytes().all(|b| b.is_ascii_digit());
    let stem = name.strip_suffix(format.extension()).and_then(|n| n.strip_suffix('.'));
    let stem = match format {
        Format::Npy => stem.and_then(|s| s.strip_suffix("-images").or_else(|| s.strip_suffix("-labels"))),
        _ => stem,
    };
    let numbers = stem.and_then(|s| s.strip_prefix(split)).and_then(|s| s.strip_prefix('-'));
    numbers.and_then(|n| n.split_once("-of-")).is_some_and(|(index, total)| number(index) && number(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_that_prep_writes_are_ever_removed() {
        assert!(is_part("train-00000-of-00005.shard", "train", Format::Shard));
        assert!(is_part("train-00000-of-00005-labels.npy", "train", Format::Npy));
        for other in
            ["train.shard", "train-00000-of-00005.npy", "test-00000-of-00005.shard", "train-a-of-b.shard"]
        {
            assert!(!is_part(other, "train", Format::Shard), "{other}");
        }
    }
}
