//! The shortest unique names of paths.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use torchmill::{Context, Result};

/// Names each path by its last part, with as many parts before it as make the name
/// unique. The error is the index of a path that equals another.
pub fn distinct(parts: &[Vec<OsString>]) -> Result<Vec<PathBuf>, usize> {
    let mut lengths = vec![1; parts.len()];
    loop {
        let names: Vec<PathBuf> =
            parts.iter().zip(&lengths).map(|(p, &n)| last(p, n)).collect();
        let clash = |i: usize| {
            names.iter().enumerate().any(|(j, other)| j != i && *other == names[i])
        };
        let clashing: Vec<usize> = (0..names.len()).filter(|&i| clash(i)).collect();
        if clashing.is_empty() {
            return Ok(names);
        }
        if let Some(&i) = clashing.iter().find(|&&i| lengths[i] >= parts[i].len()) {
            return Err(i);
        }
        clashing.iter().for_each(|&i| lengths[i] += 1);
    }
}

/// A path's names from the root on.
pub fn path_parts(path: &Path) -> Result<Vec<OsString>> {
    let absolute = std::path::absolute(path).doing("find", path)?;
    let mut parts: Vec<OsString> = Vec::new();
    for component in absolute.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_owned()),
            Component::ParentDir => drop(parts.pop()),
            _ => {}
        }
    }
    Ok(parts)
}

fn last(parts: &[OsString], n: usize) -> PathBuf {
    parts[parts.len().saturating_sub(n)..].iter().collect()
}
