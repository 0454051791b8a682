//! Converts UTF-16 text, as Excel's "Unicode text" and PowerShell's `>` write it, to
//! UTF-8.

use std::borrow::Cow;

/// Converts a file to UTF-8, piece by piece. A file that does not begin with the byte
/// order mark of UTF-16 is left unchanged.
pub struct Decoder {
    state: State,
}

enum State {
    /// The file's first bytes, until there are enough to decide.
    Start(Vec<u8>),
    Other,
    Utf16 {
        /// A code unit from its two bytes.
        unit: fn([u8; 2]) -> u16,
        /// An incomplete code unit or surrogate pair at the end of the last piece.
        rest: Vec<u8>,
    },
}

impl Decoder {
    /// Ready for the first byte.
    pub fn new() -> Self {
        Self { state: State::Start(Vec::new()) }
    }

    /// The next bytes of the file as UTF-8.
    pub fn decode<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        match &mut self.state {
            State::Other => Cow::Borrowed(bytes),
            State::Utf16 { unit, rest } => {
                rest.extend_from_slice(bytes);
                Cow::Owned(convert(*unit, rest))
            }
            State::Start(start) => {
                start.extend_from_slice(bytes);
                if start.len() < 2 {
                    return Cow::Owned(Vec::new());
                }
                let start = std::mem::take(start);
                let unit: fn([u8; 2]) -> u16 = match start.as_slice() {
                    [0xff, 0xfe, ..] => u16::from_le_bytes,
                    [0xfe, 0xff, ..] => u16::from_be_bytes,
                    _ => {
                        self.state = State::Other;
                        return Cow::Owned(start);
                    }
                };
                let mut rest = start[2..].to_vec();
                let text = convert(unit, &mut rest);
                self.state = State::Utf16 { unit, rest };
                Cow::Owned(text)
            }
        }
    }

    /// The rest of the text, at the end of the file.
    pub fn finish(&mut self) -> Vec<u8> {
        match std::mem::replace(&mut self.state, State::Other) {
            State::Start(start) => start,
            State::Other => Vec::new(),
            State::Utf16 { rest, .. } if rest.is_empty() => Vec::new(),
            // The file was truncated.
            State::Utf16 { .. } => char::REPLACEMENT_CHARACTER.to_string().into_bytes(),
        }
    }
}

/// Removes the complete characters from the start of `bytes` and returns them as UTF-8.
fn convert(unit: fn([u8; 2]) -> u16, bytes: &mut Vec<u8>) -> Vec<u8> {
    let (pairs, _) = bytes.as_chunks::<2>();
    let mut units: Vec<u16> = pairs.iter().map(|&pair| unit(pair)).collect();
    // The other half of the pair is still to come.
    if units.last().is_some_and(|last| (0xd800..0xdc00).contains(last)) {
        units.pop();
    }
    bytes.drain(..2 * units.len());
    String::from_utf16_lossy(&units).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8], size: usize) -> Vec<u8> {
        let mut decoder = Decoder::new();
        let mut text = Vec::new();
        for piece in bytes.chunks(size) {
            text.extend_from_slice(&decoder.decode(piece));
        }
        text.extend(decoder.finish());
        text
    }

    #[test]
    fn both_byte_orders_are_read_in_pieces_of_any_size() {
        let text = "step,\u{e9}\n1,\u{1f600}\n";
        let units: Vec<u16> = text.encode_utf16().collect();
        let mut little = vec![0xff, 0xfe];
        let mut big = vec![0xfe, 0xff];
        little.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        big.extend(units.iter().flat_map(|unit| unit.to_be_bytes()));
        for size in 1..=little.len() {
            assert_eq!(decode(&little, size), text.as_bytes());
            assert_eq!(decode(&big, size), text.as_bytes());
            assert_eq!(decode(text.as_bytes(), size), text.as_bytes());
        }
        assert_eq!(decode(b"a", 1), b"a");
        assert_eq!(decode(&little[..little.len() - 1], 3).last(), Some(&0xbd));
    }
}
