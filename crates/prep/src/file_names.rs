//! The names of the files in an output folder.

use std::fs;
use std::path::Path;

use torchmill::{Context, Result};

use crate::args::Part;
use crate::format::Format;

/// The names of file `i` of `total`: more than one if the format keeps labels in a
/// separate file.
pub fn of_file(split: &str, i: usize, total: usize, format: &dyn Format) -> Vec<String> {
    let stem = format!("{split}-{i:05}-of-{total:05}");
    format.endings().iter().map(|ending| format!("{stem}{ending}")).collect()
}

/// The split of one of prep's files by its name: `train` of `train-00000-of-00005.shard`.
pub fn split_of<'a>(name: &'a str, format: &dyn Format) -> Option<&'a str> {
    let stem = format.endings().iter().find_map(|ending| name.strip_suffix(ending))?;
    let (rest, total) = stem.rsplit_once("-of-")?;
    let (split, index) = rest.rsplit_once('-')?;
    let is_ours = is_number(index) && is_number(total) && !split.is_empty();
    is_ours.then_some(split)
}

fn is_number(text: &str) -> bool {
    text.len() >= 5 && text.bytes().all(|b| b.is_ascii_digit())
}

/// The file that describes a split's files, one for each part.
pub fn of_description(split: &str, part: Option<Part>) -> String {
    match part {
        Some(Part { index, parts }) => format!("{split}-part-{index}-of-{parts}.json"),
        None => format!("{split}.json"),
    }
}

/// Whether prep gives this name to a description of the split: `train.json`,
/// `train-part-1-of-2.json`.
pub fn is_description(name: &str, split: &str) -> bool {
    let rest = name.strip_suffix(".json").and_then(|stem| stem.strip_prefix(split));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("-part-"))
}

/// The names in a folder, sorted. Names that are not UTF-8 are left out: prep writes none.
pub fn in_folder(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).doing("read the folder", folder)? {
        let name = entry.doing("read the folder", folder)?.file_name();
        names.extend(name.into_string().ok());
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{self, TarImage};

    #[test]
    fn only_names_that_prep_gives_have_a_split() {
        let shard = format::new("shard", TarImage::Png);
        let npy = format::new("npy", TarImage::Png);
        let split = split_of("train-00000-of-00005.shard", shard.as_ref());
        assert_eq!(split, Some("train"));
        let split = split_of("train-00000-of-00005-labels.npy", npy.as_ref());
        assert_eq!(split, Some("train"));
        for other in [
            "train.shard",
            "train-00000-of-00005.npy",
            "-00000-of-00005.shard",
            "train-a-of-b.shard",
            "",
        ] {
            assert_eq!(split_of(other, shard.as_ref()), None, "{other}");
        }
        assert!(is_description("train.json", "train"));
        assert!(is_description("train-part-1-of-2.json", "train"));
        assert!(!is_description("training.json", "train"));
        assert!(!is_description("test.json", "train"));
    }

    #[test]
    fn every_name_has_its_split() {
        for name in format::names() {
            let format = format::new(name, TarImage::Png);
            for file in of_file("val", 3, 7, format.as_ref()) {
                assert_eq!(split_of(&file, format.as_ref()), Some("val"), "{file}");
            }
        }
    }
}
