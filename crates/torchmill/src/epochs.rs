//! What a run keeps for each of its epochs: files called `epoch-0001.safetensors` and the
//! like.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::{Context, Result};

/// The files `epoch-0001.ENDING` in a folder, by their epochs; none where there is no
/// such folder.
pub fn epochs(folder: &Path, ending: &str) -> Result<BTreeMap<i64, PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        entries => entries.doing("read", folder)?,
    };
    let mut found = BTreeMap::new();
    for entry in entries {
        let path = entry.doing("read", folder)?.path();
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .and_then(|s| s.strip_prefix("epoch-"));
        if let Some(epoch) = stem.and_then(|epoch| epoch.parse().ok())
            && path.extension().is_some_and(|e| e == ending)
        {
            found.insert(epoch, path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_found_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let names = [
            "epoch-0010.png",
            "epoch-9.png",
            "epoch-0001.txt",
            "last.png",
            "epoch-x.png",
            "step-3.png",
        ];
        for name in names {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let found = epochs(folder.path(), "png").unwrap();
        let expected = [(9, "epoch-9.png"), (10, "epoch-0010.png")];
        assert_eq!(
            found,
            expected.map(|(epoch, name)| (epoch, folder.path().join(name))).into()
        );
        assert_eq!(
            epochs(&folder.path().join("missing"), "png").unwrap(),
            BTreeMap::new()
        );
    }
}
