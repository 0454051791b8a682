//! Files in a folder: all written under temporary names first, then renamed together, then what an earlier run
//! left is removed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
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

/// A job and the files that it writes.
struct Planned<'a> {
    job: &'a Job<'a>,
    ranges: Vec<std::ops::Range<usize>>,
    digest: String,
}

/// Writes every job's files into `folder`, those of jobs that are already there excepted.
pub fn write(folder: &Path, jobs: &[Job], args: &Args) -> Result<()> {
    let mut to_do = Vec::new();
    for job in jobs {
        let ranges = work::ranges(job.len(), job.image_bytes(), args.output.shard_size);
        let digest = digest::of(job, ranges.len(), args)?;
        let planned = Planned { job, ranges, digest };
        if planned.is_done(folder, args.output.format)? {
            job::report(job, planned.names(args.output.format).len(), ": up to date, nothing done");
        } else {
            to_do.push(planned);
        }
    }
    let started = Instant::now();
    let mut finished = Vec::new();
    for planned in &to_do {
        finished.push(planned.write(folder, args.output.format)?);
    }
    for (planned, (files, sizes)) in to_do.iter().zip(finished) {
        // Renaming is quick, but it is many steps: a reader that comes between them is told by the digests.
        files.into_iter().try_for_each(FinishedFile::commit)?;
        planned.remove_stale(folder, args.output.format)?;
        if args.output.format != Format::Shard {
            let sidecar = Sidecar::new(planned.job, &planned.digest, sizes);
            sidecar.write(&folder.join(format!("{}.json", planned.job.split)))?;
        }
        let files = planned.names(args.output.format).len();
        job::report(planned.job, files, &format!(" in {}", folder.display()));
    }
    if !to_do.is_empty() {
        let images: usize = to_do.iter().map(|p| p.job.len()).sum();
        let took = started.elapsed();
        progress::detail(format_args!(
            "{} images in {}, {} images/s",
            progress::count(images as u64),
            progress::duration(took),
            progress::count((images as f64 / took.as_secs_f64().max(1e-9)) as u64)
        ));
    }
    Ok(())
}

/// A job's files under their temporary names, and each one's size by its final name.
type Written = (Vec<FinishedFile>, BTreeMap<String, u64>);

impl Planned<'_> {
    /// The names of file `i`: two for npy, which holds one array a file.
    fn names_of(&self, i: usize, format: Format) -> Vec<String> {
        let stem = format!("{}-{i:05}-of-{:05}", self.job.split, self.ranges.len());
        match format {
            Format::Npy => vec![format!("{stem}-images.npy"), format!("{stem}-labels.npy")],
            _ => vec![format!("{stem}.{}", format.extension())],
        }
    }

    fn names(&self, format: Format) -> Vec<String> {
        (0..self.ranges.len()).flat_map(|i| self.names_of(i, format)).collect()
    }

    /// Whether an earlier run with the same digest has left everything in place, and no input with a checksum
    /// has been touched since.
    fn is_done(&self, folder: &Path, format: Format) -> Result<bool> {
        let touched = self.job.set.newest();
        for (i, name) in self.names(format).iter().enumerate() {
            let path = folder.join(name);
            let Ok(about) = fs::metadata(&path) else { return Ok(false) };
            let written = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            if touched.is_some_and(|t| t > written) {
                return Ok(false);
            }
            if format == Format::Shard {
                let meta = digest::meta(self.job, i, self.ranges.len(), &self.digest);
                // A damaged one is written again.
                if !Shard::open(&path).is_ok_and(|s| s.header().meta == meta) {
                    return Ok(false);
                }
            }
        }
        if format != Format::Shard {
            return match Sidecar::read(&folder.join(format!("{}.json", self.job.split))) {
                Some(sidecar) => Ok(sidecar.digest == self.digest && sidecar.is_whole(folder)?),
                None => Ok(false),
            };
        }
        Ok(true)
    }

    /// Writes every file under a temporary name.
    fn write(&self, folder: &Path, format: Format) -> Result<Written> {
        let total = Some(self.job.len() as u64);
        let mut progress = Progress::new(&self.job.split, total, Unit::Count("images"));
        let mut files = Vec::new();
        let mut sizes = BTreeMap::new();
        work::run(self.job, &self.ranges, |i, chunk| {
            for (file, name) in
                self.write_chunk(folder, format, i, &chunk)?.into_iter().zip(self.names_of(i, format))
            {
                sizes.insert(name, file.length()?);
                files.push(file);
            }
            progress.add(chunk.labels.len() as u64);
            Ok(())
        })?;
        progress.finish();
        Ok((files, sizes))
    }

    fn write_chunk(
        &self,
        folder: &Path,
        format: Format,
        i: usize,
        chunk: &Chunk,
    ) -> Result<Vec<FinishedFile>> {
        let paths: Vec<_> = self.names_of(i, format).iter().map(|name| folder.join(name)).collect();
        let mut finished = Vec::new();
        for (k, path) in paths.iter().enumerate() {
            let place = |e: Error| e.within(path.display());
            let mut file = AtomicFile::create(path)?;
            if k == 1 {
                format::write_npy_labels(&mut file, &chunk.labels).doing("write", path)?;
            } else {
                let meta = digest::meta(self.job, i, self.ranges.len(), &self.digest);
                let mut stream = Stream::start(format, self.job, &chunk.labels, file).map_err(place)?;
                stream.chunk(chunk, &meta).map_err(place)?;
                let done = if format == Format::Npy { stream.finish_images() } else { stream.finish() };
                file = done.map_err(place)?;
            }
            file.flush().doing("write", path)?;
            finished.push(file.finish()?);
        }
        Ok(finished)
    }

    /// Removes this split's files of an earlier run in the same format that are not among the new ones.
    fn remove_stale(&self, folder: &Path, format: Format) -> Result<()> {
        let ours: BTreeSet<String> = self.names(format).into_iter().collect();
        let mut removed = 0;
        for entry in fs::read_dir(folder).doing("read the folder", folder)? {
            let name = entry.doing("read the folder", folder)?.file_name();
            let Some(name) = name.to_str() else { continue };
            if is_part(name, &self.job.split, format) && !ours.contains(name) {
                let path = folder.join(name);
                fs::remove_file(&path).doing("remove", &path)?;
                removed += 1;
            }
        }
        if removed > 0 {
            progress::note(format_args!(
                "{}: removed {removed} {} of an earlier run from {}",
                self.job.split,
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
