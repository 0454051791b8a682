//! Converts a WebDataset, whose images and labels share a key (`00000017.png` and
//! `00000017.cls`), into a folder per class. Source:
//! <https://github.com/webdataset/webdataset>.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use torchmill::dataset::{SourceFolder, is_image_name};
use torchmill::{Context, Error, Result, interrupt, text_file};
use walkdir::WalkDir;

/// Whether a folder holds label files, `KEY.cls`.
pub fn is_in(folder: &Path) -> bool {
    files_below(folder).any(|path| is_label(&path))
}

/// Moves the images in `folder`, a temporary folder, into folders named after their
/// labels. Returns the classes: all numbers up to the largest label, or the sorted labels
/// if they are names. `None` if there are no labels.
pub fn arrange(folder: &SourceFolder) -> Result<Option<Vec<String>>> {
    let mut images = HashMap::new();
    let mut labels = Vec::new();
    for path in files_below(folder.path()) {
        if is_label(&path) {
            labels.push(path);
        } else if is_image_name(&path) {
            images.insert(key(&path), path);
        }
    }
    if labels.is_empty() {
        return Ok(None);
    }
    labels.sort_unstable();
    let mut classes = Vec::new();
    for path in &labels {
        interrupt::check()?;
        let label = read_label(folder, path)?;
        let Some(image) = images.remove(&key(path)) else {
            return Err(Error::failed(format_args!(
                "{} is a label without an image (.jpg, .png ...; arrays, .npy, are not \
                 read)",
                shown(folder, path)
            )));
        };
        move_to_class(folder, &image, &label)?;
        fs::remove_file(path).doing("remove", path)?;
        classes.push(label);
    }
    if let Some(image) = images.values().min() {
        return Err(Error::failed(format_args!(
            "{} has no label, though other images have one (KEY.cls)",
            shown(folder, image)
        )));
    }
    let classes = in_order(classes);
    remove_others(folder, &classes)?;
    Ok(Some(classes))
}

/// Removes everything except class folders: emptied folders and metadata (`KEY.json`).
fn remove_others(folder: &SourceFolder, classes: &[String]) -> Result<()> {
    let path = folder.path();
    for entry in fs::read_dir(path).doing("read the folder", path)? {
        let entry = entry.doing("read the folder", path)?;
        let name = entry.file_name();
        if classes.iter().any(|class| name == class.as_str()) {
            continue;
        }
        let path = entry.path();
        if path.is_dir() {
            fs::remove_dir_all(&path).doing("remove", &path)?;
        } else {
            fs::remove_file(&path).doing("remove", &path)?;
        }
    }
    Ok(())
}

fn files_below(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = WalkDir::new(folder).into_iter().flatten();
    entries.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path)
}

fn is_label(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "cls")
}

/// A file's path up to the first dot of its name, which image and label share.
fn key(path: &Path) -> PathBuf {
    let name = path.file_name().map(OsStrExt::as_bytes);
    let prefix = name.and_then(|name| name.split(|&byte| byte == b'.').next());
    match prefix {
        Some(prefix) => path.with_file_name(OsStr::from_bytes(prefix)),
        None => path.to_path_buf(),
    }
}

fn read_label(folder: &SourceFolder, path: &Path) -> Result<String> {
    let text = text_file::read(path).doing("read", shown(folder, path))?;
    let label = text.trim();
    let is_name = !label.is_empty()
        && label.len() <= 200
        && !label.starts_with('.')
        && !label.contains(|c: char| c == '/' || c.is_control());
    if !is_name {
        return Err(Error::failed(format_args!(
            "{} holds no label: a number or a class name",
            shown(folder, path)
        )));
    }
    // `007` and `7` are the same label.
    Ok(label.parse::<u32>().map_or_else(|_| label.to_owned(), |n| n.to_string()))
}

fn move_to_class(folder: &SourceFolder, image: &Path, label: &str) -> Result<()> {
    let class = folder.join(label);
    fs::create_dir_all(&class).doing("make the folder", &class)?;
    let relative = image.strip_prefix(folder.path()).unwrap_or(image);
    // Equal names in two folders of the archive must not collide.
    let name = relative.to_string_lossy().replace('/', "-");
    let to = class.join(name);
    if to.exists() {
        return Err(Error::failed(format_args!(
            "{}: two images would get the same name",
            shown(folder, image)
        )));
    }
    fs::rename(image, &to).doing("move", image)
}

fn in_order(mut labels: Vec<String>) -> Vec<String> {
    let numbers: Option<Vec<u32>> = labels.iter().map(|l| l.parse().ok()).collect();
    // Numeric labels are indices. A number larger than any count of classes is a name.
    if let Some(largest) = numbers.and_then(|numbers| numbers.into_iter().max())
        && largest < 100_000
    {
        return (0..=largest).map(|label| label.to_string()).collect();
    }
    labels.sort_unstable();
    labels.dedup();
    labels
}

fn shown(folder: &SourceFolder, path: &Path) -> String {
    let relative = path.strip_prefix(folder.path()).unwrap_or(path);
    folder.shown_path(relative).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, SourceFolder) {
        let temporary = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = temporary.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let shown = Path::new("set.tar");
        let folder = SourceFolder::temporary(temporary.path(), shown, "set");
        (temporary, folder)
    }

    #[test]
    fn images_go_to_the_folders_of_their_labels() {
        let (temporary, folder) = folder(&[
            ("000.png", "a"),
            ("000.cls", "10\n"),
            ("001.jpg", "b"),
            ("001.cls", "0"),
            ("sub/001.jpg", "c"),
            ("sub/001.cls", "0"),
            ("001.json", "{}"),
        ]);
        assert!(is_in(temporary.path()));
        let classes = arrange(&folder).unwrap().unwrap();
        assert_eq!(classes.len(), 11);
        assert_eq!((classes[2].as_str(), classes[10].as_str()), ("2", "10"));
        let read = |name: &str| fs::read_to_string(temporary.path().join(name)).unwrap();
        assert_eq!(
            read("10/000.png") + &read("0/001.jpg") + &read("0/sub-001.jpg"),
            "abc"
        );
        assert!(!is_in(temporary.path()));
        assert_eq!(
            fs::read_dir(temporary.path()).unwrap().count(),
            2,
            "the class folders"
        );
    }

    #[test]
    fn labels_may_be_names() {
        let (_temporary, folder) =
            folder(&[("a.png", ""), ("a.cls", "dog"), ("b.png", ""), ("b.cls", "cat")]);
        assert_eq!(arrange(&folder).unwrap().unwrap(), ["cat", "dog"]);
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        for (files, message) in [
            (&[("a.cls", "1")][..], "set.tar/a.cls is a label without an image"),
            (&[("a.cls", "1"), ("a.npy", "")], "arrays, .npy, are not read"),
            (
                &[("a.cls", "1"), ("a.png", ""), ("b.png", "")],
                "set.tar/b.png has no label",
            ),
            (&[("a.cls", "../x"), ("a.png", "")], "set.tar/a.cls holds no label"),
            (&[("a.cls", " "), ("a.png", "")], "holds no label"),
        ] {
            let (_temporary, folder) = folder(files);
            let error = arrange(&folder).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        let (_temporary, folder) = folder(&[("cat/1.png", "")]);
        assert_eq!(arrange(&folder).unwrap(), None);
    }
}
