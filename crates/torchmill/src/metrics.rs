//! metrics.csv: what `train` measures and `scalars` reads. Tidy and append-only, one
//! value a row: `wall_time,step,epoch,tag,value`.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Context, Error, Result};

/// The header row.
pub const COLUMNS: [&str; 5] = ["wall_time", "step", "epoch", "tag", "value"];

/// One row of metrics.csv.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Seconds since 1970-01-01 00:00 UTC.
    pub wall_time: f64,
    /// The tag's own counter: optimizer steps for `train loss`, epochs for `test loss`.
    pub step: u64,
    /// The epoch, from 1.
    pub epoch: u64,
    /// `train loss`, `test loss`, `test accuracy`, ...
    pub tag: String,
    /// The value; may be NaN or infinite.
    pub value: f64,
}

/// Appends whole rows to a metrics.csv.
pub struct MetricsWriter {
    writer: csv::Writer<File>,
    path: PathBuf,
}

impl MetricsWriter {
    /// Opens `path` for appending, and writes the header row if the file is new or empty.
    pub fn append(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .doing("open", &path)?;
        let new = file.metadata().doing("read", &path)?.len() == 0;
        // Rows are flushed whole: a reader that follows the file never sees half of one
        // for long.
        let mut writer = csv::WriterBuilder::new()
            .has_headers(false)
            .buffer_capacity(1 << 16)
            .from_writer(file);
        if new {
            writer.write_record(COLUMNS).map_err(|e| write_error(&path, e))?;
        }
        Ok(Self { writer, path })
    }

    /// Adds a row, which [`MetricsWriter::flush`] writes to the file.
    pub fn push(&mut self, point: &Point) -> Result<()> {
        self.writer.serialize(point).map_err(|e| write_error(&self.path, e))
    }

    /// Writes the rows added so far to the file.
    pub fn flush(&mut self) -> Result<()> {
        self.writer.flush().doing("write", &self.path)
    }
}

/// Reads a metrics.csv as `train` writes it.
pub fn read(path: &Path) -> Result<Vec<Point>> {
    parse(File::open(path).doing("open", path)?, path)
}

/// Reads the complete rows of a metrics.csv that may be growing: an incomplete row at its
/// end is left out.
pub fn read_growing(path: &Path) -> Result<Vec<Point>> {
    let bytes = std::fs::read(path).doing("read", path)?;
    let end = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    parse(&bytes[..end], path)
}

/// Reads the rows of a metrics.csv from its text; `path` is for messages.
pub fn parse(text: impl Read, path: &Path) -> Result<Vec<Point>> {
    let mut reader = csv::Reader::from_reader(text);
    reader
        .deserialize()
        .map(|row| row.map_err(|e| Error::failed(e).within(path.display())))
        .collect()
}

fn write_error(path: &Path, error: csv::Error) -> Error {
    Error::csv(format_args!("cannot write {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(tag: &str, value: f64) -> Point {
        Point {
            wall_time: 1_764_000_000.123_456_7,
            step: 100,
            epoch: 1,
            tag: tag.to_owned(),
            value,
        }
    }

    fn write(path: &Path, points: &[Point]) {
        let mut writer = MetricsWriter::append(path).unwrap();
        points.iter().for_each(|p| writer.push(p).unwrap());
        writer.flush().unwrap();
    }

    #[test]
    fn rows_are_appended_under_one_header() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        write(&path, &[point("train loss", 2.25)]);
        write(
            &path,
            &[point("odd, \"tag\"", f64::NEG_INFINITY), point("test loss", 310.0)],
        );
        let text = std::fs::read_to_string(&path).unwrap();
        let expected = "wall_time,step,epoch,tag,value\n\
                        1764000000.1234567,100,1,train loss,2.25\n\
                        1764000000.1234567,100,1,\"odd, \"\"tag\"\"\",-inf\n\
                        1764000000.1234567,100,1,test loss,310.0\n";
        assert_eq!(text, expected);
        assert_eq!(read(&path).unwrap().len(), 3);
        std::fs::write(&path, &text[..text.len() - 3]).unwrap();
        assert_eq!(read_growing(&path).unwrap().len(), 2);
        std::fs::write(&path, "wall_ti").unwrap();
        assert!(read_growing(&path).unwrap().is_empty());
    }

    #[test]
    fn a_bad_row_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        std::fs::write(&path, "wall_time,step,epoch,tag,value\n1,x,1,loss,2\n").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("metrics.csv") && error.contains("line: 2"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn every_number_comes_back_bit_for_bit(values in prop::collection::vec(any::<f64>(), 1..50)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("metrics.csv");
            let points: Vec<Point> = values.iter().map(|&v| point("loss", v)).collect();
            write(&path, &points);
            let bits = |p: &Point| if p.value.is_nan() { f64::NAN } else { p.value }.to_bits();
            let back: Vec<u64> = read(&path).unwrap().iter().map(bits).collect();
            prop_assert_eq!(back, points.iter().map(bits).collect::<Vec<_>>());
        }
    }
}
