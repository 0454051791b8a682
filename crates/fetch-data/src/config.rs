//! The checked command line.

use std::path::PathBuf;

use torchmill::dataset::SplitDirs;
use torchmill::{Error, Result};

use crate::args::Args;
use crate::catalogue;
use crate::checksum::Checksum;
use crate::download::RetryPolicy;
use crate::hub::Access;
use crate::user_source::{ListSource, UserSource};

/// A checked command line.
#[derive(Debug)]
pub struct Config {
    /// What to do.
    pub command: Command,
    /// How to do it.
    pub options: Options,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Show the catalogue.
    List,
    /// Tell whether these data sets are on disk or can be fetched.
    Available(Vec<String>),
    /// Fetch these data sets.
    Fetch(Vec<String>),
}

/// How data sets are fetched.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The folder that holds the data sets' folders.
    pub root: PathBuf,
    /// Where to take the data set from instead of the published source.
    pub from: Option<UserSource>,
    /// Accept an archive whatever its checksum.
    pub any_checksum: bool,
    /// The archive's expected checksum, instead of the published one.
    pub checksum: Option<Checksum>,
    /// Which folders of the user's own data set are splits.
    pub split_dirs: SplitDirs,
    /// URLs of folders with the published files, which are tried first.
    pub mirrors: Vec<String>,
    /// Do not use the network.
    pub offline: bool,
    /// Replace the data set if it exists.
    pub force: bool,
    /// Link a folder's files instead of copying them.
    pub link: bool,
    /// How long to wait for servers, and how often to try.
    pub retries: RetryPolicy,
    /// Which Hugging Face Hub is asked, and as whom.
    pub hub: Access,
}

impl Options {
    /// The folder of a data set.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The folder of downloads: below the root, so that it is on the same disk.
    pub fn cache(&self) -> PathBuf {
        self.root.join(".downloads")
    }
}

impl Config {
    /// Checks what can be checked without looking at the disk or the network.
    pub fn from_args(args: Args) -> Result<Self> {
        args.names.iter().try_for_each(|name| check_name(name))?;
        if let Some(source) = &args.from {
            let [name] = &args.names[..] else {
                return Err(Error::usage("--from is one data set: give one NAME"));
            };
            source.check(catalogue::find(name), args.offline)?;
            if matches!(source, UserSource::List(_)) {
                check_list_options(&args)?;
            }
        }
        let command = match (args.list, args.available) {
            (true, _) => Command::List,
            (_, true) => Command::Available(args.names),
            _ => Command::Fetch(args.names),
        };
        let hub = match &args.from {
            Some(UserSource::List(ListSource::Hub(_))) => Access::from_environment()?,
            _ => Access::default(),
        };
        let options = Options {
            root: args.root,
            from: args.from,
            any_checksum: args.any_checksum,
            checksum: args.checksum,
            split_dirs: args.split_dirs.unwrap_or_default(),
            mirrors: args.mirrors,
            offline: args.offline,
            force: args.force,
            link: args.link,
            retries: RetryPolicy::default(),
            hub,
        };
        Ok(Self { command, options })
    }
}

/// What an option says of an archive or a folder, a list of files says itself.
fn check_list_options(args: &Args) -> Result<()> {
    let option = match args {
        Args { any_checksum: true, .. } => "--any-checksum",
        Args { checksum: Some(_), .. } => "--checksum",
        Args { split_dirs: Some(_), .. } => "--split-dirs",
        Args { link: true, .. } => "--link",
        _ => return Ok(()),
    };
    Err(Error::usage(format_args!(
        "{option} is for an archive or a folder: a list of files (hf:, FILE.toml) has the \
         checksum and the split of each file"
    )))
}

/// A data set's name must be a plain folder name.
fn check_name(name: &str) -> Result<()> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty()
        || name.len() > 100
        || name.starts_with(['.', '-'])
        || !name.chars().all(is_plain)
    {
        return Err(Error::usage(format_args!(
            "`{name}` cannot be the name of a data set: use letters, digits, `-`, `_` \
             and `.`, at most 100"
        )));
    }
    Ok(())
}
