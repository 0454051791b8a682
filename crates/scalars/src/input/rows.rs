//! Splits bytes into rows. The bytes come in pieces of any size, so that a growing file
//! is read with the same code as a complete one.

use std::borrow::Cow;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use torchmill::{Error, Result, git_lfs};

use super::utf16::Decoder;

/// The maximum length of a row, in bytes. A longer one means that the file is not a CSV,
/// or that a quote was never closed.
const LONGEST_ROW: usize = 1 << 20;

/// The delimiters that are recognised; the comma wins a tie.
const DELIMITERS: [u8; 4] = *b",;\t|";

/// One row's cells.
pub struct Row<'a> {
    cells: &'a [u8],
    ends: &'a [usize],
    /// The line of the file that it starts on, from 1.
    pub line: u64,
    /// The byte between the cells.
    pub delimiter: u8,
}

impl<'a> Row<'a> {
    /// The number of cells.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// A cell without surrounding white space; `None` if the row is too short.
    pub fn get(&self, column: usize) -> Option<&'a [u8]> {
        let end = *self.ends.get(column)?;
        let start = if column == 0 { 0 } else { *self.ends.get(column - 1)? };
        Some(self.cells.get(start..end)?.trim_ascii())
    }

    /// A cell as text, for messages.
    pub fn text(&self, column: usize) -> Cow<'a, str> {
        String::from_utf8_lossy(self.get(column).unwrap_or_default())
    }
}

/// Splits bytes into rows. The delimiter is detected in the header, which is the first
/// line that is neither blank nor a comment (`# ...`).
pub struct Rows {
    decoder: Decoder,
    /// The start of the input, until its first line is complete.
    start: Vec<u8>,
    parser: Option<Reader>,
    delimiter: u8,
    cells: Vec<u8>,
    cells_len: usize,
    ends: Vec<usize>,
    ends_len: usize,
    /// The line that the next row starts on.
    line: u64,
    /// Whether part of the next row has been read.
    in_row: bool,
    /// The line breaks in that part.
    breaks: u64,
}

impl Rows {
    /// Ready for the first byte of a file.
    pub fn new() -> Self {
        Self {
            decoder: Decoder::new(),
            start: Vec::new(),
            parser: None,
            delimiter: b',',
            cells: vec![0; 1024],
            cells_len: 0,
            ends: vec![0; 16],
            ends_len: 0,
            line: 1,
            in_row: false,
            breaks: 0,
        }
    }

    /// Adds the next bytes of the file, and calls `each` with each row that they
    /// complete.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        each: &mut impl FnMut(&Row) -> Result<()>,
    ) -> Result<()> {
        let mut decoder = std::mem::replace(&mut self.decoder, Decoder::new());
        let result = self.feed_text(&decoder.decode(bytes), each);
        self.decoder = decoder;
        result
    }

    fn feed_text(
        &mut self,
        text: &[u8],
        each: &mut impl FnMut(&Row) -> Result<()>,
    ) -> Result<()> {
        if self.parser.is_some() {
            return self.parse(text, each);
        }
        self.start.extend_from_slice(text);
        let header = &self.start[preamble(&self.start)..];
        if line_end(header).is_some() {
            return self.begin(each);
        }
        if self.start.len() > LONGEST_ROW {
            return Err(self.too_long());
        }
        Ok(())
    }

    /// Ends the input. The last row may lack its line break.
    pub fn finish(&mut self, each: &mut impl FnMut(&Row) -> Result<()>) -> Result<()> {
        let rest = self.decoder.finish();
        self.feed_text(&rest, each)?;
        if self.parser.is_none() {
            self.begin(each)?;
        }
        if self.in_row {
            // A line break within quotes does not end the row, but csv-core would accept
            // such a row at the end of the file.
            self.parse(b"\n", each)?;
        }
        if self.in_row {
            return Err(Error::failed(format_args!(
                "line {}: a quote is opened and never closed",
                self.line
            )));
        }
        Ok(())
    }

    /// Whether a row has begun but not ended.
    pub fn is_in_row(&self) -> bool {
        self.in_row || !self.start.is_empty()
    }

    /// Starts once the header is complete. The delimiter is detected in it, or given by a
    /// line `sep=;` before it, as Excel writes.
    fn begin(&mut self, each: &mut impl FnMut(&Row) -> Result<()>) -> Result<()> {
        let start = std::mem::take(&mut self.start);
        git_lfs::check(&start)?;
        let (skipped, text) = start.split_at(preamble(&start));
        self.line += skipped.iter().filter(|&&b| b == b'\n').count() as u64;
        let first_line = &text[..line_end(text).unwrap_or(text.len())];
        let (delimiter, text) = match first_line {
            [b's', b'e', b'p', b'=', named] => (*named, &text[first_line.len()..]),
            _ => (sniff(first_line), text),
        };
        self.parser = Some(ReaderBuilder::new().delimiter(delimiter).build());
        self.delimiter = delimiter;
        if text.is_empty() { Ok(()) } else { self.parse(text, each) }
    }

    fn parse(
        &mut self,
        mut bytes: &[u8],
        each: &mut impl FnMut(&Row) -> Result<()>,
    ) -> Result<()> {
        let Some(mut parser) = self.parser.take() else { return Ok(()) };
        let result = loop {
            if !self.in_row {
                bytes = self.skip_line_breaks(bytes);
            }
            if bytes.is_empty() {
                break Ok(());
            }
            let (state, read, written, ended) = parser.read_record(
                bytes,
                &mut self.cells[self.cells_len..],
                &mut self.ends[self.ends_len..],
            );
            let (used, rest) = bytes.split_at(read);
            self.breaks += used.iter().filter(|&&b| b == b'\n').count() as u64;
            bytes = rest;
            self.in_row |= read > 0;
            self.cells_len += written;
            self.ends_len += ended;
            match state {
                ReadRecordResult::InputEmpty => break Ok(()),
                ReadRecordResult::OutputFull if self.cells.len() >= LONGEST_ROW => {
                    break Err(self.too_long());
                }
                ReadRecordResult::OutputFull => {
                    self.cells.resize(self.cells.len() * 2, 0);
                }
                ReadRecordResult::OutputEndsFull => {
                    self.ends.resize(self.ends.len() * 2, 0);
                }
                ReadRecordResult::Record => {
                    let row = Row {
                        cells: &self.cells[..self.cells_len],
                        ends: &self.ends[..self.ends_len],
                        line: self.line,
                        delimiter: self.delimiter,
                    };
                    let result = each(&row);
                    (self.cells_len, self.ends_len, self.in_row) = (0, 0, false);
                    self.line += std::mem::take(&mut self.breaks);
                    if result.is_err() {
                        break result;
                    }
                }
                ReadRecordResult::End => break Ok(()),
            }
        };
        self.parser = Some(parser);
        result
    }

    /// Skips blank lines between rows, which still count as lines.
    fn skip_line_breaks<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let blank = bytes.iter().take_while(|&&b| b == b'\n' || b == b'\r').count();
        let (skipped, rest) = bytes.split_at(blank);
        self.line += skipped.iter().filter(|&&b| b == b'\n').count() as u64;
        rest
    }

    fn too_long(&self) -> Error {
        Error::failed(format_args!(
            "line {}: no end of row within 1 MiB; is this a CSV file, are its quotes \
             closed?",
            self.line
        ))
    }
}

/// The number of bytes before the header: a byte order mark, as Excel writes, blank
/// lines, and comments, as in Stable-Baselines3's monitor.csv.
fn preamble(text: &[u8]) -> usize {
    let mut rest = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    loop {
        let blank = rest.iter().take_while(|&&b| b == b'\n' || b == b'\r').count();
        rest = &rest[blank..];
        let end = rest.iter().position(|&b| b == b'\n');
        match end {
            Some(end) if rest.starts_with(b"#") => rest = &rest[end..],
            // An incomplete comment.
            None if rest.starts_with(b"#") => return text.len(),
            _ => return text.len() - rest.len(),
        }
    }
}

/// Where the first line ends, ignoring line breaks in quotes.
fn line_end(text: &[u8]) -> Option<usize> {
    let mut quoted = false;
    text.iter().position(|&b| {
        quoted ^= b == b'"';
        (b == b'\n' || b == b'\r') && !quoted
    })
}

/// The delimiter that occurs most often in the header, outside quotes.
fn sniff(header: &[u8]) -> u8 {
    let mut counts = [0usize; DELIMITERS.len()];
    let mut quoted = false;
    for &byte in header {
        quoted ^= byte == b'"';
        if let (false, Some(i)) = (quoted, DELIMITERS.iter().position(|&d| d == byte)) {
            counts[i] += 1;
        }
    }
    let most = counts.iter().copied().max().unwrap_or(0);
    DELIMITERS.iter().zip(counts).find(|&(_, n)| n == most).map_or(b',', |(&d, _)| d)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Table = Vec<(u64, Vec<String>)>;

    fn split(text: &[u8], piece: usize) -> Table {
        let (table, end) = read(text, piece);
        end.unwrap();
        table
    }

    fn read(text: &[u8], piece: usize) -> (Table, Result<()>) {
        let mut rows = Rows::new();
        let mut table = Vec::new();
        let mut each = |row: &Row| {
            table.push((
                row.line,
                (0..row.len()).map(|i| row.text(i).into_owned()).collect(),
            ));
            Ok(())
        };
        for piece in text.chunks(piece) {
            rows.feed(piece, &mut each).unwrap();
        }
        let end = rows.finish(&mut each);
        (table, end)
    }

    fn rows(expected: &[(u64, &[&str])]) -> Table {
        expected
            .iter()
            .map(|(l, cells)| (*l, cells.iter().map(ToString::to_string).collect()))
            .collect()
    }

    #[test]
    fn rows_keep_their_lines_in_pieces_of_any_size() {
        let text = b"\xef\xbb\xbfa,\"b\n c\"\r\n1, 2 \r\n\r\n\n\"x\"\"y\",\n5,6";
        let expected = rows(&[
            (1, &["a", "b\n c"]),
            (3, &["1", "2"]),
            (6, &["x\"y", ""]),
            (7, &["5", "6"]),
        ]);
        for piece in 1..=text.len() {
            assert_eq!(split(text, piece), expected, "in pieces of {piece}");
        }
        assert_eq!(split(b"", 1), vec![]);
        assert_eq!(split(b"\n\n", 1), vec![]);
        let (text, expected) = (
            b"\r\n\na;b,c;d\n1;2;3",
            rows(&[(3, &["a", "b,c", "d"]), (4, &["1", "2", "3"])]),
        );
        for piece in 1..=text.len() {
            assert_eq!(split(text, piece), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn the_delimiter_is_found_in_the_header() {
        assert_eq!(
            split(b"a;\"b,c,d\"\n1;2\n", 3),
            rows(&[(1, &["a", "b,c,d"]), (2, &["1", "2"])])
        );
        assert_eq!(split(b"a\tb c\n", 9), rows(&[(1, &["a", "b c"])]));
        assert_eq!(split(b"only\n1\n", 9), rows(&[(1, &["only"]), (2, &["1"])]));
        for piece in 1..9 {
            let named = split(b"\xef\xbb\xbfsep=!\r\na!b;c;d\r\n1!2\r\n", piece);
            assert_eq!(
                named,
                rows(&[(2, &["a", "b;c;d"]), (3, &["1", "2"])]),
                "in pieces of {piece}"
            );
        }
    }

    #[test]
    fn comments_before_the_header_are_left_out() {
        let text = b"#{\"t_start\": 1.5, \"env_id\": null}\n\n# more, with \" in it\nr,l,t\n1,2,3\n";
        let expected = rows(&[(4, &["r", "l", "t"]), (5, &["1", "2", "3"])]);
        for piece in 1..=text.len() {
            assert_eq!(split(text, piece), expected, "in pieces of {piece}");
        }
        assert_eq!(split(b"# nothing else", 3), vec![]);
    }

    #[test]
    fn utf16_is_read() {
        let mut text = vec![0xff, 0xfe];
        text.extend("a\tb\r\n1\t2\r\n".encode_utf16().flat_map(u16::to_le_bytes));
        let expected = rows(&[(1, &["a", "b"]), (2, &["1", "2"])]);
        for piece in 1..=text.len() {
            assert_eq!(split(&text, piece), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn an_unclosed_quote_is_an_error() {
        for text in ["a,b\n1,2\n3,\"4\n5,6\n", "a,b\n1,2\n\"3", "\"a,b\n"] {
            let mut rows = Rows::new();
            let mut each = |_: &Row| Ok(());
            rows.feed(text.as_bytes(), &mut each).unwrap();
            let error = rows.finish(&mut each).unwrap_err().to_string();
            assert!(error.ends_with("a quote is opened and never closed"), "{error}");
            assert_eq!(error.starts_with("line 3"), text.starts_with('a'), "{error}");
        }
    }

    #[test]
    fn an_endless_row_is_an_error() {
        let mut parser = Rows::new();
        parser.feed(b"a,b\n", &mut |_| Ok(())).unwrap();
        let piece = [b'x'; 1 << 16];
        let error =
            (0..20).find_map(|_| parser.feed(&piece, &mut |_| Ok(())).err()).unwrap();
        assert!(error.to_string().starts_with("line 2: no end of row"), "{error}");
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(text in "(sep=;\n)?[a,;\"\r\n 1]{0,60}", piece in 1..7usize) {
            prop_assert_eq!(read(text.as_bytes(), piece), read(text.as_bytes(), 1000));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut rows = Rows::new();
            let _ = rows.feed(&bytes, &mut |_| Ok(())).and_then(|()| rows.finish(&mut |_| Ok(())));
        }
    }
}
