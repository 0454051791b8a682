//! What the terminal can show: colours, Unicode, lines that are overwritten.

use std::env;
use std::io::IsTerminal;

/// Whether colours may be written to this stream: it is a terminal that supports them,
/// and NO_COLOR (<https://no-color.org>) is not set.
pub fn colours(stream: &impl IsTerminal) -> bool {
    moves(stream) && set("NO_COLOR").is_none()
}

/// Whether lines on this stream can be overwritten: it is a terminal other than `dumb`.
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

/// The number of columns of the terminal on this stream; `None` if it is not a terminal.
#[cfg(unix)]
pub fn columns(stream: impl std::os::fd::AsFd) -> Option<u16> {
    terminal_size::terminal_size_of(stream).map(|(width, _)| width.0)
}

/// The number of columns of the terminal on this stream; `None` if it is not a terminal.
#[cfg(windows)]
pub fn columns(stream: impl std::os::windows::io::AsHandle) -> Option<u16> {
    terminal_size::terminal_size_of(stream).map(|(width, _)| width.0)
}

/// A variable's value if it is set and not empty.
fn set(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
