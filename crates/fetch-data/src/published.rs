//! A data set from its publisher: downloaded, or embedded in this program.

use std::fs;
use std::path::{Path, PathBuf};

use torchmill::dataset::{OpenOptions, SourceFolder};
use torchmill::{Context, Error, Result, progress};

use crate::catalogue::{Download, Edition, Entry, Origin};
use crate::checksum::{self, Checksum};
use crate::config::Options;
use crate::download::{
    self, DownloadError, Downloaded, FileSpec, Job, Received, address,
};
use crate::layout::{self, Layout};
use crate::{convert, install, unpack};

/// Fills the folder `target` with a published data set.
pub fn fill(target: &Path, entry: &Entry, options: &Options) -> Result<Layout> {
    let (source, downloads) = match &entry.origin {
        Origin::Embedded(files) => {
            for (name, bytes) in *files {
                let path = target.join(name);
                fs::write(&path, bytes).doing("write", &path)?;
            }
            ("embedded in fetch-data".to_owned(), Vec::new())
        }
        Origin::Web { cache, files, .. } => {
            let cache = options.cache().join(cache);
            let downloads = get_all(entry, &cache, files, options)?;
            unpack_all(target, entry, files, &downloads)?;
            (address::without_query(&downloads[0].received.url), downloads)
        }
    };
    let folder = SourceFolder::temporary(target, target, entry.name);
    let layout = layout::find(&folder, Some(entry), true, &OpenOptions::default())?;
    install::describe(target, entry.name, &layout, source, true)?;
    clean_cache(entry, &downloads, options);
    Ok(layout)
}

/// Unpacks, links and converts the downloaded files.
fn unpack_all(
    target: &Path,
    entry: &Entry,
    files: &[Download],
    downloads: &[Downloaded],
) -> Result<()> {
    let raw = convert::raw_folder(entry, target)?;
    for (file, download) in files.iter().zip(downloads) {
        if file.unpack {
            unpack::unpack(&download.path, &raw, entry.unpacked_limit())?;
        } else {
            link_or_copy(&download.path, &raw.join(file.editions[0].file))?;
        }
    }
    if !convert::run(entry, target, &raw)? {
        return Err(Error::failed(format_args!(
            "what was downloaded does not hold the files of {}",
            entry.name
        )));
    }
    Ok(())
}

/// A file that is used as it is gets a second name where possible, so that it stays in
/// the cache until the data set is complete.
fn link_or_copy(from: &Path, to: &Path) -> Result<()> {
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    install::copy_file(from, to)
}

/// Removes from the cache the files that are used as they are. Archives stay, because
/// getting them may have taken an hour.
fn clean_cache(entry: &Entry, downloads: &[Downloaded], options: &Options) {
    let Origin::Web { files, .. } = &entry.origin else { return };
    for (file, download) in files.iter().zip(downloads) {
        if file.unpack || entry.convert().is_some() {
            progress::note(format_args!(
                "{} stays in {} for the next time; it may be deleted",
                download.file,
                options.cache().display()
            ));
        } else {
            let _ = fs::remove_file(&download.path);
        }
    }
}

/// Every file, in order: out of the cache, or downloaded.
fn get_all(
    entry: &Entry,
    cache: &Path,
    files: &[Download],
    options: &Options,
) -> Result<Vec<Downloaded>> {
    let mut found = Vec::new();
    let mut jobs = Vec::new();
    for file in files {
        let cached = in_cache(cache, file)?;
        if cached.is_none() {
            jobs.push(job(entry, cache, file, options)?);
        }
        found.push(cached);
    }
    let mut downloaded = download_all(entry, &jobs, options)?.into_iter();
    let all = found.into_iter().map(|cached| cached.or_else(|| downloaded.next()));
    Ok(all.flatten().collect())
}

fn download_all(
    entry: &Entry,
    jobs: &[Job],
    options: &Options,
) -> Result<Vec<Downloaded>> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    if options.offline {
        return Err(Error::failed(format_args!(
            "{} is not here, and --offline forbids downloading it: give it with --from, \
             or allow the network",
            entry.name
        )));
    }
    progress::note(format_args!(
        "downloading {} ({})",
        entry.name,
        progress::bytes(entry.size())
    ));
    download::run(entry.name, jobs, &options.retries).map_err(|error| match error {
        DownloadError::Sources { message, .. } => Error::failed(format_args!(
            "{message}; if you have {} elsewhere, give it with --from, or another \
             server's address with --mirror",
            entry.name
        )),
        DownloadError::Local(error) => error,
    })
}

/// A file that an earlier run downloaded, if it still has the published checksum.
fn in_cache(cache: &Path, file: &Download) -> Result<Option<Downloaded>> {
    for edition in file.editions {
        let path = cache.join(edition.file);
        if !path.is_file() {
            continue;
        }
        let published: Checksum = edition.checksum.parse()?;
        let found = checksum::of_file(&path, Some(&published))?;
        if found == published {
            progress::detail(format_args!("{} is here already", path.display()));
            let received = Received { url: edition.urls[0].to_owned(), checksum: found };
            let file = edition.file.to_owned();
            return Ok(Some(Downloaded { file, path, received }));
        }
        progress::note(format_args!(
            "{} is damaged ({found}): downloading it again",
            path.display()
        ));
    }
    Ok(None)
}

fn job(entry: &Entry, cache: &Path, file: &Download, options: &Options) -> Result<Job> {
    let mut alternatives: Vec<(FileSpec, PathBuf)> = Vec::new();
    for edition in file.editions {
        let spec = FileSpec {
            name: edition.file.to_owned(),
            urls: urls(entry, edition, &options.mirrors),
            size: edition.size.exact(),
            checksum: Some(edition.checksum.parse()?),
        };
        alternatives.push((spec, cache.join(edition.file)));
    }
    Ok(Job { alternatives })
}

/// Where an edition is available: at each mirror `MIRROR/NAME/FILE` and `MIRROR/FILE` (or
/// `MIRROR` itself if that ends with the file's name), then at the published addresses.
pub fn urls(entry: &Entry, edition: &Edition, mirrors: &[String]) -> Vec<String> {
    let mut urls = Vec::new();
    for mirror in mirrors {
        let base = mirror.trim_end_matches('/');
        if base.rsplit('/').next() == Some(edition.file) {
            urls.push(base.to_owned());
        } else {
            urls.push(format!("{base}/{}/{}", entry.name, edition.file));
            urls.push(format!("{base}/{}", edition.file));
        }
    }
    urls.extend(edition.urls.iter().map(|&url| url.to_owned()));
    urls
}
