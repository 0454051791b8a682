//! `--list`: the catalogue and the published weights as tables on standard output.

use torchmill::progress::{bytes, count};

use crate::catalogue::{ENTRIES, Entry};
use crate::config::Options;
use crate::{install, weights};

/// The columns; numbers are aligned to the right.
const COLUMNS: [(&str, bool); 8] = [
    ("NAME", false),
    ("DOWNLOAD", true),
    ("CLASSES", true),
    ("TRAIN", true),
    ("TEST", true),
    ("IMAGES", false),
    ("HERE", false),
    ("LICENCE", false),
];

/// One line for each data set, then one for each file of weights. A data set's line has
/// its name, download size, classes, images, image size, whether it is on disk, and its
/// licence.
pub fn table(options: &Options) -> String {
    let mut rows = vec![COLUMNS.map(|(name, _)| name.to_owned())];
    rows.extend(ENTRIES.iter().map(|entry| row(entry, options)));
    let is_right = COLUMNS.map(|(_, is_right)| is_right);
    let weights = aligned(&weights::rows(options), [false, true, false, false, false]);
    format!("{}\n{weights}", aligned(&rows, is_right))
}

/// The rows as lines, with the columns aligned.
fn aligned<const N: usize>(rows: &[[String; N]], is_right: [bool; N]) -> String {
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (i, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[i].len()).max().unwrap_or(0);
            match is_right[i] {
                true => line.push_str(&format!("{cell:>width$}  ")),
                false => line.push_str(&format!("{cell:<width$}  ")),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn row(entry: &Entry, options: &Options) -> [String; 8] {
    let here = match install::installed(&options.folder(entry.name)) {
        Ok(Some(_)) => "yes",
        Ok(None) => "no",
        Err(_) => "damaged",
    };
    [
        entry.name.to_owned(),
        if entry.is_embedded() { "embedded".to_owned() } else { bytes(entry.size()) },
        count(entry.classes.len() as u64),
        images(entry, "train"),
        images(entry, "test"),
        entry.image.to_owned(),
        here.to_owned(),
        // The citation is only in dataset.toml.
        entry.licence.split(';').next().unwrap_or(entry.licence).to_owned(),
    ]
}

fn images(entry: &Entry, split: &str) -> String {
    let found = entry.splits.iter().find(|s| s.name == split);
    found.map_or_else(|| "-".to_owned(), |s| count(s.images))
}
