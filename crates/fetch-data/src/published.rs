//! A data set from its publisher: downloaded, or embedded in this program.

use std::fs;
use std::path::{Path, PathBuf};

use torchmill::dataset::{OpenOptions, SourceFolder};
use torchmill::{Context, Error, Result, progress};

use crate::catalogue::{Download, Edition, Entry, Origin};
use crate::config::Options;
use crate::download::{self, DownloadError, Downloaded, FileSpec, Job, address};
use crate::fetch::Filled;
use crate::layout;
use crate::{convert, install, obtain, unpack};

/// Fills the folder `target` with a published data set.
pub fn fill(target: &Path, entry: &Entry, options: &Options) -> Result<Filled> {
    let (source, used) = match &entry.origin {
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
            let source = address::without_query(&downloads[0].received.url);
            let stays = |i: usize| files[i].unpack || entry.convert().is_some();
            (source, obtain::used(downloads, &options.cache(), stays))
        }
    };
    let folder = SourceFolder::temporary(target, target, entry.name);
    let layout = layout::find(&folder, Some(entry), true, &OpenOptions::default())?;
    install::describe(target, entry.name, &layout, source, true)?;
    Ok(Filled { used, ..Filled::of(&layout) })
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
            obtain::link_or_copy(&download.path, &raw.join(file.editions[0].file))?;
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

/// Every file, in order: out of the cache, or downloaded.
fn get_all(
    entry: &Entry,
    cache: &Path,
    files: &[Download],
    options: &Options,
) -> Result<Vec<Downloaded>> {
    let mut jobs = Vec::new();
    for file in files {
        jobs.push(job(entry, cache, file, options)?);
    }
    let about = progress::bytes(entry.size());
    obtain::obtain(entry.name, &about, jobs, options).map_err(|error| match error {
        DownloadError::Sources { message, .. } => Error::failed(format_args!(
            "{message}; if you have {} elsewhere, give it with --from, or another \
             server's address with --mirror",
            entry.name
        )),
        DownloadError::Local(error) => error,
    })
}

fn job(entry: &Entry, cache: &Path, file: &Download, options: &Options) -> Result<Job> {
    let mut alternatives: Vec<(FileSpec, PathBuf)> = Vec::new();
    for edition in file.editions {
        let spec = FileSpec {
            name: edition.file.to_owned(),
            urls: urls(entry, edition, &options.mirrors),
            size: edition.size.exact(),
            checksum: Some(edition.checksum.parse()?),
            token: None,
        };
        alternatives.push((spec, cache.join(edition.file)));
    }
    Ok(Job { alternatives })
}

/// Where an edition is available: at the mirrors, then at the published URLs.
pub fn urls(entry: &Entry, edition: &Edition, mirrors: &[String]) -> Vec<String> {
    let mut urls = download::at_mirrors(mirrors, entry.name, edition.file);
    urls.extend(edition.urls.iter().map(|&url| url.to_owned()));
    urls
}
