//! Getting one data set: from the web, from this program, or from where the user says.

use std::fs;
use std::path::{Path, PathBuf};

use torchmill::atomic::AtomicFolder;
use torchmill::{Context, Error, Result, progress, suggest};

use crate::catalogue::{self, Download, Edition, Entry, Origin};
use crate::checksum::{self, Checksum};
use crate::download::{self, Got, Job, Patience, Want, address};
use crate::import::{self, ImportSource};
use crate::layout::{self, Layout};
use crate::lock::Lock;
use crate::{install, unpack};

/// What the user asked for, apart from the data set's name.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The folder that holds the data sets' folders.
    pub root: PathBuf,
    /// Where to take it from instead of the published source.
    pub from: Option<ImportSource>,
    /// Take an archive whatever its checksum.
    pub any_checksum: bool,
    /// What the archive's checksum must be, instead of the published one.
    pub checksum: Option<Checksum>,
    /// Addresses of folders that have the published files; tried first.
    pub mirrors: Vec<String>,
    /// Do not use the network.
    pub offline: bool,
    /// Replace what is there.
    pub force: bool,
    /// Link files of a given folder instead of copying them.
    pub link: bool,
    /// How patient downloads are.
    pub patience: Patience,
}

impl Options {
    /// Where a data set goes.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Where downloads go, below the root so that they share its disk.
    pub fn cache(&self) -> PathBuf {
        self.root.join(".downloads")
    }
}

/// Fetches the data set `name` unless it is there, and returns its folder.
pub fn fetch(name: &str, options: &Options) -> Result<PathBuf> {
    check_name(name)?;
    let entry = catalogue::find(name);
    if entry.is_none() && options.from.is_none() {
        // One of the user's own, perhaps, that is here already.
        if !options.force && already(name, &options.folder(name), options)? {
            return Ok(options.folder(name));
        }
        return Err(unknown(name));
    }
    if let Some(source) = &options.from {
        source.check(entry, options.offline)?;
    }
    let folder = options.folder(name);
    if !options.force && already(name, &folder, options)? {
        return Ok(folder);
    }
    let _lock = downloads(entry, options)
        .then(|| Lock::take(&options.cache(), name))
        .transpose()?;
    // Another process may have fetched it meanwhile.
    if !options.force && already(name, &folder, options)? {
        return Ok(folder);
    }
    // Before any folder is made: a slip of the pen leaves nothing behind.
    if let Some(ImportSource::Path(path)) = &options.from {
        fs::metadata(path).doing("read", path)?;
    }
    let target = AtomicFolder::create(&folder)?;
    let layout = match (&options.from, entry) {
        (Some(source), _) => import::fill(target.path(), name, entry, source, options)?,
        (None, Some(entry)) => published(target.path(), entry, options)?,
        (None, None) => return Err(unknown(name)),
    };
    target.commit()?;
    progress::note(format_args!("{name}: {}, in {}", layout.summary(), folder.display()));
    Ok(folder)
}

/// Whether the network may be used, and so the cache, where two processes would get into
/// each other's way.
fn downloads(entry: Option<&Entry>, options: &Options) -> bool {
    match &options.from {
        Some(source) => matches!(source, ImportSource::Url(_)),
        None => entry.is_some_and(|e| !e.is_embedded()),
    }
}

fn already(name: &str, folder: &Path, options: &Options) -> Result<bool> {
    let Some(manifest) = install::installed(folder)? else { return Ok(false) };
    let advice =
        if options.from.is_some() { "; --force replaces it" } else { "; nothing to do" };
    progress::note(format_args!(
        "{name} is already in {} (from {}){advice}",
        folder.display(),
        manifest.source
    ));
    Ok(true)
}

/// A data set's name is a folder's name too, and nothing else.
fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty()
        || name.len() > 100
        || name.starts_with(['.', '-'])
        || !name.chars().all(plain)
    {
        return Err(Error::usage(format_args!(
            "`{name}` is no name for a data set: use letters, digits, `-`, `_` and `.`"
        )));
    }
    Ok(())
}

pub(crate) fn unknown(name: &str) -> Error {
    Error::usage(format_args!(
        "no data set is called `{name}`{} (--list shows what there is); one of your own needs --from",
        suggest::did_you_mean(name, catalogue::ENTRIES.iter().map(|entry| entry.name))
    ))
}

/// Fills `target` from the published sources.
fn published(target: &Path, entry: &Entry, options: &Options) -> Result<Layout> {
    let (source, keep) = match &entry.origin {
        Origin::Embedded(files) => {
            for (name, bytes) in *files {
                let path = target.join(name);
                fs::write(&path, bytes).doing("write", &path)?;
            }
            ("embedded in fetch-data".to_owned(), Vec::new())
        }
        Origin::Web { cache, files, .. } => {
            let got = get_all(entry, &options.cache().join(cache), files, options)?;
            let raw = raw_folder(entry, target)?;
            for (file, got) in files.iter().zip(&got) {
                if file.unpack {
                    unpack::unpack(&got.path, &raw, entry.unpacked_limit())?;
                } else {
                    put(&got.path, &raw.join(file.editions[0].file))?;
                }
            }
            if !convert(entry, target, &raw)? {
                return Err(Error::failed(format_args!(
                    "what was downloaded does not hold the files of {}",
                    entry.name
                )));
            }
            let source =
                got.first().map(|g| address::kept(&g.arrived.url)).unwrap_or_default();
            (source, got)
        }
    };
    let layout = layout::find(target, Some(entry), true)?;
    install::describe(target, entry.name, &layout, source, true)?;
    tidy(entry, &keep, options);
    Ok(layout)
}

/// Where what was published goes first: a folder of its own if it is then converted, else
/// where it stays.
pub fn raw_folder(entry: &Entry, target: &Path) -> Result<PathBuf> {
    let raw = if entry.convert().is_some() {
        target.join(".raw")
    } else {
        target.to_path_buf()
    };
    fs::create_dir_all(&raw).doing("make the folder", &raw)?;
    Ok(raw)
}

/// Converts what [`raw_folder`] holds, if the data set needs that; `false` if nothing was
/// found to convert.
pub fn convert(entry: &Entry, target: &Path, raw: &Path) -> Result<bool> {
    let Some(convert) = entry.convert() else { return Ok(true) };
    let found = convert(raw, true, target)?;
    if found {
        fs::remove_dir_all(raw).doing("remove", raw)?;
    }
    Ok(found)
}

/// A file that is used as it is: under two names where possible, so that it stays in the
/// cache until the data set is whole.
fn put(from: &Path, to: &Path) -> Result<()> {
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    let failed = |e| {
        Error::io(format_args!("cannot copy {} to {}", from.display(), to.display()), &e)
    };
    fs::copy(from, to).map(drop).map_err(failed)
}

/// Files that were used as they are need not lie in the cache as well; archives stay,
/// because getting them may have taken an hour.
fn tidy(entry: &Entry, got: &[Got], options: &Options) {
    let Origin::Web { files, .. } = &entry.origin else { return };
    for (file, got) in files.iter().zip(got) {
        if file.unpack || entry.convert().is_some() {
            progress::note(format_args!(
                "{} stays in {} for the next time; it may be deleted",
                got.path
                    .file_name()
                    .map_or_else(Default::default, |name| name.to_string_lossy()),
                options.cache().display()
            ));
        } else {
            let _ = fs::remove_file(&got.path);
        }
    }
}

/// Downloads what the cache does not have.
fn get_all(
    entry: &Entry,
    cache: &Path,
    files: &[Download],
    options: &Options,
) -> Result<Vec<Got>> {
    let mut cached = Vec::new();
    let mut jobs = Vec::new();
    for file in files {
        let here = in_cache(cache, file)?;
        if here.is_none() {
            jobs.push(job(entry, cache, file, options)?);
        }
        cached.push(here);
    }
    if !jobs.is_empty() && options.offline {
        return Err(Error::failed(format_args!(
            "{} is not here, and --offline forbids to get it: give it with --from, or allow the network",
            entry.name
        )));
    }
    let mut downloaded = if jobs.is_empty() {
        Vec::new().into_iter()
    } else {
        progress::note(format_args!(
            "downloading {} ({})",
            entry.name,
            progress::bytes(entry.size())
        ));
        let got = download::run(entry.name, &jobs, &options.patience).map_err(|e| match e {
            Error::Failed(m) => Error::Failed(format!(
                "{m}; if you have {} elsewhere, give it with --from, or another server's address with --mirror",
                entry.name
            )),
            other => other,
        })?;
        got.into_iter()
    };
    Ok(cached.into_iter().filter_map(|here| here.or_else(|| downloaded.next())).collect())
}

/// A file that an earlier run downloaded, if it still is what it should be.
fn in_cache(cache: &Path, file: &Download) -> Result<Option<Got>> {
    for edition in file.editions {
        let path = cache.join(edition.file);
        if !path.is_file() {
            continue;
        }
        let published: Checksum = edition.checksum.parse()?;
        let found = checksum::of_file(&path, Some(&published))?;
        if found == published {
            progress::detail(format_args!("{} is here already", path.display()));
            let url = edition.urls.first().map(|&u| u.to_owned()).unwrap_or_default();
            return Ok(Some(Got {
                path,
                arrived: download::Arrived { url, checksum: found },
            }));
        }
        progress::note(format_args!(
            "{} is damaged ({found}): getting it again",
            path.display()
        ));
    }
    Ok(None)
}

fn job(entry: &Entry, cache: &Path, file: &Download, options: &Options) -> Result<Job> {
    let alternative = |edition: &Edition| -> Result<(Want, PathBuf)> {
        let want = Want {
            name: edition.file.to_owned(),
            urls: urls(entry, edition, &options.mirrors),
            size: edition.size.exact(),
            checksum: Some(edition.checksum.parse()?),
        };
        Ok((want, cache.join(edition.file)))
    };
    Ok(Job {
        alternatives: file.editions.iter().map(alternative).collect::<Result<_>>()?,
    })
}

/// Where an edition can be had: at each mirror `MIRROR/NAME/FILE` and `MIRROR/FILE` (or
/// `MIRROR` itself if that ends with the file's name), then the published places.
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
    urls.extend(edition.urls.iter().map(|&u| u.to_owned()));
    urls
}

#[cfg(test)]
mod tests;
