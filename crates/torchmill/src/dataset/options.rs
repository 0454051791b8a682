//! The user's options for reading a folder of images.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use super::detect::split_named;
use crate::{Error, Result};

/// How to read a folder. By default it is read like torchvision's ImageFolder, with
/// splits recognised by their folders' names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// Which folders are splits.
    pub split_dirs: SplitDirs,
    /// Which files are images.
    pub extensions: Extensions,
    /// What the columns of tables are called.
    pub columns: ColumnNames,
}

/// The columns of a table that hold the images (or their paths), the labels and the
/// splits, `--columns`. Columns that are not named are recognised by their usual names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnNames {
    /// The column of images, or of paths.
    pub image: Option<String>,
    /// The column of labels.
    pub label: Option<String>,
    /// The column of splits.
    pub split: Option<String>,
}

impl FromStr for ColumnNames {
    type Err = Error;

    /// Reads `image=NAME,label=NAME,split=NAME`, or some of these.
    fn from_str(text: &str) -> Result<Self> {
        let mut names = Self::default();
        for part in text.split(',') {
            let pair = part.split_once('=').filter(|(_, name)| !name.is_empty());
            let (role, name) = pair.unwrap_or((part, ""));
            let place = match role {
                "image" => &mut names.image,
                "label" => &mut names.label,
                "split" => &mut names.split,
                _ => {
                    return Err(Error::usage(format_args!(
                        "`{part}` is not image=NAME, label=NAME or split=NAME"
                    )));
                }
            };
            if name.is_empty() || place.is_some() {
                return Err(Error::usage(format_args!(
                    "`{part}`: give the column of the {role}s once, as {role}=NAME"
                )));
            }
            *place = Some(name.to_owned());
        }
        Ok(names)
    }
}

/// Which folders of an image folder are splits, `--split-dirs`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SplitDirs {
    /// Those with a split's usual name: `train`, `test_set`, `validation`.
    #[default]
    ByName,
    /// None: every folder is a class.
    None,
    /// These: the folder of each split.
    Given(BTreeMap<String, String>),
}

impl FromStr for SplitDirs {
    type Err = Error;

    /// Reads `none` or `train=DIR,test=DIR`.
    fn from_str(text: &str) -> Result<Self> {
        if text == "none" {
            return Ok(Self::None);
        }
        let mut dirs = BTreeMap::new();
        for part in text.split(',') {
            let pair = part.split_once('=').filter(|(_, dir)| !dir.is_empty());
            let Some((split, dir)) = pair else {
                return Err(Error::usage(format_args!(
                    "`{part}` is not SPLIT=DIR, such as train=training"
                )));
            };
            let Some(split) = split_named(split) else {
                return Err(Error::usage(format_args!(
                    "`{split}` is not a split: use train, test or val"
                )));
            };
            let dir = dir.trim_end_matches('/').to_owned();
            if dirs.insert(split.to_owned(), dir).is_some() {
                return Err(Error::usage(format_args!(
                    "the split {split} is given twice"
                )));
            }
        }
        Ok(Self::Given(dirs))
    }
}

/// The extensions of image files: torchvision's IMG_EXTENSIONS, and three more that are
/// read here.
pub const EXTENSIONS: [&str; 12] = [
    "jpg", "jpeg", "png", "ppm", "bmp", "pgm", "tif", "tiff", "webp", "gif", "pnm",
    "jfif",
];

/// The extensions that torchvision's ImageFolder does not read.
pub(super) const NOT_IN_TORCHVISION: [&str; 3] = ["gif", "pnm", "jfif"];

/// Which files are images, by their extensions in either case, `--extensions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extensions(Vec<String>);

impl Default for Extensions {
    fn default() -> Self {
        Self(EXTENSIONS.map(str::to_owned).to_vec())
    }
}

impl FromStr for Extensions {
    type Err = Error;

    /// Reads `jpg,png` or `.jpg,.png`.
    fn from_str(text: &str) -> Result<Self> {
        let mut extensions = Vec::new();
        for part in text.split(',') {
            let part = part.trim().trim_start_matches('.');
            if part.is_empty() || !part.chars().all(char::is_alphanumeric) {
                return Err(Error::usage(format_args!(
                    "`{part}` is not a file name's ending, such as jpg"
                )));
            }
            extensions.push(part.to_ascii_lowercase());
        }
        Ok(Self(extensions))
    }
}

impl Extensions {
    /// Whether a file is an image by its name.
    pub fn include(&self, path: &Path) -> bool {
        extension(path).is_some_and(|ending| self.0.contains(&ending))
    }

    /// The extensions for a message: `.jpg .png`.
    pub(super) fn listed(&self) -> String {
        let dotted: Vec<String> = self.0.iter().map(|e| format!(".{e}")).collect();
        dotted.join(" ")
    }
}

/// A file name's extension in lower case.
pub(super) fn extension(path: &Path) -> Option<String> {
    path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_dirs_are_read() {
        let dirs = [("test", "holdout"), ("train", "a/b")]
            .map(|(split, dir)| (split.to_owned(), dir.to_owned()));
        assert_eq!(
            "train=a/b/,Test=holdout".parse::<SplitDirs>().unwrap(),
            SplitDirs::Given(dirs.into())
        );
        assert_eq!("none".parse::<SplitDirs>().unwrap(), SplitDirs::None);
        for wrong in ["", "train", "train=", "holdout=test", "train=a,training=b"] {
            assert_eq!(wrong.parse::<SplitDirs>().unwrap_err().exit_status(), 2);
        }
    }

    #[test]
    fn column_names_are_read() {
        let names: ColumnNames = "label=breed,image=photo".parse().unwrap();
        assert_eq!((names.image.as_deref(), names.split), (Some("photo"), None));
        assert_eq!(names.label.as_deref(), Some("breed"));
        for wrong in ["", "label", "label=", "path=x", "label=a,label=b"] {
            assert_eq!(wrong.parse::<ColumnNames>().unwrap_err().exit_status(), 2);
        }
    }

    #[test]
    fn extensions_are_read() {
        let extensions: Extensions = ".JPG,png".parse().unwrap();
        assert!(extensions.include(Path::new("a.jpg")));
        assert!(extensions.include(Path::new("a.PNG")));
        assert!(!extensions.include(Path::new("a.gif")));
        assert!("".parse::<Extensions>().is_err());
        assert!("jpg,*".parse::<Extensions>().is_err());
    }
}
