//! A list of files, as `fetch-data --from FILE.toml` reads it: no file leaves its folder.
#![no_main]

use std::collections::HashSet;
use std::path::{Component, Path};

use fetch_data::listing::toml_file;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(list) = toml_file::parse(text, Path::new("list.toml"), "list.toml") else {
        return;
    };
    let mut paths = HashSet::new();
    for file in &list.files {
        let path = Path::new(&file.path);
        assert!(path.components().all(|part| matches!(part, Component::Normal(_))));
        assert!(paths.insert(path), "{} is there twice", file.path);
        assert!(file.checksum.is_some());
    }
    assert!(!paths.is_empty());
});
