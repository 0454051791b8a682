//! Text in columns: what fits, and what is cut.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The columns that standard output has: a terminal's, else what COLUMNS says, else no limit.
pub fn width() -> usize {
    let terminal = terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
    let said = || std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
    terminal.or_else(said).unwrap_or(usize::MAX)
}

/// `text` in so many columns, at the right.
pub fn right(text: &str, columns: usize) -> String {
    let text = cut(text, columns);
    " ".repeat(columns.saturating_sub(text.width())) + &text
}

/// `text` in so many columns, at the left.
pub fn left(text: &str, columns: usize) -> String {
    let text = cut(text, columns);
    let blanks = " ".repeat(columns.saturating_sub(text.width()));
    text + &blanks
}

/// At most so many columns of `text`, its middle replaced by `~` where it is longer: names of classes often
/// begin alike.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_in_their_middle_by_columns() {
        assert_eq!(cut("automobile", 10), "automobile");
        assert_eq!(cut("automobile", 7), "aut~ile");
        assert_eq!(cut("\u{6c7d}\u{8f66}\u{6c7d}\u{8f66}", 5), "\u{6c7d}~\u{8f66}");
        assert_eq!((cut("abc", 1).as_str(), cut("abc", 0).as_str()), ("~", "~"));
        assert_eq!((left("ab", 3), right("abcdef", 3)), ("ab ".to_owned(), "a~f".to_owned()));
    }
}
