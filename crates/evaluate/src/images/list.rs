//! Lists the images, and their labels if their folders are named after classes.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use torchmill::dataset::{PathReader, composed, images_below};
use torchmill::{Error, Result, cli, progress};

use crate::inputs::ImageSource;

/// An image file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The path, starting with the one that the user gave.
    pub path: PathBuf,
    /// The index of its class, if it is in a folder of that name.
    pub label: Option<usize>,
}

impl Source {
    /// The path as text.
    pub fn name(&self) -> Cow<'_, str> {
        self.path.to_string_lossy()
    }
}

/// The images one by one. Reading their paths from standard input may fail.
type Sources = Box<dyn Iterator<Item = Result<Source>> + Send>;

/// The images to evaluate.
pub struct Found {
    /// The images.
    pub sources: Sources,
    /// The number of images, if known.
    pub total: Option<usize>,
    /// Whether every image has a label.
    pub labelled: bool,
    /// The name of their location, for a report.
    pub name: String,
}

/// Lists the images in folders. Other paths are used as they are.
pub fn find(places: &[ImageSource], classes: &[String]) -> Result<Found> {
    let mut total = Some(0);
    let mut labelled = true;
    let mut sources: Sources = Box::new(std::iter::empty());
    let mut names = Vec::new();
    for place in places {
        let more: Sources = match place {
            ImageSource::File(path) => {
                labelled = false;
                total = total.map(|n| n + 1);
                names.push(path.display().to_string());
                Box::new(std::iter::once(Ok(Source { path: path.clone(), label: None })))
            }
            ImageSource::Folder(folder) => {
                let found = images_in(folder, classes)?;
                labelled &= found.iter().all(|source| source.label.is_some());
                total = total.map(|n| n + found.len());
                names.push(folder.display().to_string());
                Box::new(found.into_iter().map(Ok))
            }
            ImageSource::Stdin => {
                labelled = false;
                total = None;
                names.push("standard input".to_owned());
                Box::new(Paths::new(BufReader::new(cli::stdin()?)))
            }
        };
        sources = Box::new(sources.chain(more));
    }
    Ok(Found { sources, total, labelled, name: names.join(", ") })
}

/// The images in a folder. If all its subfolders are named after classes, they are the
/// labels.
fn images_in(folder: &Path, classes: &[String]) -> Result<Vec<Source>> {
    let (images, notes) = images_below(folder)?;
    notes.iter().for_each(progress::note);
    if images.is_empty() {
        return Err(Error::failed(format_args!(
            "{} holds no images (.jpg .png ...)",
            folder.display()
        )));
    }
    let label = |name: &str| classes.iter().position(|class| class == name);
    let folders: BTreeSet<String> =
        images.iter().map(|image| first_folder(image)).collect();
    let other = folders.iter().find(|name| label(name).is_none());
    if let Some(other) = other
        && folders.iter().any(|name| label(name).is_some())
    {
        let other = match other.as_str() {
            "" => "images outside them".to_owned(),
            name => format!("`{name}`"),
        };
        progress::note(format_args!(
            "note: the folders in {} are not used as labels: besides classes of the \
             network there is {other}",
            folder.display()
        ));
    }
    let labelled = other.is_none();
    let mut sources = Vec::new();
    for image in &images {
        let label = if labelled { label(&first_folder(image)) } else { None };
        sources.push(Source { path: folder.join(image), label });
    }
    Ok(sources)
}

/// The first folder in an image's path, in the Unicode form used to compare class names.
/// Empty if there is none.
fn first_folder(image: &Path) -> String {
    let folder = image.parent().and_then(|folder| folder.iter().next());
    folder.map_or_else(String::new, |first| composed(&first.to_string_lossy()))
}

/// Reads paths from a stream, one per line or, as from `find -print0`, each ended by NUL.
struct Paths<R> {
    reader: PathReader<R>,
}

impl<R: BufRead> Paths<R> {
    fn new(input: R) -> Self {
        Self { reader: PathReader::new(input, "standard input") }
    }
}

impl<R: BufRead> Iterator for Paths<R> {
    type Item = Result<Source>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.reader.next_line().transpose()?;
        Some(
            line.map(|path| Source {
                path: OsString::from_vec(path).into(),
                label: None,
            }),
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn paths(text: &[u8], capacity: usize) -> Result<Vec<String>> {
        let input = BufReader::with_capacity(capacity, text);
        Paths::new(input).map(|s| s.map(|s| s.name().into_owned())).collect()
    }

    #[test]
    fn paths_end_with_a_line_or_with_nul() {
        for capacity in [1, 3, 100] {
            assert_eq!(
                paths(b"a.jpg\r\n\nb c.png", capacity).unwrap(),
                ["a.jpg", "b c.png"]
            );
            assert_eq!(paths(b"a\nb.jpg", capacity).unwrap(), ["a", "b.jpg"]);
            assert_eq!(
                paths(b"x.jpg\0a\nb.jpg\0", capacity).unwrap(),
                ["x.jpg", "a\nb.jpg"]
            );
            assert!(paths(b"", capacity).unwrap().is_empty());
        }
        // Names may contain any bytes.
        let input: &[u8] = b"a.jpg\n\xff.jpg\n";
        let second = Paths::new(input).nth(1).unwrap().unwrap();
        assert_eq!(second.path.as_os_str().as_encoded_bytes(), b"\xff.jpg");
        let endless = paths(&[b'a'; 100_000], 100).unwrap_err().to_string();
        assert!(endless.starts_with("standard input, line 1: is longer"), "{endless}");
    }

    #[test]
    fn folders_are_labels_where_all_are_classes() {
        let folder = tempfile::tempdir().unwrap();
        let classes = ["cat", "dog"].map(String::from);
        for name in ["dog/2.jpg", "cat/deep/1.png"] {
            std::fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let labels = || {
            images_in(folder.path(), &classes)
                .unwrap()
                .iter()
                .map(|s| s.label)
                .collect::<Vec<_>>()
        };
        assert_eq!(labels(), [Some(0), Some(1)]);
        std::fs::write(folder.path().join("3.jpg"), "").unwrap();
        assert_eq!(labels(), [None, None, None]);
    }

    proptest! {
        #[test]
        fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..200), capacity in 1_usize..50) {
            let _ = paths(&noise, capacity);
        }
    }
}
