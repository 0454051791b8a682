//! CSV and TSV files with columns of paths, classes and splits.

use std::path::{Path, PathBuf};

use csv::StringRecord;

use super::super::Dataset;
use super::super::options::ColumnNames;
use super::columns::{
    self, Columns, Label, from_header, looks_like_header, one_hot_class,
};
use super::images::Completion;
use super::{List, text};
use crate::{Context, Error, Result, git_lfs, text_file};

impl Dataset {
    /// Reads a CSV file, with columns told by their names or, without a header, in the
    /// order path, label, split. Paths are relative to the file's folder; where images
    /// are not there, in a folder next to it.
    ///
    /// The delimiter is a comma, a semicolon or a tab, whichever the first row has.
    pub fn from_csv(path: &Path, names: &ColumnNames) -> Result<Self> {
        let bytes = text_file::read_list(path).doing("read", path)?;
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let root = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        let is_tsv = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("tsv"));
        let location = path.display().to_string();
        let table = Table { location, root, is_tsv, names: names.clone() };
        table.read(&bytes, name.as_deref().unwrap_or("list"))
    }
}

/// A table's file.
pub(super) struct Table {
    /// What messages call it.
    pub location: String,
    /// The folder that paths are relative to.
    pub root: PathBuf,
    /// Whether its name ends in `.tsv`.
    pub is_tsv: bool,
    /// The columns that the user names.
    pub names: ColumnNames,
}

impl Table {
    /// Reads its contents as the data set `name`.
    pub fn read(&self, bytes: &[u8], name: &str) -> Result<Dataset> {
        git_lfs::check(bytes).map_err(|e| e.within(&self.location))?;
        let text = text::decode(bytes).map_err(|e| e.within(&self.location))?;
        let first = text.rows.lines().find(|line| !line.trim().is_empty()).unwrap_or("");
        let delimiter = match text.delimiter {
            Some(delimiter) => delimiter,
            None => delimiter(first, self.is_tsv),
        };
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(text.rows.as_bytes());
        let mut rows: Option<Rows> = None;
        let mut record = StringRecord::new();
        let mut line = LineCounter::new(&text);
        while reader
            .read_record(&mut record)
            .map_err(|e| Error::failed(e).within(&self.location))?
        {
            let line = line.of(&record);
            let within =
                |e: Error| e.within(format_args!("{}, line {line}", self.location));
            match &mut rows {
                Some(rows) => rows.add(&record, &self.root).map_err(within)?,
                None => rows = Some(self.first_row(&record).map_err(within)?),
            }
        }
        let list = rows.map_or_else(List::default, |rows| rows.list);
        list.finish(name, &self.location, &self.root)
    }

    /// Reads the first row as a header or as an image.
    fn first_row(&self, record: &StringRecord) -> Result<Rows> {
        let fields: Vec<&str> = record.iter().collect();
        if let Some(columns) = from_header(&fields, &self.names)? {
            return Ok(Rows::new(columns));
        }
        if looks_like_header(&fields, &self.root) {
            return Err(columns::no_path(&fields));
        }
        let label = if fields.len() > 1 { Label::Column(1) } else { Label::Folder };
        let mut rows = Rows::new(Columns { path: 0, label, split: Some(2) });
        rows.add(record, &self.root)?;
        Ok(rows)
    }
}

/// Counts lines as an editor does: csv's own position of a row is before the empty lines
/// above it.
struct LineCounter<'a> {
    rows: &'a [u8],
    at: usize,
    line: u64,
}

impl<'a> LineCounter<'a> {
    fn new(text: &'a text::Text) -> Self {
        Self { rows: text.rows.as_bytes(), at: 0, line: 1 + text.lines_before }
    }

    /// The line where a row begins; rows must be passed in order.
    fn of(&mut self, record: &StringRecord) -> u64 {
        let start = record.position().map_or(0, |position| position.byte() as usize);
        let is_break = |byte: Option<&u8>| byte == Some(&b'\n');
        while self.at < start || is_break(self.rows.get(self.at)) {
            self.line += u64::from(is_break(self.rows.get(self.at)));
            self.at += 1;
        }
        self.line
    }
}

/// A table while its rows are read.
pub(super) struct Rows {
    columns: Columns,
    pub list: List,
    completion: Option<Completion>,
}

impl Rows {
    pub fn new(columns: Columns) -> Self {
        let list = match &columns.label {
            Label::OneHot(classes) => {
                let names: Vec<String> =
                    classes.iter().map(|(_, name)| name.clone()).collect();
                List::with_classes(&names)
            }
            Label::Column(_) | Label::Folder => List::default(),
        };
        Self { columns, list, completion: None }
    }

    pub fn add(&mut self, record: &StringRecord, root: &Path) -> Result<()> {
        let Self { columns, list, completion } = self;
        let path = record.get(columns.path).filter(|path| !path.is_empty());
        let path = path.ok_or_else(|| Error::failed("has no path"))?;
        let class = match &columns.label {
            // A row that is too short has an empty label, which is an error too.
            Label::Column(column) => Some(record.get(*column).unwrap_or("")),
            Label::OneHot(classes) => Some(one_hot_class(classes, |i| record.get(i))?),
            Label::Folder => None,
        };
        let completion = match completion {
            Some(known) => known,
            None => completion.insert(Completion::find(root, path)?),
        };
        let split = columns.split.and_then(|column| record.get(column));
        list.add(&completion.complete(path), class, split)
    }
}

/// The delimiter of a table with this first row: the one that separates a known column's
/// name from others, else a comma, a semicolon or a tab that is in it (a tab first in a
/// .tsv file).
fn delimiter(first: &str, is_tsv: bool) -> u8 {
    let candidates = if is_tsv { [b'\t', b',', b';'] } else { [b',', b';', b'\t'] };
    let named = candidates.iter().find(|&&delimiter| {
        let fields: Vec<&str> = first.split(char::from(delimiter)).collect();
        let is_named = |field: &&str| columns::is_known(field.trim().trim_matches('"'));
        fields.len() > 1 && fields.iter().any(is_named)
    });
    let present =
        || candidates.iter().find(|&&delimiter| first.contains(char::from(delimiter)));
    named.or_else(present).copied().unwrap_or(candidates[0])
}
