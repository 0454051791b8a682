//! Escapes text that is written to a terminal.

use std::io::{self, Write};

use crate::text;

/// Writes text with terminal control characters escaped. Bytes that are not UTF-8 become
/// U+FFFD.
pub struct Escaped<W: Write> {
    out: W,
    /// The first bytes of a character whose other bytes have not arrived yet.
    pending: Vec<u8>,
}

impl<W: Write> Escaped<W> {
    pub fn new(out: W) -> Self {
        Self { out, pending: Vec::new() }
    }
}

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut text = std::mem::take(&mut self.pending);
        text.extend_from_slice(bytes);
        if let Some(start) = unfinished(&text) {
            self.pending = text.split_off(start);
        }
        self.out.write_all(text::escape(&String::from_utf8_lossy(&text)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The start of an incomplete character at the end of the text.
fn unfinished(text: &[u8]) -> Option<usize> {
    let last = text.utf8_chunks().last()?;
    let invalid = last.invalid();
    let start = text.len() - invalid.len();
    let error = std::str::from_utf8(&text[start..]).err()?;
    error.error_len().is_none().then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_size_are_escaped_alike() {
        let text = "a\u{1b}]8;;x\u{7}\u{e9}\u{202e}\u{1f600}\r\n".as_bytes();
        for size in 1..=text.len() {
            let mut escaped = Escaped::new(Vec::new());
            for piece in text.chunks(size) {
                escaped.write_all(piece).unwrap();
            }
            let shown = String::from_utf8(escaped.out).unwrap();
            assert_eq!(shown, "a\\u{1b}]8;;x\\u{7}\u{e9}\\u{202e}\u{1f600}\\r\n");
        }
    }

    #[test]
    fn other_bytes_are_replaced() {
        let mut escaped = Escaped::new(Vec::new());
        escaped.write_all(b"a\xff\x9bb\n").unwrap();
        assert_eq!(String::from_utf8(escaped.out).unwrap(), "a\u{fffd}\u{fffd}b\n");
    }
}
