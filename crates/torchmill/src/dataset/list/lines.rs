//! Lines of `path`, `path<TAB>class` or `path<TAB>class<TAB>split`, or paths that end
//! with NUL as `find -print0` writes them.

use std::ffi::OsStr;
use std::io::BufRead;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::super::Dataset;
use super::List;
use super::columns::looks_like_header;
use crate::text::shown;
use crate::{Context, Error, Result};

/// The longest line in bytes: longer than any path with a class and a split.
const LONGEST_LINE: usize = 1 << 16;

impl Dataset {
    /// Reads a list. Paths are relative to `root`; empty lines are ignored.
    ///
    /// Errors name `location` and the line.
    pub fn from_lines(
        input: &mut impl BufRead,
        location: &str,
        root: &Path,
    ) -> Result<Self> {
        let mut reader = PathReader::new(input, location);
        let mut list = List::default();
        while let Some(line) = reader.next_line()? {
            let number = reader.number;
            let result = if reader.ends_with_nul() {
                list.add(Path::new(OsStr::from_bytes(&line)), None, None)
            } else {
                add_line(&mut list, &line, number == 1, root)
            };
            result.map_err(|e| e.within(reader.location()))?;
        }
        list.finish("list", location, root)
    }
}

fn add_line(list: &mut List, line: &[u8], is_first: bool, root: &Path) -> Result<()> {
    let mut fields = line.split(|&byte| byte == b'\t');
    // A split always has at least one part.
    let path = Path::new(OsStr::from_bytes(fields.next().unwrap_or(line)));
    let class = fields.next().map(utf8).transpose()?;
    let split = fields.next().map(utf8).transpose()?;
    if fields.next().is_some() {
        return Err(Error::failed("has more than three fields (path, label, split)"));
    }
    if is_first
        && let Ok(text) = std::str::from_utf8(line)
        && looks_like_header(&text.split(['\t', ',', ';']).collect::<Vec<_>>(), root)
    {
        return Err(Error::failed(format_args!(
            "`{}` looks like a header, but lines on standard input have none: they are a \
             path, and after tabs an optional class and split; a table with a header can \
             be given as a .csv or .tsv file",
            shown(text)
        )));
    }
    list.add(path, class, split)
}

fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| Error::failed("is not UTF-8 text"))
}

/// Reads lines, or NUL-terminated paths if the first block that is read contains a NUL.
pub struct PathReader<R> {
    input: R,
    location: String,
    number: u64,
    end: Option<u8>,
}

impl<R: BufRead> PathReader<R> {
    /// Reads from `input`, which messages call `location`.
    pub fn new(input: R, location: &str) -> Self {
        Self { input, location: location.to_owned(), number: 0, end: None }
    }

    /// The next line that is not empty, without its terminator; `None` after the last.
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            let mut line = Vec::new();
            self.number += 1;
            if !self.read_line(&mut line)? {
                return Ok(None);
            }
            if self.end == Some(b'\n') && line.last() == Some(&b'\r') {
                line.pop();
            }
            if !line.is_empty() {
                return Ok(Some(line));
            }
            if self.ends_with_nul() {
                return Err(Error::failed("is an empty path").within(self.location()));
            }
        }
    }

    /// Where the last line was: `standard input, line 3`.
    pub fn location(&self) -> String {
        format!("{}, line {}", self.location, self.number)
    }

    /// Whether paths end with NUL, and so may contain line breaks and tabs.
    pub fn ends_with_nul(&self) -> bool {
        self.end == Some(0)
    }

    /// Reads up to the next terminator, which is dropped; `false` at the end of the
    /// input.
    fn read_line(&mut self, line: &mut Vec<u8>) -> Result<bool> {
        loop {
            let buffer = self.input.fill_buf().doing("read", &self.location)?;
            if buffer.is_empty() {
                return Ok(!line.is_empty());
            }
            if self.end.is_none() {
                // A path may hold a line break, but never a NUL.
                self.end = [0, b'\n'].into_iter().find(|end| buffer.contains(end));
            }
            let at = buffer.iter().position(|&byte| Some(byte) == self.end);
            line.extend_from_slice(&buffer[..at.unwrap_or(buffer.len())]);
            let used = at.map_or(buffer.len(), |at| at + 1);
            self.input.consume(used);
            if line.len() > LONGEST_LINE {
                return Err(Error::failed(format_args!(
                    "is longer than {LONGEST_LINE} bytes: not a list of paths"
                ))
                .within(self.location()));
            }
            if at.is_some() {
                return Ok(true);
            }
        }
    }
}
