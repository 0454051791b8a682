//! What a data set of the catalogue is. The table itself is in [`table`]: adding a data
//! set is adding an entry there.

pub mod classes;
mod table;

use torchmill::dataset::RawFormat;
use torchmill::pretrained::WEIGHTS;
use torchmill::{Error, suggest};

use crate::convert::Convert;
pub use table::ENTRIES;

/// A published data set.
#[derive(Debug)]
pub struct Entry {
    /// What it is called on the command line and in the folder's name.
    pub name: &'static str,
    /// Its page, for people.
    pub page: &'static str,
    /// Its licence, or what the publishers ask for.
    pub licence: &'static str,
    /// How its images are stored.
    pub format: RawFormat,
    /// Height and width, and the colours, for people: `32x32 RGB`.
    pub image: &'static str,
    /// The class names in the order of the labels.
    pub classes: &'static [&'static str],
    /// The splits.
    pub splits: &'static [Split],
    /// Where it comes from.
    pub origin: Origin,
}

/// A split of a data set.
#[derive(Debug)]
pub struct Split {
    /// `train`, `val` or `test`, or [`torchmill::dataset::UNSPLIT`] where none are
    /// published.
    pub name: &'static str,
    /// How many images it has.
    pub images: u64,
    /// Its files, as dataset.toml lists them (see
    /// [`torchmill::dataset::Manifest::splits`]), relative to the one folder that holds
    /// them all.
    pub files: &'static [&'static str],
}

/// Where a data set comes from.
#[derive(Debug)]
pub enum Origin {
    /// Archives to be unpacked, or files to be used as they are.
    Web {
        /// The name of the folder in the download cache; data sets out of the same
        /// archive share it.
        cache: &'static str,
        /// What has to be downloaded: all of them.
        files: &'static [Download],
        /// How what was published becomes what [`Entry::format`] and [`Entry::splits`]
        /// say, if it is not.
        convert: Option<Convert>,
    },
    /// Files in this program.
    Embedded(&'static [(&'static str, &'static [u8])]),
}

/// A file to download.
#[derive(Debug)]
pub struct Download {
    /// Whether it is an archive.
    pub unpack: bool,
    /// Editions of the same contents packed differently, the published one first.
    pub editions: &'static [Edition],
}

/// One packing of a file.
#[derive(Debug)]
pub struct Edition {
    /// Its name in the cache, and where it is not unpacked, in the data set's folder.
    pub file: &'static str,
    /// Its size.
    pub size: Size,
    /// Its published checksum, as [`crate::checksum::Checksum`] reads it.
    pub checksum: &'static str,
    /// Where it is available, best first.
    pub urls: &'static [&'static str],
}

/// The size of a download in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// As published: a source that offers more or fewer bytes has another file.
    Exact(u64),
    /// For the user's information.
    About(u64),
}

impl Size {
    /// The number.
    pub fn bytes(self) -> u64 {
        match self {
            Self::Exact(bytes) | Self::About(bytes) => bytes,
        }
    }

    /// The number, where a download can be held to it.
    pub fn exact(self) -> Option<u64> {
        match self {
            Self::Exact(bytes) => Some(bytes),
            Self::About(_) => None,
        }
    }
}

/// The data set called `name`.
pub fn find(name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|e| e.name == name)
}

/// The error for a name that is not in the catalogue.
pub fn unknown(name: &str) -> Error {
    let weights = WEIGHTS.iter().map(|weights| weights.name);
    let names = ENTRIES.iter().map(|entry| entry.name).chain(weights);
    Error::usage(format_args!(
        "no data set is called `{name}`{} (--list shows the names); one of your own \
         needs --from",
        suggest::did_you_mean(name, names)
    ))
}

impl Entry {
    /// What has to be downloaded, in bytes, as far as it is known.
    pub fn size(&self) -> u64 {
        match &self.origin {
            Origin::Web { files, .. } => {
                files.iter().map(|f| f.editions[0].size.bytes()).sum()
            }
            Origin::Embedded(files) => {
                files.iter().map(|(_, bytes)| bytes.len() as u64).sum()
            }
        }
    }

    /// Whether it is part of this program.
    pub fn is_embedded(&self) -> bool {
        matches!(self.origin, Origin::Embedded(_))
    }

    /// See [`Origin::Web::convert`].
    pub fn convert(&self) -> Option<Convert> {
        match &self.origin {
            Origin::Web { convert, .. } => *convert,
            Origin::Embedded(_) => None,
        }
    }

    /// What the published archive may unpack to. Images hardly compress: four times its
    /// size is ample.
    pub fn unpacked_limit(&self) -> u64 {
        self.size() * 4 + (64 << 20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Checksum;
    use std::collections::HashSet;
    use torchmill::dataset::UNSPLIT;

    #[test]
    fn downloads_are_complete() {
        for entry in ENTRIES {
            let Origin::Web { cache, files, convert } = &entry.origin else { continue };
            assert!(!cache.is_empty() && !files.is_empty(), "{}", entry.name);
            for edition in files.iter().flat_map(|f| f.editions) {
                edition.checksum.parse::<Checksum>().unwrap();
                let is_url = |url: &&str| url.starts_with("http");
                assert!(edition.urls.iter().all(is_url), "{}", entry.name);
                let is_plain = !edition.file.contains('/') && !edition.urls.is_empty();
                assert!(is_plain, "{}", entry.name);
            }
            if convert.is_none() && !files.iter().any(|f| f.unpack) {
                let have: HashSet<_> = files.iter().map(|f| f.editions[0].file).collect();
                let want: HashSet<_> =
                    entry.splits.iter().flat_map(|s| s.files).copied().collect();
                assert_eq!(have, want, "{}", entry.name);
            }
        }
    }

    #[test]
    fn entries_are_consistent() {
        let mut names = HashSet::new();
        for entry in ENTRIES {
            assert!(names.insert(entry.name), "{} is there twice", entry.name);
            let classes: HashSet<_> = entry.classes.iter().collect();
            assert_eq!(
                classes.len(),
                entry.classes.len(),
                "{}: a class is there twice",
                entry.name
            );
            let splits: Vec<_> = entry.splits.iter().map(|s| s.name).collect();
            let known = [&["train", "test"][..], &["train", "val", "test"], &[UNSPLIT]];
            assert!(known.contains(&splits.as_slice()), "{}", entry.name);
            for split in entry.splits {
                assert!(split.images > 0, "{}", entry.name);
                let files = if entry.format == RawFormat::Idx { 2 } else { 1 };
                assert!(split.files.len() >= files, "{}", entry.name);
            }
        }
    }
}
