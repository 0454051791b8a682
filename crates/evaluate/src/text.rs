//! Text in columns: measures, pads and cuts it.

use torchmill::text::cut;
use unicode_width::UnicodeWidthStr;

/// The width of standard output in columns: the terminal's, or else COLUMNS, or else
/// unlimited.
pub fn width() -> usize {
    let terminal = terminal_size::terminal_size_of(std::io::stdout())
        .map(|(width, _)| usize::from(width.0));
    let said = || std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
    terminal.or_else(said).unwrap_or(usize::MAX)
}

/// Pads or cuts `text` to a number of columns, aligned right.
pub fn right(text: &str, columns: usize) -> String {
    let text = cut(text, columns);
    " ".repeat(columns.saturating_sub(text.width())) + &text
}

/// Pads or cuts `text` to a number of columns, aligned left.
pub fn left(text: &str, columns: usize) -> String {
    let text = cut(text, columns);
    let blanks = " ".repeat(columns.saturating_sub(text.width()));
    text + &blanks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_filled_and_not_left() {
        assert_eq!(
            (left("ab", 3), right("abcdef", 3)),
            ("ab ".to_owned(), "a~f".to_owned())
        );
    }
}
