//! Decides which folders are splits and which are classes.
//!
//! As in torchvision's ImageFolder, every folder is a class and stray files are left out.
//! Folders that are named like splits and hold class folders are splits. The user is told
//! what is left out, and an ambiguous layout is an error.

use std::path::{Path, PathBuf};

use super::super::UNSPLIT;
use super::super::class_names::{composed, order_note};
use super::super::detect::{
    Detected, SplitFiles, describe, split_in_name, split_named, val_is_test,
};
use super::super::options::{OpenOptions, SplitDirs};
use super::super::raw_format::RawFormat;
use super::super::source_folder::SourceFolder;
use super::super::survey::{Subfolder, Survey, listed};
use super::class_dirs;
use crate::{Error, Result};

/// How many levels down a split's folder is followed while it holds a single folder:
/// `seg_train/seg_train/CLASS`.
const DEEPEST: usize = 3;

/// Describes the image folder `folder`, or `None` if it holds no images.
pub(in super::super) fn detect(
    folder: &SourceFolder,
    options: &OpenOptions,
) -> Result<Option<Detected>> {
    let survey = Survey::of(folder, &options.extensions)?;
    let layout = Layout { folder, options, survey };
    match &options.split_dirs {
        SplitDirs::Given(dirs) => layout.given_splits(dirs).map(Some),
        SplitDirs::None => layout.classes(),
        SplitDirs::ByName => layout.by_name(),
    }
}

struct Layout<'a> {
    folder: &'a SourceFolder,
    options: &'a OpenOptions,
    survey: Survey,
}

impl Layout<'_> {
    /// Folders that are named like splits and hold class folders are splits, others
    /// classes.
    fn by_name(&self) -> Result<Option<Detected>> {
        let (splits, others) = self.by_role();
        let (deep, flat): (Vec<_>, Vec<_>) =
            splits.into_iter().partition(|(_, dir)| !dir.folders.is_empty());
        if let [(split, dir), ..] = &deep[..] {
            let classes = others.iter().filter(|dir| dir.folders.is_empty());
            if deep.len() == 1 && classes.count() > 1 {
                return Err(self.ambiguous(&format!(
                    "{0} holds class folders, as a split `{split}` does, and so do the \
                     folders next to it",
                    dir.name
                )));
            }
            return self.splits(&deep).map(Some);
        }
        match &flat[..] {
            [] => self.classes(),
            [("train", dir)] if !others.is_empty() => {
                let mut detected = self.classes()?;
                if let Some(detected) = &mut detected {
                    detected.notes.push(format!(
                        "{} is read as a class, since there are images in it and class \
                         folders next to it",
                        self.folder.shown_path(&dir.dir).display()
                    ));
                }
                Ok(detected)
            }
            flat => {
                let names: Vec<&str> =
                    flat.iter().map(|(_, d)| d.name.as_str()).collect();
                let names = names.join(" and ");
                Err(self
                    .ambiguous(&format!("the images in {names} are in no class folder")))
            }
        }
    }

    /// The folders that hold images: those named like splits, with the split, and the
    /// others.
    fn by_role(&self) -> (Vec<(&'static str, &Subfolder)>, Vec<&Subfolder>) {
        let mut splits = Vec::new();
        let mut others = Vec::new();
        for dir in self.survey.folders.iter().filter(|dir| dir.holds_images()) {
            let split = if dir.folders.is_empty() || dir.images {
                split_named(&dir.name)
            } else {
                split_in_name(&dir.name)
            };
            match split {
                Some(split) => splits.push((split, dir)),
                None => others.push(dir),
            }
        }
        (splits, others)
    }

    fn splits(&self, dirs: &[(&'static str, &Subfolder)]) -> Result<Detected> {
        let mut files = SplitFiles::new();
        for (split, dir) in dirs {
            let path = self.split_path(dir)?;
            if let Some(before) = files.insert((*split).to_owned(), vec![path]) {
                return Err(Error::failed(format_args!(
                    "{}: the folders {} and {} would both be the split `{split}`: rename \
                     one, or choose with --split-dirs {split}=DIR",
                    self.folder.shown(),
                    before[0],
                    dir.name
                )));
            }
        }
        val_is_test(&mut files);
        let used: Vec<&str> = dirs.iter().map(|(_, dir)| dir.name.as_str()).collect();
        self.described(files, &used)
    }

    /// The splits given with `--split-dirs`.
    fn given_splits(
        &self,
        dirs: &std::collections::BTreeMap<String, String>,
    ) -> Result<Detected> {
        let mut files = SplitFiles::new();
        for (split, dir) in dirs {
            self.folder.check_inside(dir)?;
            if !self.folder.join(dir).is_dir() {
                return Err(Error::usage(format_args!(
                    "--split-dirs {split}={dir}: {} is not a folder",
                    self.folder.shown_path(dir).display()
                )));
            }
            files.insert(split.clone(), vec![dir.clone()]);
        }
        let used: Vec<&str> =
            dirs.values().filter_map(|dir| dir.split('/').next()).collect();
        self.described(files, &used)
    }

    /// The manifest of these splits, with notes on what else is in the folder.
    fn described(&self, files: SplitFiles, used: &[&str]) -> Result<Detected> {
        let dir = files.get("train").or_else(|| files.values().next());
        let dir = dir.map_or("", |files| files[0].as_str());
        let classes = self.class_names(dir)?;
        let mut notes = self.left_out(used);
        for dir in files.values().flatten() {
            notes.extend(self.stray_images(dir)?);
        }
        notes.extend(order_note(&classes));
        let name = self.folder.name();
        let format = RawFormat::ImageFolder;
        Ok(Detected {
            manifest: describe(self.folder, name, format, classes, files),
            notes,
        })
    }

    /// Every folder as a class, or the folder itself as the only class.
    fn classes(&self) -> Result<Option<Detected>> {
        let is_nested = self.survey.folders.iter().any(Subfolder::holds_images);
        let mut notes = Vec::new();
        let classes = if is_nested {
            notes.extend(self.nested_classes());
            notes.extend(stray_note(self.folder, "", &self.survey));
            self.class_names("")?
        } else if self.survey.images > 0 {
            if self.survey.label_files > 0 {
                return Err(self.labels_in_files());
            }
            vec![self.own_class()]
        } else {
            return Ok(None);
        };
        if classes.len() == 1 {
            notes.extend(self.table_note());
        }
        notes.extend(order_note(&classes));
        let files = SplitFiles::from([(UNSPLIT.to_owned(), vec![".".to_owned()])]);
        let name = self.folder.name();
        let format = RawFormat::ImageFolder;
        let manifest = describe(self.folder, name, format, classes, files);
        Ok(Some(Detected { manifest, notes }))
    }

    /// The class of images in the folder itself: the folder's name without the dots that
    /// would hide a class folder.
    fn own_class(&self) -> String {
        let name = composed(self.folder.name().trim_start_matches('.'));
        if name.is_empty() { "images".to_owned() } else { name }
    }

    fn class_names(&self, dir: &str) -> Result<Vec<String>> {
        let dirs = class_dirs::of(&self.folder.below(dir))?;
        Ok(dirs.into_iter().map(|dir| dir.class).collect())
    }

    /// A split's folder, followed down while it holds a single folder of class folders.
    fn split_path(&self, dir: &Subfolder) -> Result<String> {
        let mut path = dir.name.clone();
        for _ in 0..DEEPEST {
            let inner = Survey::of(&self.folder.below(&path), &self.options.extensions)?;
            match &inner.folders[..] {
                [only]
                    if inner.images == 0 && !only.images && !only.folders.is_empty() =>
                {
                    path = format!("{path}/{}", only.name);
                }
                _ => break,
            }
        }
        Ok(path)
    }

    /// Notes images in a split's folder that are in no class folder.
    fn stray_images(&self, dir: &str) -> Result<Option<String>> {
        let survey = Survey::of(&self.folder.below(dir), &self.options.extensions)?;
        Ok(stray_note(self.folder, dir, &survey))
    }

    /// Folders and images next to the splits.
    fn left_out(&self, used: &[&str]) -> Vec<String> {
        let mut notes = Vec::new();
        for dir in &self.survey.folders {
            if used.contains(&dir.name.as_str()) || !dir.holds_images() {
                continue;
            }
            let shown = self.folder.shown_path(&dir.dir);
            let reason = if split_named(&dir.name).is_some() {
                "its images are in no class folder"
            } else {
                "its name is not a split's; --split-dirs names splits"
            };
            notes.push(format!("left out the folder {}: {reason}", shown.display()));
        }
        notes.extend(stray_note(self.folder, "", &self.survey));
        notes
    }

    /// Class folders that hold only folders, which may be the intended classes.
    fn nested_classes(&self) -> Vec<String> {
        let nested =
            self.survey.folders.iter().filter(|d| !d.images && d.folders.len() > 1);
        let note = |dir: &Subfolder| {
            format!(
                "{0} holds folders ({1}), and the images in them all are of the class \
                 `{2}`: `prep {0}` takes its folders as the classes",
                self.folder.shown_path(&dir.dir).display(),
                listed(&dir.folders),
                dir.name
            )
        };
        nested.take(3).map(note).collect()
    }

    /// Points to tables of labels in the folder or next to it.
    fn table_note(&self) -> Option<String> {
        let table = self.tables().into_iter().next()?;
        Some(format!(
            "the images are all of one class; {0} lies next to them and may hold their \
             labels: `prep {0}` reads it",
            table.display()
        ))
    }

    fn tables(&self) -> Vec<PathBuf> {
        let shown = |name: &String| self.folder.shown_path(name);
        let mut tables: Vec<PathBuf> = self.survey.tables.iter().map(shown).collect();
        let parent = self.folder.shown_path("");
        let parent = match parent.parent() {
            Some(above) if above == Path::new("") => PathBuf::from("."),
            Some(above) => above.to_path_buf(),
            None => return tables,
        };
        let mut beside: Vec<PathBuf> = std::fs::read_dir(&parent)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| parent.join(entry.file_name()))
            .filter(|path| is_table_of(path, self.folder.name()) && path.is_file())
            .collect();
        beside.sort_unstable();
        tables.extend(beside);
        tables
    }

    fn labels_in_files(&self) -> Error {
        Error::failed(format_args!(
            "{0} holds a WebDataset: {1} images and their labels in {2} .cls files; \
             `fetch-data NAME --from {0}` reads both",
            self.folder.shown(),
            self.survey.images,
            self.survey.label_files
        ))
    }

    /// The error for a layout that could be read in two ways, or in none.
    fn ambiguous(&self, why: &str) -> Error {
        let mut seen = Vec::new();
        for dir in self.survey.folders.iter().filter(|dir| dir.holds_images()) {
            seen.push(match (dir.images, dir.folders.is_empty()) {
                (_, true) => format!("{} (images)", dir.name),
                (false, _) => format!("{} (folders {})", dir.name, listed(&dir.folders)),
                (true, _) => {
                    format!("{} (images, folders {})", dir.name, listed(&dir.folders))
                }
            });
        }
        let table = self.tables().into_iter().next().map_or_else(String::new, |table| {
            format!(", or `prep {}` to take labels from that table", table.display())
        });
        Error::failed(format_args!(
            "{}: {why}; it holds {}: use --split-dirs train=DIR,test=DIR to name the \
             splits, --split-dirs none to read every folder as a class{table}",
            self.folder.shown(),
            listed(&seen)
        ))
    }
}

/// Whether a file next to the folder `name` may be a table of its labels, judged by its
/// name.
fn is_table_of(path: &Path, name: &str) -> bool {
    let is_table = path
        .extension()
        .and_then(|e| e.to_str())
        .is_some_and(|e| matches!(e, "csv" | "tsv"));
    let Some(stem) = path.file_stem().map(|stem| stem.to_string_lossy().to_lowercase())
    else {
        return false;
    };
    let words = ["label", "annotation", "metadata", "groundtruth", "classes"];
    is_table
        && !stem.starts_with('.')
        && (stem == name.to_lowercase() || words.iter().any(|word| stem.contains(word)))
}

fn stray_note(folder: &SourceFolder, dir: &str, survey: &Survey) -> Option<String> {
    let first = survey.first_image.as_ref()?;
    let first = folder.shown_path(dir).join(first);
    Some(match survey.images {
        1 => format!("left out {}: it is in no class folder", first.display()),
        n => format!(
            "left out {n} images that are in no class folder: {} first",
            first.display()
        ),
    })
}
