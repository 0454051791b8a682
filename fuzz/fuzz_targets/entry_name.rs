//! The name of an archive's entry: what passes leads to a place below the target.
#![no_main]

use std::path::{Component, Path};

use fetch_data::unpack::entry::safe_path;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|name: &[u8]| {
    if let Ok(Some(path)) = safe_path(name) {
        assert!(path.components().all(|part| matches!(part, Component::Normal(_))));
        assert!(
            !path.as_os_str().is_empty()
                && Path::new("target").join(&path).starts_with("target")
        );
    }
});
