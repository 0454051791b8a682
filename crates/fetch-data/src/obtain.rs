//! Gets files for a data set from the download cache or from their sources.

use std::fs;
use std::path::{Path, PathBuf};

use torchmill::{Error, Result, progress};

use crate::config::Options;
use crate::download::{self, DownloadError, Downloaded, Job, Received};
use crate::{checksum, install};

/// Gets every file, in order, from the cache or its sources. Messages call the files `what`,
/// followed by `about`, such as their size.
pub fn obtain(
    what: &str,
    about: &str,
    jobs: Vec<Job>,
    options: &Options,
) -> Result<Vec<Downloaded>, DownloadError> {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for job in jobs {
        let cached = in_cache(&job)?;
        if cached.is_none() {
            missing.push(job);
        }
        found.push(cached);
    }
    let mut downloaded = download_all(what, about, missing, options)?.into_iter();
    let all = found.into_iter().map(|cached| cached.or_else(|| downloaded.next()));
    Ok(all.flatten().collect())
}

fn download_all(
    what: &str,
    about: &str,
    mut jobs: Vec<Job>,
    options: &Options,
) -> Result<Vec<Downloaded>, DownloadError> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    if options.offline {
        jobs.iter_mut().for_each(Job::keep_local);
        if jobs.iter().any(|job| job.alternatives.is_empty()) {
            let error = Error::failed(format_args!(
                "{what} is not here, and --offline forbids downloading it: give it with \
                 --from, or allow the network"
            ));
            return Err(error.into());
        }
    }
    progress::note(format_args!("downloading {what} ({about})"));
    download::run(what, &jobs, &options.retries)
}

/// A file that an earlier run downloaded, if it still has the published checksum.
fn in_cache(job: &Job) -> Result<Option<Downloaded>> {
    for (spec, path) in &job.alternatives {
        let Some(published) = &spec.checksum else { continue };
        if !path.is_file() {
            continue;
        }
        let found = checksum::of_file(path, Some(published))?;
        if found == *published {
            progress::detail(format_args!("{} is here already", path.display()));
            // Mirrors come first.
            let url = spec.urls.last().cloned().unwrap_or_default();
            let received = Received { url, checksum: found };
            let file = spec.name.clone();
            return Ok(Some(Downloaded { file, path: path.clone(), received }));
        }
        progress::note(format_args!(
            "{} is damaged ({found}): downloading it again",
            path.display()
        ));
    }
    Ok(None)
}

/// A file that is used as it is gets a second name where possible, so that it stays in
/// the cache until the data set is complete.
pub fn link_or_copy(from: &Path, to: &Path) -> Result<()> {
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    install::copy_file(from, to)
}

/// The downloads that are not needed once the data set has its folder. Those that `stays`
/// says, by their number, stay in the cache: archives, because downloading them may have
/// taken an hour.
pub fn used(
    downloads: Vec<Downloaded>,
    cache: &Path,
    stays: impl Fn(usize) -> bool,
) -> Vec<PathBuf> {
    let mut used = Vec::new();
    for (i, download) in downloads.into_iter().enumerate() {
        if stays(i) {
            progress::note(format_args!(
                "{} stays in {} for the next time; it may be deleted",
                download.file,
                cache.display()
            ));
        } else {
            used.push(download.path);
        }
    }
    used
}

/// Removes files from the cache, and the folders that are then empty.
pub fn remove_used(cache: &Path, files: &[PathBuf]) {
    for file in files {
        let _ = fs::remove_file(file);
        for folder in file.ancestors().skip(1) {
            if folder == cache || !folder.starts_with(cache) {
                break;
            }
            // Fails if the folder is not empty.
            let _ = fs::remove_dir(folder);
        }
    }
}
