//! Class names: how they are compared, and the order of the labels.

use unicode_normalization::UnicodeNormalization;

/// A class name in Unicode's composed form (NFC), in which names are compared: macOS
/// stores `é` as two characters, other systems as one.
pub fn composed(name: &str) -> String {
    name.nfc().collect()
}

/// What to say where the classes are whole numbers and not in their numerical order.
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
