//! metrics.csv, whole and while it grows.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use torchmill::metrics;

fuzz_target!(|bytes: &[u8]| {
    let Ok(folder) = tempfile::tempdir() else { return };
    let path = folder.path().join("metrics.csv");
    if fs::write(&path, bytes).is_err() {
        return;
    }
    if let Ok(points) = metrics::read(&path) {
        // What is whole is also what a growing file holds, but for a last line that may
        // still be written.
        let growing = metrics::read_growing(&path).unwrap();
        assert!(growing.len() == points.len() || growing.len() + 1 == points.len());
    }
});
