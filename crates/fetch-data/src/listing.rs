//! A data set that is a list of files, with the URL, the checksum and the split of each. The
//! list is the user's ([`toml_file`]) or the Hugging Face Hub's ([`crate::hub`]).

mod check;
pub mod error;
mod kind;
pub mod toml_file;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use torchmill::dataset::{Manifest, OpenOptions, SourceFolder, UNSPLIT, val_is_test};
use torchmill::{Context, Error, Result, progress};

use crate::checksum::Checksum;
use crate::config::Options;
use crate::download::{
    self, DownloadError, Downloaded, Fault, FileSpec, Job, Token, address,
};
use crate::fetch::Filled;
use crate::{install, layout, obtain, unpack};
pub use error::ListingError;
pub use kind::FileKind;

/// A data set that is a list of files.
#[derive(Debug)]
pub struct Listing {
    /// Its name in messages.
    pub title: String,
    /// What it is, for people.
    pub description: String,
    /// Its licence, or what its publishers ask for.
    pub licence: String,
    /// Where the list is from.
    pub source: String,
    /// What its files are.
    pub kind: FileKind,
    /// At least one.
    pub files: Vec<ListedFile>,
    /// What the user should know, a line each.
    pub notes: Vec<String>,
    /// The token for the files' server.
    pub token: Option<Token>,
    /// The advice if the server denies a file.
    pub when_denied: String,
    /// The advice if a file is not the listed one.
    pub when_different: String,
}

/// A file of a list.
#[derive(Debug)]
pub struct ListedFile {
    /// Where it is listed, for messages.
    pub place: String,
    /// Its path in the data set's folder.
    pub path: String,
    /// Where it is available.
    pub url: String,
    /// Its size in bytes, if it is known.
    pub size: Option<u64>,
    /// Its checksum, if it is known.
    pub checksum: Option<Checksum>,
    /// `train`, `test`, `val` or [`UNSPLIT`].
    pub split: String,
}

impl Listing {
    /// Checks that the files fit into one folder.
    pub fn check(&self) -> Result<(), ListingError> {
        check::paths(&self.files)?;
        check::names(&self.files)?;
        check::splits(&self.files)
    }

    /// The files of each split.
    fn splits(&self) -> BTreeMap<String, Vec<String>> {
        let mut splits: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for file in &self.files {
            splits.entry(file.split.clone()).or_default().push(file.path.clone());
        }
        val_is_test(&mut splits);
        splits
    }

    /// `8 files, 4.7 GiB`.
    fn about(&self) -> String {
        let count = progress::counted(self.files.len() as u64, "file", "files");
        match download::total_size(self.files.iter().map(|file| file.size)) {
            Some(size) => format!("{count}, {}", progress::bytes(size)),
            None => count,
        }
    }

    fn manifest(&self, name: &str) -> Manifest {
        Manifest {
            name: name.to_owned(),
            format: self.kind.format(),
            classes: Vec::new(),
            description: self.description.clone(),
            source: self.source.clone(),
            verified: self.files.iter().all(|file| file.checksum.is_some()),
            licence: self.licence.clone(),
            splits: self.splits(),
            checksums: BTreeMap::new(),
        }
    }
}

/// Fills the folder `target` with the data set `name`, which is these files.
pub fn fill(
    target: &Path,
    name: &str,
    listing: &Listing,
    options: &Options,
) -> Result<Filled> {
    let cache = options.cache().join(name);
    let jobs = listing.files.iter().map(|file| job(name, &cache, listing, file, options));
    let jobs = jobs.collect();
    let downloads = obtain::obtain(&listing.title, &listing.about(), jobs, options)
        .map_err(|error| failure(error, listing))?;
    let mut filled = match listing.kind {
        FileKind::Archive => unpack_all(target, name, listing, &downloads)?,
        FileKind::Parquet | FileKind::WebDataset => {
            keep_all(target, name, listing, &downloads)?
        }
    };
    filled.notes.extend(listing.notes.clone());
    filled.notes.extend(unchecked(listing));
    // Without a checksum to recognise it, an archive could not be reused.
    let stays = |i: usize| {
        listing.kind == FileKind::Archive && listing.files[i].checksum.is_some()
    };
    filled.used = obtain::used(downloads, &cache, stays);
    Ok(filled)
}

fn job(
    name: &str,
    cache: &Path,
    listing: &Listing,
    file: &ListedFile,
    options: &Options,
) -> Job {
    let mut urls = download::at_mirrors(&options.mirrors, name, &file.path);
    urls.push(file.url.clone());
    let spec = FileSpec {
        name: file.path.clone(),
        urls,
        size: file.size,
        checksum: file.checksum.clone(),
        token: listing.token.clone(),
    };
    Job { alternatives: vec![(spec, cache.join(&file.path))] }
}

fn failure(error: DownloadError, listing: &Listing) -> Error {
    match error {
        DownloadError::Sources { message, faults } => {
            let error = Error::failed(message);
            if faults.contains(&Fault::Denied) {
                error.with_advice(&listing.when_denied)
            } else if faults.contains(&Fault::OtherFile) {
                error.with_advice(&listing.when_different)
            } else {
                error
            }
        }
        DownloadError::Local(error) => error,
    }
}

/// Puts the files into the data set's folder as they are.
fn keep_all(
    target: &Path,
    name: &str,
    listing: &Listing,
    downloads: &[Downloaded],
) -> Result<Filled> {
    let mut manifest = listing.manifest(name);
    let mut size = 0;
    for (file, download) in listing.files.iter().zip(downloads) {
        listing
            .kind
            .check(&download.path)
            .map_err(|e| e.within(address::without_query(&file.url)))?;
        let path = target.join(&file.path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).doing("make the folder", folder)?;
        }
        obtain::link_or_copy(&download.path, &path)?;
        size += fs::metadata(&path).doing("read", &path)?.len();
        let checksum = &download.received.checksum;
        if checksum.is_sha256() {
            manifest.checksums.insert(file.path.clone(), checksum.to_string());
        }
    }
    let mut splits: Vec<&str> = manifest.splits.keys().map(String::as_str).collect();
    splits.sort_by_key(|split| *split != "train");
    let of_splits = match &splits[..] {
        [UNSPLIT] => String::new(),
        splits => format!(" for {}", splits.join(" and ")),
    };
    let summary = format!(
        "{} {}{of_splits}, {}",
        progress::count(listing.files.len() as u64),
        listing.kind.called(listing.files.len()),
        progress::bytes(size)
    );
    install::write_manifest(target, manifest)?;
    Ok(Filled { summary, notes: Vec::new(), used: Vec::new() })
}

/// Unpacks the archives, those of a split into its folder.
fn unpack_all(
    target: &Path,
    name: &str,
    listing: &Listing,
    downloads: &[Downloaded],
) -> Result<Filled> {
    for (file, download) in listing.files.iter().zip(downloads) {
        let folder = match file.split.as_str() {
            UNSPLIT => target.to_path_buf(),
            split => target.join(split),
        };
        fs::create_dir_all(&folder).doing("make the folder", &folder)?;
        unpack::unpack(&download.path, &folder, unpack::ample_limit(&download.path))?;
    }
    let folder = SourceFolder::temporary(target, Path::new(&listing.source), name);
    let found = layout::find(&folder, None, false, &OpenOptions::default())?;
    let manifest = Manifest {
        format: found.manifest.format,
        classes: found.manifest.classes.clone(),
        splits: found.manifest.splits.clone(),
        ..listing.manifest(name)
    };
    install::write_manifest(target, manifest)?;
    Ok(Filled::of(&found))
}

/// A note about files without a checksum.
fn unchecked(listing: &Listing) -> Option<String> {
    let unknown = listing.files.iter().filter(|file| file.checksum.is_none());
    let names: Vec<&str> = unknown.map(|file| file.path.as_str()).collect();
    let (first, others) = names.split_first()?;
    let others = match others.len() {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    Some(format!(
        "{} gives no checksum for {first}{others}: only the size was checked",
        address::without_query(&listing.source)
    ))
}
