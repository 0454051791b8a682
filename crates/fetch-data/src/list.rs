//! `--list`: the catalogue as a table on standard output.

use torchmill::progress::{bytes, count};

use crate::catalogue::ENTRIES;
use crate::fetch::Options;
use crate::install;

/// One line for each data set: name, size of the download, classes, images, image size,
/// whether it is here, licence.
pub fn table(options: &Options) -> String {
    let head =
        ["NAME", "DOWNLOAD", "CLASSES", "TRAIN", "TEST", "IMAGES", "HERE", "LICENCE"]
            .map(str::to_owned);
    let mut rows = vec![head];
    for entry in ENTRIES {
        let images = |split: &str| {
            let found = entry.splits.iter().find(|s| s.name == split);
            found.map_or_else(|| "-".to_owned(), |s| count(s.images))
        };
        let here = match install::installed(&options.folder(entry.name)) {
            Ok(Some(_)) => "yes",
            Ok(None) => "no",
            Err(_) => "damaged",
        };
        rows.push([
            entry.name.to_owned(),
            if entry.is_embedded() { "embedded".to_owned() } else { bytes(entry.size()) },
            count(entry.classes.len() as u64),
            images("train"),
            images("test"),
            entry.image.to_owned(),
            here.to_owned(),
            // What to cite is in dataset.toml.
            entry.licence.split(';').next().unwrap_or_default().to_owned(),
        ]);
    }
    let widths: [usize; 8] =
        std::array::from_fn(|i| rows.iter().map(|r| r[i].len()).max().unwrap_or(0));
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths).enumerate();
        let line: Vec<String> = cells
            // Numbers to the right.
            .map(|(i, (cell, w))| {
                if (1..5).contains(&i) {
                    format!("{cell:>w$}")
                } else {
                    format!("{cell:<w$}")
                }
            })
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}
