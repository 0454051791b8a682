//! Where a table's images are: its paths may leave out their folder or their ending, as
//! Kaggle's and ISIC's do (`id,breed` with the images in `train/ID.jpg`).

use std::fs;
use std::path::{Path, PathBuf};

use super::super::options::EXTENSIONS;
use super::super::{survey, walk};
use crate::{Error, Result};

/// What is added to each path of a table.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Completion {
    folder: PathBuf,
    /// Such as `.jpg`.
    ending: String,
}

impl Completion {
    /// Finds the image `path` below `root`: as it is, or in one of the folders there,
    /// with an image's extension. If it is not found, nothing is added, and reading it
    /// reports the error.
    pub fn find(root: &Path, path: &str) -> Result<Self> {
        let mut found = Vec::new();
        for folder in folders(root) {
            for ending in endings() {
                let completion = Self { folder: folder.clone(), ending };
                if root.join(completion.complete(path)).is_file() {
                    // The table's own folder comes first.
                    if folder == Path::new("") {
                        return Ok(completion);
                    }
                    found.push(completion);
                }
            }
        }
        if let [first, second, ..] = &found[..] {
            return Err(Error::failed(format_args!(
                "the image {path} is both {} and {}: write the folder in the table",
                first.complete(path).display(),
                second.complete(path).display()
            )));
        }
        Ok(found.pop().unwrap_or_default())
    }

    /// The whole path.
    pub fn complete(&self, path: &str) -> PathBuf {
        self.folder.join(format!("{path}{}", self.ending))
    }
}

/// The table's folder and those in it.
fn folders(root: &Path) -> Vec<PathBuf> {
    let here = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    let mut folders = vec![PathBuf::new()];
    for entry in fs::read_dir(here).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if survey::is_dir(&entry) && !walk::is_hidden(&name) {
            folders.push(PathBuf::from(name));
        }
    }
    folders.sort_unstable();
    folders
}

/// No ending, and those of images.
fn endings() -> impl Iterator<Item = String> {
    let of_images = EXTENSIONS.iter().map(|ending| format!(".{ending}"));
    std::iter::once(String::new()).chain(of_images)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(root: &Path, name: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }

    #[test]
    fn folders_and_endings_are_found() {
        let root = tempfile::tempdir().unwrap();
        at(root.path(), "a.png");
        at(root.path(), "train/ISIC_1.jpg");
        at(root.path(), "test/other.jpg");
        let find = |path: &str| {
            Completion::find(root.path(), path).map(|found| found.complete(path))
        };
        assert_eq!(find("a.png").unwrap(), Path::new("a.png"));
        assert_eq!(find("ISIC_1").unwrap(), Path::new("train/ISIC_1.jpg"));
        assert_eq!(find("ISIC_1.jpg").unwrap(), Path::new("train/ISIC_1.jpg"));
        assert_eq!(find("gone.jpg").unwrap(), Path::new("gone.jpg"));
        at(root.path(), "test/ISIC_1.jpg");
        assert!(find("ISIC_1").unwrap_err().to_string().contains("both"));
    }
}
