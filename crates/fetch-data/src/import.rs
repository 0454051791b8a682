//! `--from`: a data set out of an archive, a folder or an address that the user names.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use torchmill::{Error, Result, progress};

use crate::catalogue::{Edition, Entry, Origin};
use crate::checksum::{self, Checksum};
use crate::download::{self, Job, Want, address};
use crate::fetch::{self, Options};
use crate::layout::{self, Layout};
use crate::{install, unpack};

/// Where the user says the data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportSource {
    /// The address of an archive.
    Url(String),
    /// An archive or a folder.
    Path(PathBuf),
}

impl FromStr for ImportSource {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let scheme =
            text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        Ok(match scheme.as_deref() {
            Some("http" | "https") => Self::Url(text.to_owned()),
            Some("file") => Self::Path(text["file://".len()..].into()),
            _ => Self::Path(text.into()),
        })
    }
}

impl ImportSource {
    /// Whether it makes sense with the rest of the command line.
    pub fn check(&self, entry: Option<&Entry>, offline: bool) -> Result<()> {
        let url = match self {
            Self::Url(url) => address::shown(url),
            Self::Path(path) => return known_scheme(path),
        };
        if offline {
            return Err(Error::usage(format_args!(
                "--offline forbids to get {url}: give a file or a folder"
            )));
        }
        match entry.map(|e| &e.origin) {
            Some(Origin::Web { files, .. }) if files.len() > 1 => {
                Err(Error::usage(format_args!(
                    "{url}: the data set is several files, not one archive: give their folder's address with --mirror"
                )))
            }
            _ => Ok(()),
        }
    }
}

/// Refuses what is no path but an address that cannot be fetched from.
fn known_scheme(path: &Path) -> Result<()> {
    let text = path.to_string_lossy();
    match text.split_once("://") {
        Some((scheme, _)) if !path.exists() => Err(Error::usage(format_args!(
            "{}: {scheme}:// is not supported, only https://, http:// and file:// are: get the file with another \
             program and give its path",
            address::shown(&text)
        ))),
        _ => Ok(()),
    }
}

/// Fills `target` with the data set `name`, which is `entry` if that is known.
pub fn fill(
    target: &Path,
    name: &str,
    entry: Option<&Entry>,
    source: &ImportSource,
    options: &Options,
) -> Result<Layout> {
    match source {
        ImportSource::Path(path) if path.is_dir() => {
            from_folder(target, name, entry, path, options)
        }
        ImportSource::Path(path) => {
            let verified = verify(path, entry, options)?;
            from_archive(
                target,
                name,
                entry,
                path,
                path.display().to_string(),
                verified,
                options,
            )
        }
        ImportSource::Url(url) => {
            let (path, verified) = get(name, entry, url, options)?;
            let manifest = from_archive(
                target,
                name,
                entry,
                &path,
                address::kept(url),
                verified,
                options,
            )?;
            // Without a checksum to know it by, it could not be used again.
            let _ = fs::remove_file(&path);
            Ok(manifest)
        }
    }
}

/// The limit for archives that nobody has published a size of: images hardly compress.
fn limit(entry: Option<&Entry>, archive: &Path) -> u64 {
    let own = fs::metadata(archive).map_or(0, |m| m.len());
    entry.map_or_else(|| own.saturating_mul(20) + (1 << 30), Entry::unpacked_limit)
}

fn from_archive(
    target: &Path,
    name: &str,
    entry: Option<&Entry>,
    archive: &Path,
    source: String,
    verified: bool,
    options: &Options,
) -> Result<Layout> {
    match entry {
        Some(entry) => {
            let raw = fetch::raw_folder(entry, target)?;
            unpack::unpack(archive, &raw, limit(Some(entry), archive))?;
            // Images of the user's own, perhaps: they need no converting.
            if !fetch::convert(entry, target, &raw)? {
                install::flatten_into_parent(&raw, target)?;
            }
        }
        None => unpack::unpack(archive, target, limit(None, archive))?,
    }
    let published = verified && options.checksum.is_none();
    // Messages are to name the archive, not our temporary folder.
    let layout = layout::find(target, entry, published)
        .map_err(|e| relabel(&e, target, archive))?;
    install::describe(target, name, &layout, source, verified)?;
    Ok(layout)
}

fn relabel(error: &Error, temporary: &Path, archive: &Path) -> Error {
    let plain = |m: &str| {
        m.replace(&temporary.display().to_string(), &archive.display().to_string())
    };
    match error {
        Error::Failed(m) => Error::Failed(plain(m)),
        other => other.clone(),
    }
}

fn from_folder(
    target: &Path,
    name: &str,
    entry: Option<&Entry>,
    folder: &Path,
    options: &Options,
) -> Result<Layout> {
    let converted = match entry.and_then(Entry::convert) {
        Some(convert) => convert(folder, false, target)?,
        None => false,
    };
    let layout = if converted {
        layout::find(target, entry, false)?
    } else {
        let layout = layout::find(folder, entry, false)?;
        install::copy(folder, target, &layout, options.link)?;
        layout
    };
    let verified = match entry {
        Some(entry) => has_published_files(target, entry, &layout)?,
        None => false,
    };
    if entry.is_some() && !verified {
        progress::note(format_args!(
            "{name}: taken from {} as it is; nothing published tells whether it is unchanged",
            folder.display()
        ));
    }
    let source = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    install::describe(target, name, &layout, source.display().to_string(), verified)?;
    Ok(layout)
}

/// Whether the data set is one that is published file by file, and all of them are the
/// published ones.
fn has_published_files(folder: &Path, entry: &Entry, layout: &Layout) -> Result<bool> {
    let Origin::Web { files, .. } = &entry.origin else { return Ok(false) };
    if layout.manifest.kind != entry.kind
        || entry.convert().is_some()
        || files.iter().any(|f| f.unpack)
    {
        return Ok(false);
    }
    for path in layout.manifest.splits.values().flatten() {
        let name = path.rsplit('/').next().unwrap_or(path);
        let edition = files.iter().flat_map(|f| f.editions).find(|e| e.file == name);
        let Some(published) =
            edition.map(|e| e.checksum.parse::<Checksum>()).transpose()?
        else {
            return Ok(false);
        };
        if checksum::of_file(&folder.join(path), Some(&published))? != published {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The editions of a data set that is published as one archive.
fn editions(entry: Option<&Entry>) -> &'static [Edition] {
    match entry.map(|e| &e.origin) {
        Some(Origin::Web { files: [file], .. }) if file.unpack => file.editions,
        _ => &[],
    }
}

/// Checks a local archive: `Ok(true)` if it is the published one (or has the checksum
/// that the user gave), `Ok(false)` if nothing is published or the user does not mind.
fn verify(archive: &Path, entry: Option<&Entry>, options: &Options) -> Result<bool> {
    unpack::format(archive)?;
    let mut accepted: Vec<Checksum> = options.checksum.clone().into_iter().collect();
    if accepted.is_empty() {
        accepted =
            editions(entry).iter().map(|e| e.checksum.parse()).collect::<Result<_>>()?;
    }
    let mut found = None;
    for checksum in &accepted {
        let actual = checksum::of_file(archive, Some(checksum))?;
        if actual == *checksum {
            return Ok(true);
        }
        found = found.or(Some(actual));
    }
    let (Some(found), Some(first)) = (found, accepted.first()) else {
        return Ok(false);
    };
    if options.any_checksum {
        progress::note(format_args!(
            "{}: its checksum {found} is not {first}; accepted",
            archive.display()
        ));
        return Ok(false);
    }
    Err(Error::failed(format_args!(
        "{} is not the {} archive: its checksum is {found}, not {first}; to use it all the same, add \
         --any-checksum",
        archive.display(),
        if options.checksum.is_some() { "expected" } else { "published" },
    )))
}

/// Downloads the archive at `url`.
fn get(
    name: &str,
    entry: Option<&Entry>,
    url: &str,
    options: &Options,
) -> Result<(PathBuf, bool)> {
    let published = editions(entry).first();
    let (mut checksum, mut size) = (options.checksum.clone(), None);
    if let (None, Some(edition)) = (&checksum, published) {
        (checksum, size) = (Some(edition.checksum.parse()?), edition.size.exact());
    }
    if options.any_checksum {
        (checksum, size) = (None, None);
    }
    let last = url
        .split(['?', '#'])
        .next()
        .unwrap_or(url)
        .rsplit('/')
        .next()
        .unwrap_or_default();
    let plain: String = last
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c))
        .collect();
    let file = format!("from-url-{}", plain.trim_start_matches('.'));
    let path = options.cache().join(name).join(file);
    let verified = checksum.is_some();
    let want = Want {
        name: format!("the archive of {name}"),
        urls: vec![url.to_owned()],
        size,
        checksum,
    };
    let jobs = [Job { alternatives: vec![(want, path.clone())] }];
    download::run(name, &jobs, &options.patience).map_err(|e| match e {
        Error::Failed(m) if verified && m.contains("published") => {
            Error::Failed(format!("{m}; to use it all the same, add --any-checksum"))
        }
        other => other,
    })?;
    Ok((path, verified))
}
