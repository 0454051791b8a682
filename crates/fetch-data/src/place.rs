//! Putting a data set's files where they belong, and saying in dataset.toml what they are.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use torchmill::dataset::{Kind, Manifest};
use torchmill::progress::{Progress, Unit};
use torchmill::{Context, Error, Result, interrupt};

use crate::catalogue::Entry;
use crate::checksum;
use crate::layout::{Layout, images};

/// Copies what `layout` found in `from` to the same places below `to`; images only from image folders. With
/// `link` a file is linked (the same bytes on the disk under two names) where the file system can.
pub fn copy(from: &Path, to: &Path, layout: &Layout, link: bool) -> Result<()> {
    let mut bar = Progress::new("copying", None, Unit::Count("files"));
    let mut put = |relative: &Path| -> Result<()> {
        interrupt::check()?;
        let (source, target) = (from.join(relative), to.join(relative));
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).doing("make the folder", folder)?;
        }
        bar.add(1);
        if link {
            // Of a link in the folder it is the file behind it that is wanted.
            let real = source.canonicalize().doing("read", &source)?;
            if fs::hard_link(real, &target).is_ok() {
                return Ok(());
            }
        }
        let failed =
            |e| Error::io(format_args!("cannot copy {} to {}", source.display(), target.display()), &e);
        fs::copy(&source, &target).map(drop).map_err(failed)
    };
    for file in layout.splits.values().flatten() {
        if layout.kind == Kind::ImageFolder {
            for class in &layout.classes {
                let folder = if file == "." { from.join(class) } else { from.join(file).join(class) };
                if !folder.is_dir() {
                    continue;
                }
                for image in images::files(&folder) {
                    let image = image?;
                    put(image.path().strip_prefix(from).unwrap_or(image.path()))?;
                }
            }
        } else {
            put(Path::new(file))?;
        }
    }
    layout.extras.iter().try_for_each(|file| put(Path::new(file)))?;
    bar.finish();
    Ok(())
}

/// Writes `folder/dataset.toml`.
pub fn describe(
    folder: &Path,
    name: &str,
    entry: Option<&Entry>,
    layout: &Layout,
    source: String,
    verified: bool,
) -> Result<()> {
    let mut checksums = BTreeMap::new();
    if layout.kind != Kind::ImageFolder {
        for file in layout.splits.values().flatten() {
            checksums.insert(file.clone(), checksum::of_file(&folder.join(file), None)?.to_string());
        }
    }
    let manifest = Manifest {
        name: name.to_owned(),
        kind: layout.kind,
        classes: layout.classes.clone(),
        source,
        verified,
        licence: entry.map(|e| e.licence.to_owned()).unwrap_or_default(),
        splits: layout.splits.clone(),
        checksums,
    };
    manifest.write(folder)
}

/// What `folder` holds, if a fetch has filled it; an error where something is there that no fetch made, or
/// that is no longer whole.
pub fn present(folder: &Path) -> Result<Option<Manifest>> {
    let empty = match fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        entries => entries.doing("read the folder", folder)?.next().is_none(),
    };
    if empty {
        return Ok(None);
    }
    let Some(manifest) = Manifest::read(folder)? else {
        return Err(Error::failed(format_args!(
            "{} is there, but not from fetch-data (it has no dataset.toml): move it away, or replace it with \
             --force",
            folder.display()
        )));
    };
    if let Some(missing) = manifest.splits.values().flatten().find(|file| !folder.join(file).exists()) {
        return Err(Error::failed(format_args!(
            "{} is no longer whole: {missing} is missing; fetch it again with --force",
            folder.display()
        )));
    }
    Ok(Some(manifest))
}
