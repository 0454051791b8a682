//! Class names: how they are compared, and the order of the labels.

use std::collections::HashSet;
use std::path::Path;

use unicode_normalization::UnicodeNormalization;

use crate::text::shown;
use crate::{Context, Error, Result, text_file};

/// A class name in Unicode's composed form (NFC), the form in which names are compared:
/// macOS stores `é` as two characters, other systems as one.
pub fn composed(name: &str) -> String {
    name.nfc().collect()
}

/// Reads a file with one class name per line, in label order. Blank lines are ignored.
///
/// # Errors
/// If the file holds no names, or the same name twice. Messages call it `location`.
pub fn read_class_names(path: &Path, location: &Path) -> Result<Vec<String>> {
    let text = text_file::read(path).doing("read the class names in", location)?;
    let names = class_names(&text);
    check(&names).map_err(|e| e.within(location.display()))?;
    Ok(names)
}

fn class_names(text: &str) -> Vec<String> {
    // Windows editors start text files with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(composed).collect()
}

fn check(names: &[String]) -> Result<()> {
    if names.is_empty() {
        return Err(Error::failed("has no class names: give one on each line"));
    }
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Error::failed(format_args!("names the class `{name}` twice")));
        }
    }
    Ok(())
}

/// Rejects class names that would break a line of a table or of a message.
pub(super) fn check_characters(names: &[String]) -> Result<()> {
    match names.iter().find(|name| name.contains(char::is_control)) {
        Some(name) => Err(Error::failed(format_args!(
            "the class `{}` must be renamed: it contains a line break, a tab or another \
             control character",
            shown(&name.escape_debug().to_string())
        ))),
        None => Ok(()),
    }
}

/// A note for classes that are whole numbers but are not in numerical order.
///
/// Class names are sorted as text everywhere, as torchvision's ImageFolder sorts folders:
/// 1, 10, 2.
pub(super) fn order_note(classes: &[String]) -> Option<String> {
    let numbers: Option<Vec<i64>> = classes.iter().map(|c| c.parse().ok()).collect();
    if numbers?.is_sorted() {
        return None;
    }
    let first: Vec<&str> = classes.iter().take(4).map(String::as_str).collect();
    Some(format!(
        "the classes are numbers and sorted as text, as torchvision's ImageFolder does: \
         {}, ...; --classes takes them in another order",
        first.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_letter_are_one_name() {
        assert_eq!(composed("cafe\u{301}"), "caf\u{e9}");
        assert_eq!(composed("cat"), "cat");
    }

    #[test]
    fn a_file_has_a_name_on_each_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names.txt");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_class_names(&path, Path::new("names.txt"))
        };
        let names = read("\u{feff}cat \r\n\nhot dog\ncafe\u{301}").unwrap();
        assert_eq!(names, ["cat", "hot dog", "caf\u{e9}"]);
        let twice = read("cat\ndog\ncat\n").unwrap_err().to_string();
        assert_eq!(twice, "names.txt: names the class `cat` twice");
        let none = read(" \n").unwrap_err().to_string();
        assert!(none.starts_with("names.txt: has no class names"), "{none}");
    }

    #[test]
    fn the_order_of_numbers_is_said_where_it_is_that_of_text() {
        let note = |names: &[&str]| {
            order_note(&names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>())
        };
        assert!(note(&["1", "10", "2"]).unwrap().contains("1, 10, 2"));
        assert!(note(&["-1", "-10", "0"]).is_some());
        assert_eq!(note(&["0", "1", "2"]), None);
        assert_eq!(note(&["1", "10", "cat"]), None);
        assert_eq!(note(&[]), None);
    }
}
