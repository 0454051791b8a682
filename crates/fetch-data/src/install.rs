//! Installs a data set in its folder: its files, and the dataset.toml that describes
//! them.

use std::fs;
use std::path::Path;

use torchmill::dataset::{Manifest, RawFormat};
use torchmill::progress::{Progress, Unit};
use torchmill::{Context, Error, Result, interrupt};

use crate::checksum;
use crate::layout::Layout;

/// Copies the files of `layout` from `from` to the same paths below `to`. With `link`,
/// files are hard-linked where the file system can.
pub fn copy(from: &Path, to: &Path, layout: &Layout, link: bool) -> Result<()> {
    let files = layout.files();
    let mut bar =
        Progress::new("copying", Some(files.len() as u64), Unit::Count("files"));
    for file in files {
        interrupt::check()?;
        let source = from.join(&file);
        let target = to.join(&file);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).doing("make the folder", folder)?;
        }
        if !(link && is_linked(&source, &target)) {
            copy_file(&source, &target)?;
        }
        bar.add(1);
    }
    bar.finish();
    Ok(())
}

/// Tries to make a hard link. For a symbolic link, its target is linked.
fn is_linked(source: &Path, target: &Path) -> bool {
    source.canonicalize().is_ok_and(|real| fs::hard_link(real, target).is_ok())
}

/// Copies a file; the error names both.
pub fn copy_file(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(drop).map_err(|e| {
        Error::io(format_args!("cannot copy {} to {}", from.display(), to.display()), e)
    })
}

/// Moves everything in `folder`, which is inside `target`, up into `target`, and removes
/// `folder`. Does nothing if the two are the same.
pub fn flatten_into_parent(folder: &Path, target: &Path) -> Result<()> {
    if folder == target {
        return Ok(());
    }
    for entry in fs::read_dir(folder).doing("read the folder", folder)? {
        let entry = entry.doing("read the folder", folder)?;
        fs::rename(entry.path(), target.join(entry.file_name()))
            .doing("move", entry.path())?;
    }
    fs::remove_dir(folder).doing("remove", folder)
}

/// Writes `folder/dataset.toml`: the data set `name`, as `layout` found it, from
/// `source`.
pub fn describe(
    folder: &Path,
    name: &str,
    layout: &Layout,
    source: String,
    verified: bool,
) -> Result<()> {
    let manifest =
        Manifest { name: name.to_owned(), source, verified, ..layout.manifest.clone() };
    write_manifest(folder, manifest)
}

/// Writes `folder/dataset.toml` with the checksums of the files, computing those that are
/// not in it yet.
pub fn write_manifest(folder: &Path, mut manifest: Manifest) -> Result<()> {
    if manifest.format != RawFormat::ImageFolder {
        for file in manifest.splits.values().flatten() {
            if !manifest.checksums.contains_key(file) {
                let checksum = checksum::of_file(&folder.join(file), None)?;
                manifest.checksums.insert(file.clone(), checksum.to_string());
            }
        }
    }
    manifest.write(folder)
}

/// The manifest of `folder`, if a fetch has filled it. Fails if the folder was not made
/// by fetch-data, or is no longer complete.
pub fn installed(folder: &Path) -> Result<Option<Manifest>> {
    let is_empty = match fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        entries => entries.doing("read the folder", folder)?.next().is_none(),
    };
    if is_empty {
        return Ok(None);
    }
    let Some(manifest) = Manifest::read(folder)? else {
        return Err(Error::failed(format_args!(
            "{} is there, but not from fetch-data (it has no dataset.toml): move it \
             away, or replace it with --force",
            folder.display()
        )));
    };
    let mut files = manifest.splits.values().flatten();
    if let Some(missing) = files.find(|file| !folder.join(file).exists()) {
        return Err(Error::failed(format_args!(
            "{} is no longer complete: {missing} is missing; fetch it again with --force",
            folder.display()
        )));
    }
    Ok(Some(manifest))
}
