//! The text of a table that any program may have written: UTF-8 or UTF-16 with a byte
//! order mark (as spreadsheets export), any line ends, with Excel's `sep=` line or not.

use crate::{Error, Result};

/// A table's text, and what was taken off its beginning.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Text {
    /// The rows. Every line ends with `\n`.
    pub rows: String,
    /// The delimiter that Excel's first line `sep=;` names.
    pub delimiter: Option<u8>,
    /// How many lines of the file come before the rows.
    pub lines_before: u64,
}

/// Decodes the bytes of a table.
pub(super) fn decode(bytes: &[u8]) -> Result<Text> {
    let text = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest)?,
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
        _ => utf8(bytes)?,
    };
    let rows = text.replace("\r\n", "\n").replace('\r', "\n");
    let first = rows.split('\n').next().unwrap_or("");
    let named = first.strip_prefix("sep=").map(str::as_bytes);
    let Some([delimiter]) = named else {
        return Ok(Text { rows, delimiter: None, lines_before: 0 });
    };
    let delimiter = Some(*delimiter);
    let rows = rows[(first.len() + 1).min(rows.len())..].to_owned();
    Ok(Text { rows, delimiter, lines_before: 1 })
}

fn utf8(bytes: &[u8]) -> Result<String> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
            Err(Error::failed(format_args!(
                "line {line} is not UTF-8 text: save the table as UTF-8"
            )))
        }
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String> {
    let units: Vec<u16> =
        bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
    let text = String::from_utf16(&units);
    match text {
        Ok(text) if bytes.len().is_multiple_of(2) => Ok(text),
        _ => Err(Error::failed("is not UTF-16 text, though it begins like it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(bytes: &[u8]) -> String {
        decode(bytes).unwrap().rows
    }

    #[test]
    fn texts_of_every_kind_are_the_same_rows() {
        let plain = "path,label\na.png,é\n";
        assert_eq!(rows(plain.as_bytes()), plain);
        assert_eq!(rows(plain.replace('\n', "\r\n").as_bytes()), plain);
        assert_eq!(rows(format!("\u{feff}{plain}").as_bytes()), plain);
        let units: Vec<u16> = format!("\u{feff}{plain}").encode_utf16().collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        assert_eq!((rows(&little), rows(&big)), (plain.to_owned(), plain.to_owned()));
        assert!(decode(&little[..little.len() - 1]).is_err());
        let wrong = decode(b"a\nb\xff\n").unwrap_err().to_string();
        assert!(wrong.contains("line 2 is not UTF-8"), "{wrong}");
    }

    #[test]
    fn excels_first_line_names_the_delimiter() {
        let text = decode(b"sep=;\r\npath;label\r\n").unwrap();
        assert_eq!(
            text,
            Text {
                rows: "path;label\n".to_owned(),
                delimiter: Some(b';'),
                lines_before: 1
            }
        );
        assert_eq!(decode(b"sep=;").unwrap().rows, "");
    }
}
