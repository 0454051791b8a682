//! Lists what is in a folder, for decisions about its layout and for messages.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::options::{Extensions, extension};
use super::packed_names::readable;
use super::source_folder::SourceFolder;
use super::{manifest, walk};
use crate::{Context, Result};

/// Archives that `fetch-data --from` unpacks, by their names.
const ARCHIVES: [&str; 4] = [".zip", ".tar", ".tgz", ".tar.gz"];
/// Tables of labels.
const TABLES: [&str; 2] = ["csv", "tsv"];

/// What is directly in a folder; hidden files are left out.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub folders: Vec<Subfolder>,
    /// Image files in the folder itself.
    pub images: u64,
    /// The first of them by name.
    pub first_image: Option<String>,
    /// Tables that may hold labels.
    pub tables: Vec<String>,
    pub archives: Vec<String>,
    /// WebDataset's files of labels, `KEY.cls`.
    pub label_files: u64,
    /// Other files.
    pub others: Vec<String>,
}

/// A folder in the folder.
#[derive(Debug)]
pub(super) struct Subfolder {
    /// Its name as text.
    pub name: String,
    /// Its name on the disk.
    pub dir: OsString,
    /// Whether it holds images itself.
    pub images: bool,
    /// The folders in it that hold images, at any depth.
    pub folders: Vec<String>,
}

impl Subfolder {
    /// Looks at the folder `path`. One that cannot be read counts as empty here; it is an
    /// error when its images are listed.
    fn of(name: String, dir: OsString, path: &Path, extensions: &Extensions) -> Self {
        let mut subfolder = Self { name, dir, images: false, folders: Vec::new() };
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if walk::is_hidden(&name) {
                continue;
            }
            if !is_dir(&entry) {
                subfolder.images |= extensions.include(Path::new(&name));
            } else if walk::holds_images(&entry.path(), extensions) {
                subfolder.folders.push(readable(Path::new(&name)));
            }
        }
        subfolder.folders.sort_unstable();
        subfolder
    }

    /// Whether it holds an image at any depth.
    pub fn holds_images(&self) -> bool {
        self.images || !self.folders.is_empty()
    }
}

impl Survey {
    /// Looks at `folder`.
    pub fn of(folder: &SourceFolder, extensions: &Extensions) -> Result<Self> {
        let mut survey = Self::default();
        for (name, path) in sorted_entries(folder)? {
            let text = readable(Path::new(&name));
            if path.is_dir() {
                survey.folders.push(Subfolder::of(text, name, &path, extensions));
            } else if text != manifest::FILE {
                survey.add_file(text, extensions);
            }
        }
        Ok(survey)
    }

    fn add_file(&mut self, name: String, extensions: &Extensions) {
        let path = Path::new(&name);
        let ending = extension(path);
        let ending = ending.as_deref().unwrap_or("");
        if extensions.include(path) {
            self.images += 1;
            self.first_image.get_or_insert(name);
        } else if TABLES.contains(&ending) {
            self.tables.push(name);
        } else if ARCHIVES.iter().any(|end| name.to_lowercase().ends_with(end)) {
            self.archives.push(name);
        } else if ending == "cls" {
            self.label_files += 1;
        } else {
            self.others.push(name);
        }
    }
}

/// Whether an entry is a folder or a link to one, without a system call for each file.
pub(super) fn is_dir(entry: &fs::DirEntry) -> bool {
    match entry.file_type() {
        Ok(kind) if kind.is_symlink() => entry.path().is_dir(),
        Ok(kind) => kind.is_dir(),
        Err(_) => false,
    }
}

/// The entries of a folder that are not hidden, sorted by name: name and path.
fn sorted_entries(folder: &SourceFolder) -> Result<Vec<(OsString, PathBuf)>> {
    let mut entries = Vec::new();
    for entry in
        fs::read_dir(folder.path()).doing("read the folder", folder.shown_path(""))?
    {
        let entry = entry.doing("read the folder", folder.shown_path(""))?;
        if !walk::is_hidden(&entry.file_name()) {
            entries.push((entry.file_name(), entry.path()));
        }
    }
    entries.sort_unstable();
    Ok(entries)
}

/// What lies in a folder that holds no data set, as the end of a message.
pub(super) fn contents(folder: &SourceFolder) -> Result<String> {
    let survey = Survey::of(folder, &Extensions::default())?;
    if let [archive, ..] = &survey.archives[..] {
        return Ok(format!(
            "it holds the archive {archive}: `fetch-data NAME --from {}` unpacks it",
            folder.shown_path(archive).display()
        ));
    }
    if let [table, ..] = &survey.tables[..] {
        return Ok(format!(
            "it holds the table {table}: `prep {}` reads a list of images",
            folder.shown_path(table).display()
        ));
    }
    let folders: Vec<&str> = survey.folders.iter().map(|f| f.name.as_str()).collect();
    let files: Vec<&str> = survey.others.iter().map(String::as_str).collect();
    Ok(match (folders.is_empty(), files.is_empty()) {
        (true, true) => "it is empty".to_owned(),
        (false, true) => format!("it holds the folders {}", listed(&folders)),
        (true, false) => format!("it holds the files {}", listed(&files)),
        (false, false) => format!(
            "it holds the folders {} and the files {}",
            listed(&folders),
            listed(&files)
        ),
    })
}

/// The first names of a list, and the number of the others.
pub(super) fn listed<S: AsRef<str>>(names: &[S]) -> String {
    const MOST: usize = 5;
    let first: Vec<&str> = names.iter().take(MOST).map(AsRef::as_ref).collect();
    let mut text = first.join(", ");
    if names.len() > MOST {
        text.push_str(&format!(" and {} more", names.len() - MOST));
    }
    text
}
