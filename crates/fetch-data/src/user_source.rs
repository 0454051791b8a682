//! The value of `--from`: an archive, a folder, a URL, or a list of files.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use torchmill::{Error, Result};

use crate::catalogue::{Entry, Origin};
use crate::config::Options;
use crate::download::address;
use crate::hub::{self, HubName};
use crate::import::ImportSource;
use crate::listing::{Listing, toml_file};

/// The value of `--from`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserSource {
    /// An archive, a folder, or the URL of an archive.
    Import(ImportSource),
    /// A list of files.
    List(ListSource),
}

/// Where a list of files is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListSource {
    /// In a TOML file.
    File(PathBuf),
    /// On the Hugging Face Hub.
    Hub(HubName),
}

impl FromStr for UserSource {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(name) = text.strip_prefix("hf:") {
            return Ok(Self::List(ListSource::Hub(name.parse()?)));
        }
        let scheme =
            text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        Ok(match scheme.as_deref() {
            Some("http" | "https") => Self::Import(ImportSource::Url(text.to_owned())),
            Some("file") => Self::of_path(&text["file://".len()..]),
            _ => Self::of_path(text),
        })
    }
}

impl UserSource {
    fn of_path(text: &str) -> Self {
        let path = PathBuf::from(text);
        let is_toml = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("toml"));
        if is_toml && !path.is_dir() {
            return Self::List(ListSource::File(path));
        }
        Self::Import(ImportSource::Path(path))
    }

    /// Checks that it fits the rest of the command line.
    pub fn check(&self, entry: Option<&Entry>, offline: bool) -> Result<()> {
        match self {
            Self::Import(ImportSource::Url(url)) => check_url(url, entry, offline),
            Self::Import(ImportSource::Path(path))
            | Self::List(ListSource::File(path)) => check_scheme(path),
            Self::List(ListSource::Hub(name)) if offline => {
                Err(Error::usage(format_args!(
                    "--offline forbids asking the hub for {name}: give a file or a folder"
                )))
            }
            Self::List(ListSource::Hub(_)) => Ok(()),
        }
    }
}

fn check_url(url: &str, entry: Option<&Entry>, offline: bool) -> Result<()> {
    let shown = address::without_query(url);
    if offline {
        return Err(Error::usage(format_args!(
            "--offline forbids downloading {shown}: give a file or a folder"
        )));
    }
    match entry.map(|e| &e.origin) {
        Some(Origin::Web { files, .. }) if files.len() > 1 => {
            Err(Error::usage(format_args!(
                "{shown}: the data set is several files, not one archive: give their \
                 folder's address with --mirror"
            )))
        }
        _ => Ok(()),
    }
}

/// Refuses a URL whose scheme is not supported.
fn check_scheme(path: &Path) -> Result<()> {
    let text = path.to_string_lossy();
    match text.split_once("://") {
        Some((scheme, _)) if !path.exists() => Err(Error::usage(format_args!(
            "{}: {scheme}:// is not supported, only https://, http:// and file:// are: \
             get the file with another program and give its path",
            address::without_query(&text)
        ))),
        _ => Ok(()),
    }
}

impl ListSource {
    /// Reads the list, or asks for it.
    pub fn read(&self, options: &Options) -> Result<Listing> {
        match self {
            Self::File(path) => toml_file::read(path),
            Self::Hub(name) => Ok(hub::list(name, options)?),
        }
    }
}
