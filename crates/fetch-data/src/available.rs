//! `--available`: tells a Makefile within seconds whether a data set is on disk or can be
//! fetched.

use std::time::Duration;

use torchmill::{Error, Result, progress};

use crate::catalogue::{self, Download, Entry, Origin};
use crate::config::Options;
use crate::download::{address, probe};
use crate::{install, published};

/// How long to wait for the sources' answers.
const DEADLINE: Duration = Duration::from_secs(5);

/// Prints where the data set `name` is: in its folder, in this program, in the cache, or
/// at a source that answers before the deadline. Fails if it is at none of these.
pub fn check(name: &str, options: &Options) -> Result<()> {
    let location = locate(name, options)?;
    progress::note(format_args!("{name} {location}"));
    Ok(())
}

fn locate(name: &str, options: &Options) -> Result<String> {
    let folder = options.folder(name);
    if install::installed(&folder)?.is_some() {
        return Ok(format!("is in {}", folder.display()));
    }
    let entry = catalogue::find(name).ok_or_else(|| catalogue::unknown(name))?;
    let Origin::Web { cache, files, .. } = &entry.origin else {
        return Ok("is embedded in fetch-data".to_owned());
    };
    let cache = options.cache().join(cache);
    let is_cached =
        |file: &&Download| file.editions.iter().any(|e| cache.join(e.file).is_file());
    let Some(missing) = files.iter().find(|file| !is_cached(file)) else {
        return Ok(format!("is downloaded, in {}", cache.display()));
    };
    if options.offline {
        return Err(Error::failed(format_args!(
            "{name} is not here (--offline: no source was asked)"
        )));
    }
    match probe::first_to_answer(&sources(entry, missing, options), DEADLINE) {
        Ok(url) => Ok(format!("is available from {}", address::without_query(&url))),
        Err(why) => Err(Error::failed(format_args!(
            "{name} is not here and no source has it now: {why}"
        ))),
    }
}

/// The URLs of a file, with the size that each should report.
fn sources(
    entry: &Entry,
    file: &Download,
    options: &Options,
) -> Vec<(String, Option<u64>)> {
    let mut sources = Vec::new();
    for edition in file.editions {
        for url in published::urls(entry, edition, &options.mirrors) {
            sources.push((url, edition.size.exact()));
        }
    }
    sources
}
