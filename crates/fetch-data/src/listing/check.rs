//! Whether the files of a list fit into one folder.

use std::collections::HashMap;

use torchmill::dataset::{UNSPLIT, manifest};

use super::{ListedFile, ListingError};

/// Refuses paths that lead out of the data set's folder, or to hidden files.
pub fn paths(files: &[ListedFile]) -> Result<(), ListingError> {
    for file in files {
        if let Some(why) = fault(&file.path) {
            return Err(ListingError::Path {
                place: file.place.clone(),
                path: file.path.clone(),
                why: why.to_owned(),
            });
        }
    }
    Ok(())
}

/// What is wrong with a path.
fn fault(path: &str) -> Option<&'static str> {
    if path.is_empty() || path.ends_with('/') {
        return Some("is not the name of a file");
    }
    // Also refuses other spellings of one path: `a//b`, `a/./b`.
    if path.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
        return Some("leads out of the data set's folder, or to a hidden file");
    }
    if path.chars().any(char::is_control) || path.len() > 1000 {
        return Some("has control characters, or more than 1,000 characters");
    }
    // Some file systems do not tell letters of different case apart.
    let path = path.to_lowercase();
    if path.split('/').next() == Some(manifest::FILE) {
        return Some(
            "has the name of the file in which fetch-data describes the data set",
        );
    }
    if path.ends_with(".part") || path.ends_with(".part.toml") {
        return Some("has the name that fetch-data gives to an unfinished download");
    }
    None
}

/// Refuses two files with one name, and a file with the name of another's folder. Some file
/// systems do not tell letters of different case apart.
pub fn names(files: &[ListedFile]) -> Result<(), ListingError> {
    let mut places: HashMap<String, &str> = HashMap::new();
    for file in files {
        if let Some(first) = places.insert(file.path.to_lowercase(), &file.place) {
            return Err(ListingError::Twice {
                place: file.place.clone(),
                path: file.path.clone(),
                first: first.to_owned(),
            });
        }
    }
    for file in files {
        let lower = file.path.to_lowercase();
        for (end, _) in lower.match_indices('/') {
            if let Some(other) = places.get(&lower[..end]) {
                return Err(ListingError::Path {
                    place: file.place.clone(),
                    path: file.path.clone(),
                    why: format!("has a folder with the name of the file of {other}"),
                });
            }
        }
    }
    Ok(())
}

/// Either all files have a split or none has.
pub fn splits(files: &[ListedFile]) -> Result<(), ListingError> {
    let unsplit = files.iter().find(|file| file.split == UNSPLIT);
    let split = files.iter().find(|file| file.split != UNSPLIT);
    match (unsplit, split) {
        (Some(unsplit), Some(split)) => Err(ListingError::Split {
            place: unsplit.place.clone(),
            path: unsplit.path.clone(),
            other: split.path.clone(),
            split: split.split.clone(),
        }),
        _ => Ok(()),
    }
}
