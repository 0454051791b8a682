//! `-o DIR`: files in a folder. All are written under temporary names first and then
//! renamed together. After that, the remaining files of earlier runs are removed.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Instant;

use torchmill::atomic::{self, FinishedFile, Staging};
use torchmill::lock::{Access, FolderLock};
use torchmill::{Context, Result, progress};

use crate::args::Part;
use crate::config::Config;
use crate::contents::Contents;
use crate::files::{self, Target, Written};
use crate::job::Job;
use crate::planned::{self, Planned};
use crate::sidecar::Sidecar;
use crate::stale::{self, Kept};
use crate::{auto_normalize, file_names, report};

/// Writes every job's files into `folder`, except those that are already there.
pub fn write(
    folder: &Path,
    jobs: &mut [Job],
    contents: &Contents,
    config: &Config,
) -> Result<()> {
    let _lock = lock(folder, config.part.is_some())?;
    atomic::remove_abandoned(folder);
    let format = config.format.as_ref();
    if format.describes_itself() && !config.splits.is_empty() {
        stale::refuse_shared_images(folder, jobs, format)?;
    }
    let planned = planned::files(folder, jobs, contents, config)?;
    for (job, planned) in jobs.iter().zip(&planned) {
        note_nothing_to_do(job, planned, config);
    }
    if planned.iter().any(|planned| planned.done.is_none()) {
        auto_normalize::fill_in(jobs, config)?;
        write_files(folder, jobs, &planned, config)?;
    }
    let mut files = Vec::new();
    for (job, planned) in jobs.iter().zip(&planned) {
        files.extend(planned.all_names(job, config));
    }
    let kept = Kept {
        splits: jobs.iter().map(|job| job.split.as_str()).collect(),
        files: files.into_iter().collect(),
        all_splits: config.splits.is_empty(),
    };
    stale::remove(folder, &kept, format)
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

/// Notes that a job's files are up to date, or that our part has none of them.
fn note_nothing_to_do(job: &Job, planned: &Planned, config: &Config) {
    let files = planned.ranges.len();
    if let (true, Some(Part { index, parts })) = (planned.ours.is_empty(), config.part) {
        let there = match files {
            1 => "is 1 file".to_owned(),
            n => format!("are {n} files"),
        };
        progress::note(format_args!(
            "{}: nothing in part {index} of {parts}: there {there} in all; a smaller \
             --shard-size makes more",
            job.split
        ));
    } else if let Some(images) = planned.done {
        let end = ": up to date, nothing done";
        report::written(job, config.format.as_ref(), images, planned.ours.len(), end);
    }
}

/// Writes the files of the jobs that are not done.
fn write_files(
    folder: &Path,
    jobs: &[Job],
    all: &[Planned],
    config: &Config,
) -> Result<()> {
    let started = Instant::now();
    let staging = Staging::create(folder)?;
    let mut finished = Vec::new();
    for (job, planned) in jobs.iter().zip(all) {
        if planned.done.is_some() {
            continue;
        }
        let target = Target {
            ranges: &planned.ranges,
            ours: planned.ours.clone(),
            digest: &planned.digest,
            folder,
            staging: &staging,
        };
        let written = files::write(job, config.format.as_ref(), &target)?;
        finished.push((job, planned, written));
    }
    let mut images = 0;
    for (job, planned, written) in finished {
        images += written.images;
        commit(folder, job, planned, written, config)?;
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

/// Renames a job's files to their final names. Renaming is quick, but takes several
/// steps. A reader in between can tell by the shards' digests; files of other formats
/// have no description in the meantime.
fn commit(
    folder: &Path,
    job: &Job,
    planned: &Planned,
    written: Written,
    config: &Config,
) -> Result<()> {
    let format = config.format.as_ref();
    if !format.describes_itself() {
        remove_descriptions(folder, &job.split, config.part)?;
    }
    written.files.into_iter().try_for_each(FinishedFile::commit)?;
    if !format.describes_itself() {
        let description = file_names::of_description(&job.split, config.part);
        Sidecar::new(job, written.images, &planned.digest, written.sums)
            .write(&folder.join(description))?;
    }
    let end = format!(" in {}", folder.display());
    report::written(job, format, written.images, planned.ours.len(), &end);
    Ok(())
}

/// Removes the descriptions of a split's files that are about to be replaced: if prep is
/// killed between two renames, no description may cover files of two runs.
fn remove_descriptions(folder: &Path, split: &str, part: Option<Part>) -> Result<()> {
    let mut names = vec![file_names::of_description(split, None)];
    match part {
        Some(_) => names.push(file_names::of_description(split, part)),
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
