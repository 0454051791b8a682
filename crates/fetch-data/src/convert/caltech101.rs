//! Caltech 101: an archive inside an archive, without splits.

use std::fs;
use std::path::Path;

use torchmill::{Context, Result};

use super::{Transfer, folder_with, transfer};
use crate::catalogue::classes::CALTECH101;
use crate::unpack;

/// The folder of class folders, and with `.tar.gz` the archive that holds it.
const FOLDER: &str = "101_ObjectCategories";

/// Extracts Caltech 101's class folders. The folder of background images is left out, as
/// in torchvision: it is not a class.
///
/// The published file is a zip with a tar.gz of the images, and outlines that are not
/// needed here. Source: <https://data.caltech.edu/records/mzrjq-6wc02>.
pub fn caltech101(raw: &Path, how: Transfer, target: &Path) -> Result<bool> {
    let archive = format!("{FOLDER}.tar.gz");
    if let Some(base) = folder_with(raw, FOLDER) {
        return classes(&base.join(FOLDER), how, target);
    }
    if let Some(base) = folder_with(raw, &archive) {
        let (archive, inner) = (base.join(archive), target.join(".inner"));
        // Photographs hardly compress.
        let limit =
            fs::metadata(&archive).doing("read", &archive)?.len() * 4 + (64 << 20);
        fs::create_dir(&inner).doing("make the folder", &inner)?;
        unpack::unpack(&archive, &inner, limit)?;
        let found = classes(&inner.join(FOLDER), Transfer::Move, target)?;
        fs::remove_dir_all(&inner).doing("remove", &inner)?;
        return Ok(found);
    }
    match folder_with(raw, CALTECH101[CALTECH101.len() - 1]) {
        Some(folder) => classes(&folder, how, target),
        None => Ok(false),
    }
}

fn classes(folder: &Path, how: Transfer, target: &Path) -> Result<bool> {
    if !CALTECH101.iter().all(|class| folder.join(class).is_dir()) {
        return Ok(false);
    }
    for class in CALTECH101 {
        transfer(&folder.join(class), &target.join(class), how)?;
    }
    Ok(true)
}
