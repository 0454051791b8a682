//! Which images there are, and their labels if their folders are classes.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use torchmill::dataset::{composed, images_below};
use torchmill::{Context, Error, Result, progress};

use crate::inputs::ImageSource;

/// An image file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// As the user's path leads to it.
    pub path: PathBuf,
    /// Its class, if it is in a folder of that name.
    pub label: Option<usize>,
}

impl Source {
    /// The path as text.
    pub fn name(&self) -> Cow<'_, str> {
        self.path.to_string_lossy()
    }
}

/// Images one by one; reading their paths from standard input may fail.
type Sources = Box<dyn Iterator<Item = Result<Source>> + Send>;

/// The images to look at.
pub struct Found {
    /// The images.
    pub sources: Sources,
    /// How many, if that is known.
    pub total: Option<usize>,
    /// Whether every image has a label.
    pub labelled: bool,
    /// Where they are, for a report.
    pub name: String,
}

/// Lists folders, and takes the rest as it is given.
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
                Box::new(Lines::new(BufReader::new(std::io::stdin())))
            }
        };
        sources = Box::new(sources.chain(more));
    }
    Ok(Found { sources, total, labelled, name: names.join(", ") })
}

/// The images in a folder. If all folders in it are called after classes, these are the
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
            "note: the folders in {} are not taken for labels: besides classes of the \
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

/// The first folder in an image's path, in the form in which class names are compared;
/// empty if there is none.
fn first_folder(image: &Path) -> String {
    let folder = image.parent().and_then(|folder| folder.iter().next());
    folder.map_or_else(String::new, |first| composed(&first.to_string_lossy()))
}

/// Paths from a stream: one on each line, or each ended by NUL, as `find -print0` writes
/// them. Whichever comes first decides.
struct Lines<R> {
    input: R,
    number: usize,
    end: Option<u8>,
}

impl<R: BufRead> Lines<R> {
    fn new(input: R) -> Self {
        Self { input, number: 0, end: None }
    }

    fn next_path(&mut self) -> Result<Option<Source>> {
        loop {
            let mut bytes = Vec::new();
            self.number += 1;
            let end = match self.end {
                Some(end) => end,
                None => first_end(&mut self.input, &mut bytes)
                    .doing("read", "standard input")?,
            };
            self.end = Some(end);
            if bytes.last() != Some(&end) {
                let read = self
                    .input
                    .read_until(end, &mut bytes)
                    .doing("read", "standard input")?;
                if read == 0 && bytes.is_empty() {
                    return Ok(None);
                }
            }
            let text = std::str::from_utf8(&bytes).map_err(|_| {
                Error::failed(format_args!(
                    "standard input, line {}: is not UTF-8 text",
                    self.number
                ))
            })?;
            let text = text.trim_end_matches(char::from(end)).trim_end_matches('\r');
            if !text.is_empty() {
                return Ok(Some(Source { path: text.into(), label: None }));
            }
        }
    }
}

/// Reads up to the first line break or NUL, and returns which it was; a line break if
/// there is neither.
fn first_end(input: &mut impl BufRead, bytes: &mut Vec<u8>) -> std::io::Result<u8> {
    loop {
        let buffer = input.fill_buf()?;
        let Some(at) = buffer.iter().position(|b| matches!(b, b'\n' | 0)) else {
            let length = buffer.len();
            bytes.extend_from_slice(buffer);
            input.consume(length);
            if length == 0 {
                return Ok(b'\n');
            }
            continue;
        };
        let end = buffer[at];
        bytes.extend_from_slice(&buffer[..=at]);
        input.consume(at + 1);
        return Ok(end);
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Source>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_path().transpose()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn paths(text: &[u8], capacity: usize) -> Result<Vec<String>> {
        let input = BufReader::with_capacity(capacity, text);
        Lines::new(input).map(|s| s.map(|s| s.name().into_owned())).collect()
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
        let wrong = paths(b"a.jpg\n\xff\n", 100).unwrap_err().to_string();
        assert_eq!(wrong, "standard input, line 2: is not UTF-8 text");
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
