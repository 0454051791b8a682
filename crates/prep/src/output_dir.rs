//! Files in a folder: all written under temporary names first, then renamed together,
//! then what an earlier run left is removed.

use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use rayon::prelude::*;
use torchmill::atomic::{self, FinishedFile, Staging};
use torchmill::lock::{Access, FolderLock};
use torchmill::shard::Shard;
use torchmill::{Context, Result, progress};

use crate::args::{Args, Format, Part};
use crate::bake::Job;
use crate::contents::Contents;
use crate::sidecar::Sidecar;
use crate::stale::{self, Kept};
use crate::{bake_ahead, digest, files, job};

/// What is to be written for a job.
struct Planned {
    /// The job's place in the list.
    job: usize,
    /// The images of each file, other parts' files included.
    ranges: Vec<Range<usize>>,
    /// The files that are ours to write.
    files: Range<usize>,
    /// How many images an earlier run has left in these files, where nothing is to be
    /// done.
    done: Option<usize>,
    digest: String,
}

/// Writes every job's files into `folder`, those of jobs that are already there excepted.
pub fn write(
    folder: &Path,
    mut jobs: Vec<Job>,
    contents: &Contents,
    args: &Args,
) -> Result<()> {
    let _lock = lock(folder, args.output.part.is_some())?;
    atomic::remove_abandoned(folder);
    let format = args.output.format;
    if format == Format::Shard && !args.select.split.is_empty() {
        stale::refuse_shared_images(folder, &jobs)?;
    }
    let mut all = Vec::new();
    for (i, job) in jobs.iter().enumerate() {
        let ranges =
            bake_ahead::ranges(job.len(), job.image_bytes(), args.output.shard_size);
        let files =
            args.output.part.map_or(0..ranges.len(), |part| part.of(ranges.len()));
        let digest = digest::of(job, ranges.len(), args, contents);
        let mut planned = Planned { job: i, ranges, files, done: None, digest };
        planned.done = planned.find_done(folder, job, args)?;
        if let (true, Some(part)) = (planned.files.is_empty(), args.output.part) {
            let (split, files) = (&job.split, planned.ranges.len());
            progress::note(format_args!(
                "{split}: nothing in part {} of {}: there {} in all; a smaller --shard-size makes more",
                part.index,
                part.of,
                if files == 1 {
                    "is 1 file".to_owned()
                } else {
                    format!("are {files} files")
                }
            ));
        } else if let Some(images) = planned.done {
            job::report(job, images, planned.files.len(), ": up to date, nothing done");
        }
        all.push(planned);
    }
    if all.iter().any(|planned| planned.done.is_none()) {
        job::fill_in_statistics(&mut jobs, args)?;
        write_files(folder, &jobs, &all, args)?;
    }
    let files =
        all.iter().flat_map(|planned| planned.all_names(&jobs[planned.job], args));
    let kept = Kept {
        splits: jobs.iter().map(|job| job.split.as_str()).collect(),
        files: files.collect(),
        all_splits: args.select.split.is_empty(),
    };
    stale::remove(folder, &kept, format)?;
    args.select.skip_bad.as_ref().map_or(Ok(()), |path| job::list_bad(&jobs, path))
}

/// Writes the files of what is not done.
fn write_files(folder: &Path, jobs: &[Job], all: &[Planned], args: &Args) -> Result<()> {
    let format = args.output.format;
    let started = Instant::now();
    let staging = Staging::create(folder)?;
    let mut images = 0;
    let mut finished = Vec::new();
    for planned in all.iter().filter(|planned| planned.done.is_none()) {
        let (job, ours) = (&jobs[planned.job], planned.files.clone());
        let place = (folder, &staging);
        finished.push((
            planned,
            files::write(job, &planned.ranges, ours, place, format, &planned.digest)?,
        ));
    }
    for (planned, written) in finished {
        let job = &jobs[planned.job];
        // Renaming is quick, but it is many steps. A reader that comes between them knows
        // by the shards' digests; the other formats have no description meanwhile.
        if format != Format::Shard {
            remove_descriptions(folder, &job.split, args.output.part)?;
        }
        written.files.into_iter().try_for_each(FinishedFile::commit)?;
        if format != Format::Shard {
            let sidecar =
                Sidecar::new(job, written.images, &planned.digest, written.sums);
            sidecar.write(&folder.join(sidecar_name(&job.split, args.output.part)))?;
        }
        images += written.images;
        job::report(
            job,
            written.images,
            planned.files.len(),
            &format!(" in {}", folder.display()),
        );
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

/// Waits until no other prep writes into the folder, and keeps others out as long as the
/// lock is held. Parts of one data set may be written at the same time.
fn lock(folder: &Path, is_part: bool) -> Result<FolderLock> {
    fs::create_dir_all(folder).doing("make the folder", folder)?;
    let access = if is_part { Access::Shared } else { Access::Exclusive };
    FolderLock::wait(folder, access, || {
        let folder = folder.display();
        progress::note(format_args!("waiting for another prep that writes in {folder}"));
    })
}

/// Removes the descriptions of a split's files that are about to be replaced: should prep
/// be killed between two renames, none must describe files of two runs.
fn remove_descriptions(folder: &Path, split: &str, part: Option<Part>) -> Result<()> {
    let mut names = vec![sidecar_name(split, None)];
    match part {
        Some(_) => names.push(sidecar_name(split, part)),
        None => names.extend(stale::part_descriptions(folder, split)?),
    }
    for name in names {
        let path = folder.join(name);
        match fs::remove_file(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            removed => removed.doing("remove", &path)?,
        }
    }
    Ok(())
}

/// Where a split's files are described, one description for each part.
fn sidecar_name(split: &str, part: Option<Part>) -> String {
    match part {
        Some(Part { index, of }) => format!("{split}-part-{index}-of-{of}.json"),
        None => format!("{split}.json"),
    }
}

impl Planned {
    /// How many images are in our files, bad ones included.
    fn images(&self) -> usize {
        self.ranges[self.files.clone()].iter().map(ExactSizeIterator::len).sum()
    }

    /// The names of file `i`.
    fn names_of(&self, i: usize, job: &Job, format: Format) -> Vec<String> {
        files::names(&job.split, i, self.ranges.len(), format)
    }

    /// The names of all files and descriptions, other parts' included.
    fn all_names(&self, job: &Job, args: &Args) -> Vec<String> {
        let format = args.output.format;
        let mut names: Vec<_> =
            (0..self.ranges.len()).flat_map(|i| self.names_of(i, job, format)).collect();
        match args.output.part {
            _ if format == Format::Shard => {}
            Some(Part { of, .. }) => {
                names.extend(
                    (1..=of)
                        .map(|index| sidecar_name(&job.split, Some(Part { index, of }))),
                );
            }
            None => names.push(sidecar_name(&job.split, None)),
        }
        names
    }

    /// How many images an earlier run with the same digest has written, if its files are
    /// all there and undamaged. What it has left out is noted as bad again.
    fn find_done(&self, folder: &Path, job: &Job, args: &Args) -> Result<Option<usize>> {
        let format = args.output.format;
        let left_out = match format {
            Format::Shard => {
                let in_shard = |i| {
                    self.left_out_of_shard(
                        i,
                        &folder.join(&self.names_of(i, job, format)[0]),
                        job,
                    )
                };
                // Every byte is read, and damage found: on all cores.
                let each = self.files.clone().into_par_iter().map(in_shard);
                each.collect::<Option<Vec<_>>>().map(|each| each.concat())
            }
            _ => match Sidecar::read(
                &folder.join(sidecar_name(&job.split, args.output.part)),
            ) {
                Some(about)
                    if about.digest == self.digest && about.is_whole(folder)? =>
                {
                    Some(about.left_out)
                }
                _ => None,
            },
        };
        let Some(left_out) = left_out else { return Ok(None) };
        for &i in &left_out {
            // It was missing or damaged, and nothing has changed.
            if i >= job.len() || job.unless_bad(i, job.look_at(i))?.is_some() {
                return Ok(None);
            }
        }
        Ok(Some(self.images() - left_out.len()))
    }

    /// The images that are not in file `i`; `None` where it is damaged or not what we
    /// would write.
    fn left_out_of_shard(&self, i: usize, path: &Path, job: &Job) -> Option<Vec<usize>> {
        let shard = Shard::open(path).ok()?;
        let meta = &shard.header().meta;
        let place = (meta.index as usize, meta.shards as usize);
        if place != (i, self.ranges.len())
            || meta.digest != self.digest
            || shard.verify().is_err()
        {
            return None;
        }
        let range = self.ranges[i].clone();
        let count = shard.header().count as usize;
        if count == range.len() {
            return Some(Vec::new());
        }
        let mut next = 0;
        let mut is_there = |i: usize| {
            let there = next < count
                && shard.source(next).is_ok_and(|s| s == job.set.source(job.sample(i)));
            next += usize::from(there);
            there
        };
        let left_out = range.filter(|&i| !is_there(i)).collect();
        (next == count && job.bad.is_some()).then_some(left_out)
    }
}
