//! Getting one data set into its folder.

use std::fs;
use std::path::{Path, PathBuf};

use torchmill::atomic::{self, AtomicFolder};
use torchmill::{Context, Error, Result, progress};

use crate::catalogue::{self, Entry, Origin};
use crate::config::Options;
use crate::download::address;
use crate::import::{self, ImportSource};
use crate::layout::Layout;
use crate::listing::{self, Listing};
use crate::user_source::{ListSource, UserSource};
use crate::{install, lock, obtain, published};

/// A folder that has been filled with a data set.
#[derive(Debug)]
pub struct Filled {
    /// What it holds: `50,000 train and 10,000 test images in 10 classes`.
    pub summary: String,
    /// What the user should know, a line each.
    pub notes: Vec<String>,
    /// Files of the download cache that are not needed once the folder has its name.
    pub used: Vec<PathBuf>,
}

impl Filled {
    /// A folder whose images have been listed.
    pub fn of(layout: &Layout) -> Self {
        let notes = layout.data.notes.clone();
        Self { summary: layout.summary(), notes, used: Vec::new() }
    }
}

/// Where a data set comes from.
enum Source<'a> {
    /// From the user's archive, folder or URL.
    Import(&'a ImportSource),
    /// From a list of files.
    Listed(Box<Listing>),
    /// From its publisher.
    Published(&'static Entry),
}

impl<'a> Source<'a> {
    fn of(
        name: &str,
        entry: Option<&'static Entry>,
        options: &'a Options,
    ) -> Result<Self> {
        match (&options.from, entry) {
            (Some(UserSource::Import(source)), _) => Ok(Self::Import(source)),
            (Some(UserSource::List(list)), _) => {
                Ok(Self::Listed(Box::new(list.read(options)?)))
            }
            (None, Some(entry)) => Ok(Self::Published(entry)),
            (None, None) => Err(catalogue::unknown(name)),
        }
    }

    /// The files and folders on this machine that it is read from.
    fn local_paths(&self, options: &Options) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        match self {
            Self::Import(ImportSource::Path(path)) => paths.push(path.clone()),
            Self::Listed(listing) => {
                if let Some(UserSource::List(ListSource::File(list))) = &options.from {
                    paths.push(list.clone());
                }
                let urls = listing.files.iter().map(|file| file.url.as_str());
                paths.extend(urls.filter_map(address::local_path).map(PathBuf::from));
            }
            Self::Import(ImportSource::Url(_)) | Self::Published(_) => {}
        }
        paths
    }

    /// The name of the lock that a download into the cache needs. Data sets out of one
    /// archive share it.
    fn lock_name<'b>(&self, name: &'b str) -> Option<&'b str> {
        match self {
            Self::Import(ImportSource::Url(_)) | Self::Listed(_) => Some(name),
            Self::Import(ImportSource::Path(_)) => None,
            Self::Published(entry) => match entry.origin {
                Origin::Web { cache, .. } => Some(cache),
                Origin::Embedded(_) => None,
            },
        }
    }
}

/// Fetches the data set `name` unless it is there, and returns its folder.
pub fn fetch(name: &str, options: &Options) -> Result<PathBuf> {
    let folder = options.folder(name);
    clean_up(&folder, options)?;
    // A name that is not in the catalogue may be a data set of the user's own.
    if !options.force && is_installed(name, &folder, options)? {
        return Ok(folder);
    }
    let entry = catalogue::find(name);
    let source = Source::of(name, entry, options)?;
    let lock = source.lock_name(name);
    let _lock = lock.map(|name| lock::download(&options.cache(), name)).transpose()?;
    // Another process may have fetched it meanwhile.
    if !options.force && is_installed(name, &folder, options)? {
        return Ok(folder);
    }
    // Before any folder is made: a mistyped path leaves nothing behind.
    if let Source::Import(ImportSource::Path(path)) = source {
        fs::metadata(path).doing("read", path)?;
    }
    for path in source.local_paths(options) {
        refuse_own_source(&path, &folder)?;
    }
    let target = AtomicFolder::create(&folder)?;
    let filled = match source {
        Source::Import(source) => {
            Filled::of(&import::import(target.path(), name, entry, source, options)?)
        }
        Source::Listed(listing) => listing::fill(target.path(), name, &listing, options)?,
        Source::Published(entry) => published::fill(target.path(), entry, options)?,
    };
    install(target, name, &folder, &filled, options)?;
    Ok(folder)
}

/// Refuses a source within the folder that it would replace: the rest of the folder would
/// be lost.
fn refuse_own_source(from: &Path, folder: &Path) -> Result<()> {
    let (Ok(from), Ok(target)) = (from.canonicalize(), folder.canonicalize()) else {
        return Ok(());
    };
    if from.starts_with(&target) {
        return Err(Error::usage(format_args!(
            "--from reads {} in {}, which it would replace: give another NAME",
            from.display(),
            folder.display()
        )));
    }
    Ok(())
}

/// Restores or removes what killed processes left.
fn clean_up(folder: &Path, options: &Options) -> Result<()> {
    let _lock = lock::replacement(&options.root)?;
    atomic::restore(folder)?;
    atomic::remove_abandoned(&options.root);
    for entry in fs::read_dir(options.cache()).into_iter().flatten().flatten() {
        atomic::remove_abandoned(&entry.path());
    }
    Ok(())
}

/// Gives the complete data set its name, and removes the downloads that are used as they
/// are.
fn install(
    target: AtomicFolder,
    name: &str,
    folder: &Path,
    filled: &Filled,
    options: &Options,
) -> Result<()> {
    let is_new = if options.force {
        let _lock = lock::replacement(&options.root)?;
        target.commit()?;
        true
    } else {
        target.commit_new()?
    };
    // Not before: if the folder could not be replaced, the next try needs the downloads.
    obtain::remove_used(&options.cache(), &filled.used);
    if !is_new {
        is_installed(name, folder, options)?;
        return Ok(());
    }
    for note in &filled.notes {
        progress::note(format_args!("note: {note}"));
    }
    progress::note(format_args!("{name}: {}, in {}", filled.summary, folder.display()));
    Ok(())
}

/// Whether the data set is there already; says so.
fn is_installed(name: &str, folder: &Path, options: &Options) -> Result<bool> {
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

#[cfg(test)]
mod tests;
