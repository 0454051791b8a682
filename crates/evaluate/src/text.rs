//! Text in columns: what fits, and what is cut.

use torchmill::text::cut;
use unicode_width::UnicodeWidthStr;

/// The columns that standard output has: a terminal's, else what COLUMNS says, else no
/// limit.
pub fn width() -> usize {
    let terminal = terminal_size::terminal_size_of(std::io::stdout())
        .map(|(width, _)| usize::from(width.0));
    let said = || std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
    terminal.or_else(said).unwrap_or(usize::MAX)
}

/// `text` padded to a number of columns, aligned right.
pub fn right(text: &str, columns: usize) -> String {
    let text = cut(text, columns);
    " ".repeat(columns.saturating_sub(text.width())) + &text
}

/// `text` padded to a number of columns, aligned left.
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
