//! The files of one sample in a tar.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::list::label_rank;
use super::super::packed_names::readable;
use crate::{Error, Result};

/// A file in a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its path in the tar.
    pub path: PathBuf,
    /// Where its bytes begin.
    pub start: u64,
    /// How many there are.
    pub length: u64,
}

/// The kinds of label files. If a sample has several, the first kind counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelFile {
    /// `KEY.cls`: a number or the name of a class.
    Class,
    /// `KEY.json`: such a value, or an object that has one.
    Json,
    /// `KEY.txt`: as in `KEY.cls`.
    Text,
}

impl LabelFile {
    const ALL: [(Self, &'static [u8]); 3] =
        [(Self::Class, b"cls"), (Self::Json, b"json"), (Self::Text, b"txt")];

    /// What kind of label the file has; `None` if it is not a label.
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.as_os_str().as_bytes();
        let ending = name[key(name).len()..].strip_prefix(b".")?;
        let kinds = Self::ALL.iter();
        kinds.clone().find(|(_, end)| *end == ending).map(|(kind, _)| *kind)
    }
}

/// A path up to the first dot of the file's name: what the files of a sample share.
pub fn key(path: &[u8]) -> &[u8] {
    let name = path.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
    match path[name..].iter().position(|&byte| byte == b'.') {
        Some(dot) => &path[..name + dot],
        None => path,
    }
}

/// The files of one sample.
#[derive(Debug, Default)]
pub struct Group {
    key: Vec<u8>,
    pub images: Vec<Member>,
    /// The label files with their contents, by [`LabelFile`].
    labels: [Option<(PathBuf, Vec<u8>)>; 3],
}

impl Group {
    /// An empty group for the sample that a file belongs to.
    pub fn of(path: &Path) -> Self {
        Self { key: key(path.as_os_str().as_bytes()).to_vec(), ..Self::default() }
    }

    /// Whether a file belongs to this group.
    pub fn has_key_of(&self, path: &Path) -> bool {
        self.key == key(path.as_os_str().as_bytes())
    }

    /// Adds a label file.
    pub fn set_label(
        &mut self,
        kind: LabelFile,
        file: Member,
        text: Vec<u8>,
    ) -> Result<()> {
        let place = &mut self.labels[kind as usize];
        if place.is_some() {
            return Err(Error::failed(format_args!(
                "{} is there twice",
                readable(&file.path)
            )));
        }
        *place = Some((file.path, text));
        Ok(())
    }

    /// The paths of the label files.
    pub fn label_files(&self) -> impl Iterator<Item = &Path> {
        self.labels.iter().flatten().map(|(path, _)| path.as_path())
    }

    /// The label file and the label as text. In a JSON object it is the value of
    /// `column`, or of a usual name of labels.
    pub fn label(&self, column: Option<&str>) -> Result<Option<(PathBuf, String)>> {
        let [class, json, text] = &self.labels;
        if let Some((path, bytes)) = class {
            let text = utf8(path, bytes)?;
            return Ok(Some((path.clone(), text.to_owned())));
        }
        if let Some((path, bytes)) = json
            && let Some(label) = label_in_json(path, bytes, column)?
        {
            return Ok(Some((path.clone(), label)));
        }
        match text {
            // Text files without an image may be notes of any kind.
            Some((path, bytes)) if !self.images.is_empty() => {
                let text = utf8(path, bytes)?;
                Ok(Some((path.clone(), text.to_owned())))
            }
            _ => Ok(None),
        }
    }

    /// The image that the label in `file` belongs to: the only one, or the only one that
    /// is called `KEY.jpg` and not `KEY.mask.jpg`.
    pub fn only_image(&self, file: &Path) -> Result<&Member> {
        let is_plain = |image: &&Member| {
            let name = image.path.as_os_str().as_bytes();
            let ending = &name[self.key.len()..];
            ending.iter().filter(|&&byte| byte == b'.').count() == 1
        };
        let plain: Vec<&Member> = self.images.iter().filter(is_plain).collect();
        let images = if plain.is_empty() { self.images.iter().collect() } else { plain };
        match &images[..] {
            [image] => Ok(image),
            [] => Err(Error::failed(format_args!(
                "{} is a label without an image (.jpg, .png ...; arrays, .npy, are not \
                 read): the files of a sample must have one key and follow one another",
                readable(file)
            ))),
            [first, second, ..] => Err(Error::failed(format_args!(
                "two images have the key {}: {} and {}",
                readable(Path::new(OsStr::from_bytes(&self.key))),
                readable(&first.path),
                readable(&second.path)
            ))),
        }
    }
}

fn utf8<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str> {
    std::str::from_utf8(bytes)
        .map_err(|_| Error::failed(format_args!("{} is not UTF-8 text", readable(path))))
}

/// The label in a JSON text: the value itself, or that of a member of an object.
fn label_in_json(
    path: &Path,
    bytes: &[u8],
    column: Option<&str>,
) -> Result<Option<String>> {
    let value: Value = serde_json::from_slice(bytes).map_err(|e| {
        Error::failed(format_args!("{} is not JSON: {e}", readable(path)))
    })?;
    let Value::Object(object) = &value else { return Ok(scalar(&value)) };
    let named = match column {
        Some(column) => object.get(column),
        None => {
            let ranked = object.iter().filter_map(|(key, v)| Some((label_rank(key)?, v)));
            ranked.min_by_key(|(rank, _)| *rank).map(|(_, value)| value)
        }
    };
    Ok(named.and_then(scalar))
}

/// A JSON string or number as text.
pub fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
