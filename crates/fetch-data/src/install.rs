//! Putting a data set's files where they belong, and saying in dataset.toml what they
//! are.

use std::fs;
use std::path::Path;

use torchmill::dataset::{Manifest, RawFormat};
use torchmill::progress::{Progress, Unit};
use torchmill::{Context, Error, Result, interrupt};

use crate::checksum;
use crate::layout::Layout;

/// Copies what `layout` found in `from` to the same places below `to`. With `link` a file
/// is linked (the same bytes on the disk under two names) where the file system can.
pub fn copy(from: &Path, to: &Path, layout: &Layout, link: bool) -> Result<()> {
    let files = layout.files();
    let mut bar =
        Progress::new("copying", Some(files.len() as u64), Unit::Count("files"));
    for file in files {
        interrupt::check()?;
        let (source, target) = (from.join(&file), to.join(&file));
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).doing("make the folder", folder)?;
        }
        // Of a link in the folder it is the file behind it that is wanted.
        let linked = link
            && source
                .canonicalize()
                .is_ok_and(|real| fs::hard_link(real, &target).is_ok());
        if !linked {
            let failed = |e| {
                Error::io(
                    format_args!(
                        "cannot copy {} to {}",
                        source.display(),
                        target.display()
                    ),
                    &e,
                )
            };
            fs::copy(&source, &target).map_err(failed)?;
        }
        bar.add(1);
    }
    bar.finish();
    Ok(())
}

/// Moves everything in `folder`, which lies in `target`, one step up, and removes
/// `folder`.
pub fn flatten_into_parent(folder: &Path, target: &Path) -> Result<()> {
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
    let mut manifest =
        Manifest { name: name.to_owned(), source, verified, ..layout.manifest.clone() };
    if manifest.kind != RawFormat::ImageFolder {
        for file in manifest.splits.values().flatten() {
            let checksum = checksum::of_file(&folder.join(file), None)?;
            manifest.checksums.insert(file.clone(), checksum.to_string());
        }
    }
    manifest.write(folder)
}

/// What `folder` holds, if a fetch has filled it; an error where something is there that
/// no fetch made, or that is no longer whole.
pub fn installed(folder: &Path) -> Result<Option<Manifest>> {
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
    if let Some(missing) =
        manifest.splits.values().flatten().find(|file| !folder.join(file).exists())
    {
        return Err(Error::failed(format_args!(
            "{} is no longer whole: {missing} is missing; fetch it again with --force",
            folder.display()
        )));
    }
    Ok(Some(manifest))
}
