//! `--from`: imports a data set from the user's archive, folder or URL. Lists of files are in
//! [`crate::listing`].

use std::fs;
use std::path::{Path, PathBuf};

use torchmill::dataset::{OpenOptions, SourceFolder};
use torchmill::{Error, Result, progress};

use crate::catalogue::{Edition, Entry, Origin};
use crate::checksum::{self, Checksum};
use crate::config::Options;
use crate::convert::{self, Transfer};
use crate::download::{self, DownloadError, Fault, FileSpec, Job, address};
use crate::layout::{self, Layout};
use crate::{install, unpack, webdataset};

/// The source of the user's data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportSource {
    /// The URL of an archive.
    Url(String),
    /// An archive or a folder.
    Path(PathBuf),
}

/// Fills the folder `target` with the data set `name`, which is `entry` if it is in the
/// catalogue.
pub fn import(
    target: &Path,
    name: &str,
    entry: Option<&Entry>,
    source: &ImportSource,
    options: &Options,
) -> Result<Layout> {
    let import = Import { target, name, entry, options };
    match source {
        ImportSource::Path(path) if path.is_dir() => import.import_folder(path),
        ImportSource::Path(path) => {
            let verified = import.verify(path)?;
            import.import_archive(path, path.display().to_string(), verified)
        }
        ImportSource::Url(url) => {
            let (path, verified) = import.download(url)?;
            let layout =
                import.import_archive(&path, address::without_query(url), verified)?;
            // Without a checksum to recognise it, the archive could not be reused.
            let _ = fs::remove_file(&path);
            Ok(layout)
        }
    }
}

struct Import<'a> {
    target: &'a Path,
    name: &'a str,
    entry: Option<&'a Entry>,
    options: &'a Options,
}

impl Import<'_> {
    fn import_archive(
        &self,
        archive: &Path,
        source: String,
        verified: bool,
    ) -> Result<Layout> {
        let limit = self.limit(archive);
        match self.entry {
            Some(entry) => {
                let raw = convert::raw_folder(entry, self.target)?;
                unpack::unpack(archive, &raw, limit)?;
                // The user's own images need no conversion.
                if !convert::run(entry, self.target, &raw)? {
                    install::flatten_into_parent(&raw, self.target)?;
                }
            }
            None => unpack::unpack(archive, self.target, limit)?,
        }
        // Messages name the archive, not our temporary folder.
        let folder = SourceFolder::temporary(self.target, archive, self.name);
        let published = verified && self.options.checksum.is_none();
        let layout = self.layout(&folder, published)?;
        install::describe(self.target, self.name, &layout, source, verified)?;
        Ok(layout)
    }

    /// The layout of the files that were unpacked or copied into our folder.
    fn layout(&self, folder: &SourceFolder, published: bool) -> Result<Layout> {
        if let Some(classes) = webdataset::arrange(folder)? {
            return layout::of_class_folders(folder, classes);
        }
        layout::find(folder, self.entry, published, &self.open_options())
    }

    fn open_options(&self) -> OpenOptions {
        let split_dirs = self.options.split_dirs.clone();
        OpenOptions { split_dirs, ..OpenOptions::default() }
    }

    fn import_folder(&self, folder: &Path) -> Result<Layout> {
        let source = SourceFolder::new(folder);
        let layout = if self.convert_folder(folder)? {
            let target = SourceFolder::temporary(self.target, folder, self.name);
            layout::find(&target, self.entry, false, &OpenOptions::default())?
        } else if webdataset::is_in(folder) {
            convert::transfer(folder, self.target, Transfer::Copy)?;
            let target = SourceFolder::temporary(self.target, folder, self.name);
            self.layout(&target, false)?
        } else {
            let layout = layout::find(&source, self.entry, false, &self.open_options())?;
            install::copy(folder, self.target, &layout, self.options.link)?;
            layout
        };
        let verified = match self.entry {
            Some(entry) => has_published_files(self.target, entry, &layout)?,
            None => false,
        };
        if self.entry.is_some() && !verified {
            progress::note(format_args!(
                "{}: taken from {} as it is; there is no published checksum to compare \
                 with",
                self.name,
                folder.display()
            ));
        }
        let source = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
        let source = source.display().to_string();
        install::describe(self.target, self.name, &layout, source, verified)?;
        Ok(layout)
    }

    /// Converts the published files in the user's folder, if they are there.
    fn convert_folder(&self, folder: &Path) -> Result<bool> {
        match self.entry.and_then(Entry::convert) {
            Some(convert) => convert(folder, Transfer::Copy, self.target),
            None => Ok(false),
        }
    }

    /// How many bytes the archive may unpack to.
    fn limit(&self, archive: &Path) -> u64 {
        match self.entry {
            Some(entry) => entry.unpacked_limit(),
            None => unpack::ample_limit(archive),
        }
    }

    /// Checks a local archive: `Ok(true)` if it is the published one (or has the checksum
    /// that the user gave), `Ok(false)` if no checksum is published or any is accepted.
    fn verify(&self, archive: &Path) -> Result<bool> {
        unpack::format(archive)?;
        let accepted = self.accepted_checksums()?;
        let Some(first) = accepted.first() else { return Ok(false) };
        for checksum in &accepted {
            if checksum::of_file(archive, Some(checksum))? == *checksum {
                return Ok(true);
            }
        }
        let found = checksum::of_file(archive, Some(first))?;
        if self.options.any_checksum {
            progress::note(format_args!(
                "{}: its checksum {found} is not {first}; accepted",
                archive.display()
            ));
            return Ok(false);
        }
        let expected =
            if self.options.checksum.is_some() { "expected" } else { "published" };
        Err(Error::failed(format_args!(
            "{} is not the {expected} archive: its checksum is {found}, not {first}; to \
             use it anyway, add --any-checksum",
            archive.display()
        )))
    }

    fn accepted_checksums(&self) -> Result<Vec<Checksum>> {
        match &self.options.checksum {
            Some(checksum) => Ok(vec![checksum.clone()]),
            None => self.editions().iter().map(|e| e.checksum.parse()).collect(),
        }
    }

    /// The archives of a data set that is published as a single archive.
    fn editions(&self) -> &'static [Edition] {
        match self.entry.map(|e| &e.origin) {
            Some(Origin::Web { files: [file], .. }) if file.unpack => file.editions,
            _ => &[],
        }
    }

    /// Downloads the archive at `url`. Returns its path, and whether its checksum was
    /// verified.
    fn download(&self, url: &str) -> Result<(PathBuf, bool)> {
        let spec = self.file_spec(url)?;
        let is_checked = spec.checksum.is_some();
        let path = self.options.cache().join(self.name).join(file_name(url));
        let jobs = [Job { alternatives: vec![(spec, path.clone())] }];
        match download::run(self.name, &jobs, &self.options.retries) {
            Ok(_) => Ok((path, is_checked)),
            Err(DownloadError::Sources { message, faults })
                if is_checked && faults.contains(&Fault::OtherFile) =>
            {
                Err(Error::failed(format_args!(
                    "{message}; to use it anyway, add --any-checksum"
                )))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn file_spec(&self, url: &str) -> Result<FileSpec> {
        let mut spec = FileSpec {
            name: format!("the archive of {}", self.name),
            urls: vec![url.to_owned()],
            ..FileSpec::default()
        };
        if self.options.any_checksum {
            return Ok(spec);
        }
        if let Some(checksum) = &self.options.checksum {
            spec.checksum = Some(checksum.clone());
        } else if let Some(published) = self.editions().first() {
            spec.checksum = Some(published.checksum.parse()?);
            spec.size = published.size.exact();
        }
        Ok(spec)
    }
}

/// The archive's file name in the cache.
fn file_name(url: &str) -> String {
    let path = address::without_query(url);
    let last = path.rsplit('/').next().unwrap_or("");
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || "-_.".contains(*c);
    let plain: String = last.chars().filter(is_plain).collect();
    format!("from-url-{}", plain.trim_start_matches('.'))
}

/// Whether the data set is published as separate files, and all files are the published
/// ones.
fn has_published_files(folder: &Path, entry: &Entry, layout: &Layout) -> Result<bool> {
    let Origin::Web { files, .. } = &entry.origin else { return Ok(false) };
    if layout.manifest.format != entry.format
        || entry.convert().is_some()
        || files.iter().any(|file| file.unpack)
    {
        return Ok(false);
    }
    for path in layout.manifest.splits.values().flatten() {
        let name = path.rsplit('/').next().unwrap_or(path);
        let mut editions = files.iter().flat_map(|file| file.editions);
        let Some(edition) = editions.find(|edition| edition.file == name) else {
            return Ok(false);
        };
        let published: Checksum = edition.checksum.parse()?;
        if checksum::of_file(&folder.join(path), Some(&published))? != published {
            return Ok(false);
        }
    }
    Ok(true)
}
