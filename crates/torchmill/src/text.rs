//! Makes text from outside safe to show: it is shortened, and characters that control a
//! terminal are escaped.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The most characters of a name, a cell, a key or a pipeline that a message shows.
pub const LONGEST: usize = 300;
/// The most characters of a whole message.
pub const LONGEST_MESSAGE: usize = 2_000;
/// Replaces the part that was left out.
const LEFT_OUT: &str = "...";

/// A name, cell, key or the like as messages show it: at most [`LONGEST`] characters,
/// with control characters escaped.
pub fn shown(text: &str) -> String {
    // The text is shortened first, so that a very long one costs little.
    let short = shorten_to(text, LONGEST);
    shorten_to(&escape(&short), LONGEST).into_owned()
}

/// A message, or a line of one, as it is shown: at most [`LONGEST_MESSAGE`] characters,
/// with control characters escaped. A word, such as a name or a key, has at most
/// [`LONGEST`], so that the words around it stay.
pub fn message(text: &str) -> String {
    // The text is shortened first, so that a very long one costs little; escapes make
    // words longer.
    let escaped = escape(&shorten_words(text));
    shorten_to(&shorten_words(&escaped), LONGEST_MESSAGE).into_owned()
}

/// Text whose words have at most [`LONGEST`] characters; the middle of longer ones is
/// replaced by `...`.
fn shorten_words(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST {
        return Cow::Borrowed(text);
    }
    let mut short = String::new();
    for piece in text.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end();
        short += &shorten_to(word, LONGEST);
        short += &piece[word.len()..];
    }
    Cow::Owned(short)
}

/// At most `longest` characters of `text`; the middle of a longer one is replaced by
/// `...`.
pub fn shorten_to(text: &str, longest: usize) -> Cow<'_, str> {
    if text.len() <= longest || text.chars().count() <= longest {
        return Cow::Borrowed(text);
    }
    let kept = longest.saturating_sub(LEFT_OUT.len());
    let head: String = text.chars().take(kept - kept / 2).collect();
    let tail: Vec<char> = text.chars().rev().take(kept / 2).collect();
    let tail: String = tail.into_iter().rev().collect();
    Cow::Owned(head + LEFT_OUT + &tail)
}

/// At most `columns` columns of `text`; the middle of a wider one is replaced by `~`, as
/// names of classes often begin alike.
pub fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let kept = columns.saturating_sub(1);
    let head = fitting(text.chars(), kept - kept / 2);
    let tail = fitting(text.chars().rev(), kept / 2);
    let tail: String = tail.chars().rev().collect();
    head + "~" + &tail
}

/// The first of these characters that fit in `columns` columns.
fn fitting(characters: impl Iterator<Item = char>, columns: usize) -> String {
    let mut used = 0;
    let mut kept = String::new();
    for character in characters {
        used += character.width().unwrap_or(0);
        if used > columns {
            break;
        }
        kept.push(character);
    }
    kept
}

/// Escapes the characters that control a terminal or are invisible in it: control
/// characters except line breaks and tabs, bidirectional controls, and characters without
/// width.
pub fn escape(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unsafe(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Whether this character is not shown as itself on a terminal.
fn is_unsafe(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        // The bidirectional marks, embeddings, overrides and isolates.
        '\u{61c}' | '\u{200e}' | '\u{200f}' => true,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        // Zero-width space and joiners, invisible operators, the byte order mark.
        '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}' => true,
        _ => character.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_in_their_middle_by_columns() {
        assert_eq!(cut("automobile", 10), "automobile");
        assert_eq!(cut("automobile", 7), "aut~ile");
        assert_eq!(cut("\u{6c7d}\u{8f66}\u{6c7d}\u{8f66}", 5), "\u{6c7d}~\u{8f66}");
        assert_eq!((cut("abc", 1).as_str(), cut("abc", 0).as_str()), ("~", "~"));
    }

    #[test]
    fn long_names_are_shortened_in_their_middle() {
        assert_eq!(shorten_to("abcdefghij", 10), "abcdefghij");
        assert_eq!(shorten_to("abcdefghijk", 10), "abcd...ijk");
        assert_eq!(shorten_to("\u{e9}\u{e9}\u{e9}", 3), "\u{e9}\u{e9}\u{e9}");
        let controls = shown(&"\u{1b}".repeat(100_000));
        assert_eq!(controls.chars().count(), LONGEST);
        assert!(controls.starts_with("\\u{1b}\\u{1b}"), "{controls}");
    }

    #[test]
    fn a_message_keeps_the_words_around_a_long_one() {
        let long = "x".repeat(200_000);
        let shown = message(&format!("unknown field `{long}`, expected `lr`"));
        assert!(shown.starts_with("unknown field `xxx"), "{shown}");
        assert!(shown.ends_with("xxx`, expected `lr`"), "{shown}");
        assert_eq!(shown.matches("...").count(), 1);
        assert!(shown.chars().count() < LONGEST + 40);
        let controls = message(&format!("a {} b", "\u{1b}".repeat(200_000)));
        assert!(controls.chars().count() < LONGEST + 10, "{controls}");
        assert!(controls.starts_with("a \\u{1b}\\u{1b}") && controls.ends_with(" b"));
        let words = message(&"word ".repeat(40_000));
        assert_eq!(words.chars().count(), LONGEST_MESSAGE);
        assert_eq!(message("caf\u{e9}: 3 < 4"), "caf\u{e9}: 3 < 4");
    }

    #[test]
    fn what_would_steer_the_terminal_is_escaped() {
        assert_eq!(
            escape("a\u{1b}[2Jb\u{9b}31m\rc\n\td \u{e9}"),
            "a\\u{1b}[2Jb\\u{9b}31m\\rc\n\td \u{e9}"
        );
        assert_eq!(escape("\u{202e}gnp.a\u{200b}"), "\\u{202e}gnp.a\\u{200b}");
        assert_eq!(escape("\u{2066}x\u{2069}\u{feff}"), "\\u{2066}x\\u{2069}\\u{feff}");
    }
}
