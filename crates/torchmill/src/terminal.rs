//! What the terminal can show: colours, Unicode, lines that move.

use std::env;
use std::io::IsTerminal;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Whether colours may be written to this stream: it is a terminal that knows them, and
/// NO_COLOR (<https://no-color.org>) is not set.
pub fn colours(stream: &impl IsTerminal) -> bool {
    moves(stream) && set("NO_COLOR").is_none()
}

/// Whether lines on this stream can be written over: it is a terminal, and not one that
/// calls itself dumb.
pub fn moves(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && set("TERM").is_none_or(|term| term != "dumb")
}

/// Whether the locale can show more than ASCII.
pub fn unicode() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(set)
        .unwrap_or_default()
        .to_uppercase();
    locale.contains("UTF-8") || locale.contains("UTF8")
}

/// How many columns the terminal on this stream has; `None` where it is no terminal.
#[cfg(unix)]
pub fn columns(stream: impl std::os::fd::AsFd) -> Option<u16> {
    terminal_size::terminal_size_of(stream).map(|(width, _)| width.0)
}

/// How many columns the terminal on this stream has; `None` where it is no terminal.
#[cfg(windows)]
pub fn columns(stream: impl std::os::windows::io::AsHandle) -> Option<u16> {
    terminal_size::terminal_size_of(stream).map(|(width, _)| width.0)
}

/// At most so many columns of `text`, its middle replaced by `~` where it is longer:
/// names of classes often begin alike.
pub fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let fitting = |letters: &mut dyn Iterator<Item = char>, columns: usize| {
        let mut used = 0;
        let fits = |letter: &char| {
            used += letter.width().unwrap_or(0);
            used <= columns
        };
        letters.take_while(fits).collect::<String>()
    };
    let kept = columns.saturating_sub(1);
    let end: String = fitting(&mut text.chars().rev(), kept / 2).chars().rev().collect();
    fitting(&mut text.chars(), kept - kept / 2) + "~" + &end
}

/// Text with its control characters, line breaks and tabs left out, written as escapes.
pub fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() && !matches!(letter, '\n' | '\t') {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// A variable that is set to something.
fn set(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
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
    fn what_would_steer_the_terminal_is_shown() {
        assert_eq!(
            harmless("a\u{1b}[2Jb\u{9b}31m\rc\n\td \u{e9}"),
            "a\\u{1b}[2Jb\\u{9b}31m\\rc\n\td \u{e9}"
        );
    }
}
