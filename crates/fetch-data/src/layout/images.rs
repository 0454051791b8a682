//! Image files in a folder per class: `train/CLASS/...` and `test/CLASS/...`, or the class folders alone.

use std::collections::BTreeMap;
use std::path::Path;

use torchmill::dataset::Kind;
use torchmill::{Error, Result, interrupt};
use walkdir::{DirEntry, WalkDir};

use super::{Layout, folders_in};

/// The name of the only split of images that are not split yet; `prep` splits them.
pub const UNSPLIT: &str = "all";

/// What an image's file name ends with.
const EXTENSIONS: [&str; 12] =
    ["jpg", "jpeg", "png", "ppm", "bmp", "pgm", "tif", "tiff", "webp", "gif", "pnm", "jfif"];

/// Describes the class folders in `folder`, or in the only folder in it; `None` where there are no images.
pub fn find(folder: &Path) -> Result<Option<Layout>> {
    let mut base = String::new();
    // Archives often hold one folder that holds everything.
    for _ in 0..4 {
        let here = folder.join(&base);
        if let Some(layout) = in_folder(&here, &base)? {
            return Ok(Some(layout));
        }
        match &folders_in(&here)[..] {
            [only] => base = super::join(&base, only),
            _ => return Ok(None),
        }
    }
    Ok(None)
}

fn in_folder(folder: &Path, base: &str) -> Result<Option<Layout>> {
    let folders = folders_in(folder);
    let mut found: BTreeMap<&str, &String> = BTreeMap::new();
    for name in &folders {
        // A class may be called `test`: a split holds folders, a class holds images.
        let path = folder.join(name);
        if let Some(split) = split_of(name)
            && !folders_in(&path).is_empty()
            && !holds_images_itself(&path)
            && let Some(other) = found.insert(split, name)
        {
            return Err(Error::failed(format_args!(
                "{}: the folders {other} and {name} would both be the split `{split}`; rename one",
                folder.display()
            )));
        }
    }
    if let (Some(val), true, false) =
        (found.get("val").copied(), found.contains_key("train"), found.contains_key("test"))
    {
        // Published without test labels, as ImageNet and its subsets: validation images are what there is.
        found.remove("val");
        found.insert("test", val);
    }
    if found.contains_key("train") || found.contains_key("test") {
        let train = found.get("train").or_else(|| found.get("test"));
        let classes = train.map(|name| folders_in(&folder.join(name))).unwrap_or_default();
        for name in found.values() {
            check_classes(&folder.join(name), &classes)?;
        }
        let splits = found
            .into_iter()
            .map(|(split, name)| (split.to_owned(), vec![super::join(base, name)]))
            .collect();
        return of(folder, classes, splits, base);
    }
    // One folder alone is a wrapper, not a class.
    if folders.len() < 2 || !folders.iter().any(|name| holds_images_itself(&folder.join(name))) {
        return Ok(None);
    }
    check_classes(folder, &folders)?;
    let place = if base.is_empty() { ".".to_owned() } else { base.to_owned() };
    let splits = BTreeMap::from([(UNSPLIT.to_owned(), vec![place])]);
    of(folder, folders, splits, base)
}

/// The layout of `splits`, each a folder of class folders, counted.
fn of(
    folder: &Path,
    classes: Vec<String>,
    splits: BTreeMap<String, Vec<String>>,
    base: &str,
) -> Result<Option<Layout>> {
    let mut images = BTreeMap::new();
    for (split, folders) in &splits {
        for place in folders {
            let below = place.strip_prefix(base).unwrap_or(place).trim_start_matches('/');
            let mut found = 0;
            for class in &classes {
                let class = folder.join(below).join(class);
                if class.is_dir() {
                    found += count(&class)?;
                }
            }
            images.insert(split.clone(), found);
        }
    }
    Ok(Some(Layout { kind: Kind::ImageFolder, classes, splits, images, extras: Vec::new() }))
}

/// What people call the folders of a split.
fn split_of(name: &str) -> Option<&'static str> {
    match name.to_ascii_lowercase().as_str() {
        "train" | "training" => Some("train"),
        "test" | "testing" => Some("test"),
        "val" | "valid" | "validation" => Some("val"),
        _ => None,
    }
}

fn check_classes(split: &Path, classes: &[String]) -> Result<()> {
    for class in folders_in(split) {
        if !classes.contains(&class) {
            return Err(Error::failed(format_args!(
                "{} is a class that the training images do not have",
                split.join(class).display()
            )));
        }
    }
    for class in classes {
        let folder = split.join(class);
        if files(&folder).next().is_none() {
            return Err(Error::failed(format_args!(
                "{} holds no images (.jpg .png ...): every class needs some",
                folder.display()
            )));
        }
    }
    Ok(())
}

/// How many images lie below `folder`.
pub fn count(folder: &Path) -> Result<u64> {
    let mut count = 0;
    for file in files(folder) {
        file?;
        count += 1;
    }
    Ok(count)
}

/// The image files below `folder`, in no particular order. Links are followed, hidden things left out.
pub fn files(folder: &Path) -> impl Iterator<Item = Result<DirEntry>> {
    let visible = |e: &DirEntry| e.depth() == 0 || !e.file_name().as_encoded_bytes().starts_with(b".");
    let entries = WalkDir::new(folder).follow_links(true).into_iter().filter_entry(visible);
    entries.filter_map(|entry| {
        if let Err(stop) = interrupt::check() {
            return Some(Err(stop));
        }
        match entry {
            Ok(e) => (e.file_type().is_file() && is_image(e.path())).then_some(Ok(e)),
            Err(e) => Some(Err(Error::failed(format_args!("cannot read the folder: {e}")))),
        }
    })
}

fn holds_images_itself(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|e| e.path()).any(|path| is_image(&path) && path.is_file())
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str()))
}
