//! The source of a CSV, a file or standard input, which is read to its end in pieces.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use torchmill::run::METRICS;
use torchmill::{Context, Error, Result, cli, interrupt};

use super::download::Download;
use super::rows::Rows;
use super::table::{Options, Point, Table, Tally};
use crate::{event, walk};

/// Where a CSV comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// `-`.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl Source {
    /// `-` is standard input.
    pub fn new(path: &Path) -> Self {
        if path == Path::new("-") { Self::Stdin } else { Self::File(path.to_owned()) }
    }

    /// The sources that paths stand for. A folder stands for every metrics.csv in it, at
    /// any depth.
    pub fn all(paths: &[PathBuf]) -> Result<Vec<Self>> {
        let mut sources = Vec::new();
        for path in paths {
            if path.is_dir() {
                let mut found = walk::files(path, |name| name == METRICS)?;
                found.sort();
                sources.extend(found.into_iter().map(Self::File));
            } else if path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().contains(event::FILE_MARK))
            {
                return Err(Error::usage(format_args!(
                    "{} is an event file: scalars --dump prints it as CSV",
                    path.display()
                )));
            } else {
                sources.push(Self::new(path));
            }
        }
        Ok(sources)
    }

    /// The file's path; `None` for standard input.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Stdin => None,
            Self::File(path) => Some(path),
        }
    }

    /// Opens it for reading.
    pub fn open(&self) -> Result<Box<dyn Read>> {
        match self {
            Self::Stdin => Ok(Box::new(cli::stdin()?)),
            Self::File(path) => Ok(Box::new(File::open(path).doing("read", path)?)),
        }
    }

    /// Reads all of it and calls `each` with each point. Returns the counts.
    pub fn read(
        &self,
        options: &Options,
        each: &mut impl FnMut(Point) -> Result<()>,
    ) -> Result<Feed> {
        let mut reader = self.open()?;
        let mut feed = Feed::of(self, options);
        let mut piece = vec![0; 1 << 18];
        loop {
            interrupt::check()?;
            match reader.read(&mut piece) {
                Ok(0) => break,
                Ok(n) => feed.feed(&piece[..n], each).map_err(|e| e.within(self))?,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::io(format_args!("cannot read {self}"), e)),
            }
        }
        // A running program may still be writing metrics.csv, so its last row counts only
        // with a line break. Other tables may lack the last line break.
        if !(self.is_metrics() && feed.rows.is_in_row()) {
            feed.finish(each).map_err(|e| e.within(self))?;
        }
        Ok(feed)
    }

    fn is_metrics(&self) -> bool {
        matches!(self, Self::File(path) if path.file_name().is_some_and(|name| name == METRICS))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// Bytes in, points out.
pub struct Feed {
    rows: Rows,
    table: Option<Table>,
    options: Options,
}

impl Feed {
    /// Ready for the first byte of an input.
    pub fn of(source: &Source, options: &Options) -> Self {
        let download = source.path().and_then(Download::of);
        let value_tag = download.map(|download| download.tag);
        Self::new(&Options { value_tag, ..options.clone() })
    }

    /// Ready for the first byte.
    pub fn new(options: &Options) -> Self {
        Self { rows: Rows::new(), table: None, options: options.clone() }
    }

    /// Adds the next bytes, and calls `each` with the points of each row that they
    /// complete.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        each: &mut impl FnMut(Point) -> Result<()>,
    ) -> Result<()> {
        let Self { rows, table, options } = self;
        rows.feed(bytes, &mut |row| take(table, options, row, each))
    }

    /// Ends the input.
    pub fn finish(&mut self, each: &mut impl FnMut(Point) -> Result<()>) -> Result<()> {
        let Self { rows, table, options } = self;
        rows.finish(&mut |row| take(table, options, row, each))
    }

    /// The table, once its header has been read.
    pub fn table(&self) -> Option<&Table> {
        self.table.as_ref()
    }

    /// The counts since the last call.
    pub fn news(&mut self) -> Tally {
        self.table.as_mut().map_or_else(Tally::default, |table| table.tally.take_news())
    }

    /// The counts so far.
    pub fn tally(&self) -> Tally {
        self.table.as_ref().map_or_else(Tally::default, |table| table.tally.clone())
    }

    /// Why there were no points; `None` if there were.
    pub fn emptiness(&self) -> Option<String> {
        let Some(table) = &self.table else {
            return Some(
                "it is empty; expected a header row and rows of numbers".to_owned(),
            );
        };
        let tally = &table.tally;
        if tally.points > 0 {
            None
        } else if tally.bad.count > 0 {
            Some(format!("it has no valid value; {}", tally.bad.first))
        } else {
            let misfit = self.options.select.nothing_fits(&tally.tags);
            Some(misfit.unwrap_or_else(|| "it holds no points yet".to_owned()))
        }
    }
}

fn take(
    table: &mut Option<Table>,
    options: &Options,
    row: &super::rows::Row,
    each: &mut impl FnMut(Point) -> Result<()>,
) -> Result<()> {
    match table {
        Some(table) => table.read(row, each),
        None => {
            *table = Some(Table::new(row, options)?);
            Ok(())
        }
    }
}
