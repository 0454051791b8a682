//! Unpacking an archive: nothing is written but plain files and folders below the target.
#![no_main]

use std::fs;
use std::path::Path;

use fetch_data::unpack;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(folder) = tempfile::tempdir() else { return };
    let (archive, target) = (folder.path().join("archive"), folder.path().join("target"));
    if fs::write(&archive, bytes).is_err() || fs::create_dir(&target).is_err() {
        return;
    }
    let _ = unpack::unpack(&archive, &target, 1 << 20);
    let outside = fs::read_dir(folder.path()).map_or(0, Iterator::count);
    assert_eq!(outside, 2, "something lies beside the target");
    plain(&target);
});

fn plain(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        assert!(
            kind.is_file() || kind.is_dir(),
            "{} is neither a file nor a folder",
            entry.path().display()
        );
        if kind.is_dir() {
            plain(&entry.path());
        }
    }
}
