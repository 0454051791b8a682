//! Parquet files of images, as Hugging Face's `datasets` writes them: a column of structs
//! `{bytes, path}` or of bytes, and a column of labels whose names are in the metadata.
//!
//! Images are compressed in pages, so they are copied to a temporary file, where each can
//! be read by itself. Source of the metadata: <https://huggingface.co/docs/datasets>,
//! `datasets.Features`.

mod columns;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, ByteArrayType, DataType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};

use super::class_names::check_characters;
use super::detect::val_is_test;
use super::labels::Labels;
use super::options::OpenOptions;
use super::packed::{Packed, PackedBytes};
use super::parts::Part;
use super::store::Store;
use super::{Dataset, Sample};
use crate::progress::{Progress, Unit};
use crate::{Context, Error, Result, git_lfs, interrupt};
use columns::Columns;

/// How many rows are read at a time: few, as a row may hold a large image.
const ROWS: usize = 64;

impl Dataset {
    /// Reads Parquet files as the data set `name`. Files named after splits are those
    /// splits.
    pub fn from_parquet(
        name: &str,
        files: &[PathBuf],
        options: &OpenOptions,
    ) -> Result<Self> {
        let parts = Part::list(files, options)?;
        let mut set = read(name, &parts, &[], options)?;
        val_is_test(&mut set.splits);
        Ok(set)
    }

    /// Reads a Parquet file in a temporary file, which messages call `location`.
    pub fn from_temporary_parquet(
        file: File,
        location: &str,
        options: &OpenOptions,
    ) -> Result<Self> {
        let part = Part::stream(location);
        let mut tables = Tables::new(&[], options)?;
        tables.read_file(&part, file)?;
        tables.finish("stream", location)
    }
}

/// Reads Parquet files as the data set `name`, with these classes if there are any.
pub(super) fn read(
    name: &str,
    parts: &[Part],
    classes: &[String],
    options: &OpenOptions,
) -> Result<Dataset> {
    let mut tables = Tables::new(classes, options)?;
    for part in parts {
        let file = File::open(&part.path).doing("open", &part.shown)?;
        tables.read_file(part, file)?;
    }
    let location =
        parts.first().map_or(name.to_owned(), |p| p.shown.display().to_string());
    tables.finish(name, &location)
}

/// A data set while its files are read.
struct Tables<'a> {
    options: &'a OpenOptions,
    /// The classes in the first file's metadata, or those that were given.
    classes: Option<Vec<String>>,
    labels: Labels,
    /// Samples with provisional labels.
    splits: BTreeMap<String, Vec<Sample>>,
    stores: Vec<Store>,
    spool: Spool,
}

impl<'a> Tables<'a> {
    fn new(classes: &[String], options: &'a OpenOptions) -> Result<Self> {
        Ok(Self {
            options,
            classes: (!classes.is_empty()).then(|| classes.to_vec()),
            labels: Labels::new(classes),
            splits: BTreeMap::new(),
            stores: Vec::new(),
            spool: Spool::new()?,
        })
    }

    fn read_file(&mut self, part: &Part, file: File) -> Result<()> {
        // The Parquet library may panic, and one bad file must not end the program.
        let read = panic::catch_unwind(AssertUnwindSafe(|| self.read_rows(part, file)));
        let read = read.unwrap_or_else(|_| {
            Err(Error::failed("cannot be read as Parquet: the reader has a bug"))
        });
        read.map_err(|e| e.within(part.shown.display()))
    }

    fn read_rows(&mut self, part: &Part, file: File) -> Result<()> {
        check_magic(&file)?;
        let reader = SerializedFileReader::new(file).map_err(|e| damaged(&e))?;
        let columns =
            Columns::find(reader.metadata().file_metadata(), &self.options.columns)?;
        self.set_classes(&columns)?;
        let rows = u64::try_from(reader.metadata().file_metadata().num_rows()).ok();
        let mut progress = Progress::new(&part.name, rows, Unit::Count("rows"));
        let place = PackedBytes::Temporary(Arc::clone(&self.spool.file));
        let mut packed = Packed::table(&part.shown, part.name.clone(), place);
        for group in 0..reader.num_row_groups() {
            let group = reader.get_row_group(group).map_err(|e| damaged(&e))?;
            self.read_group(part, &*group, &columns, &mut packed, &mut progress)?;
        }
        progress.finish();
        self.stores.push(Store::Packed(packed));
        Ok(())
    }

    /// Uses the classes of the first file, and rejects a file with other classes.
    fn set_classes(&mut self, columns: &Columns) -> Result<()> {
        let Some(found) = &columns.classes else { return Ok(()) };
        match &self.classes {
            None if self.stores.is_empty() => {
                self.labels = Labels::new(found);
                self.classes = Some(found.clone());
                Ok(())
            }
            Some(known) if known == found => Ok(()),
            _ => Err(Error::failed(format_args!(
                "the classes in its metadata are not those of the files before it: read \
                 them as two inputs, with another input between them, or correct the \
                 metadata of `{}`",
                columns.label.name
            ))),
        }
    }

    fn read_group(
        &mut self,
        part: &Part,
        group: &dyn RowGroupReader,
        columns: &Columns,
        packed: &mut Packed,
        progress: &mut Progress,
    ) -> Result<()> {
        let image = group.get_column_reader(columns.image.leaf);
        let label = group.get_column_reader(columns.label.leaf);
        let mut images = ImageReader::new(image.map_err(|e| damaged(&e))?)?;
        let mut labels = label.map_err(|e| damaged(&e))?;
        loop {
            interrupt::check()?;
            let batch = images.next_rows(columns.image.max_level)?;
            let label_batch = next_labels(&mut labels, columns.label.max_level)?;
            if batch.len() != label_batch.len() {
                return Err(Error::failed(format_args!(
                    "is damaged: its columns `{}` and `{}` differ in length",
                    columns.image.name, columns.label.name
                )));
            }
            if batch.is_empty() {
                return Ok(());
            }
            progress.add(batch.len() as u64);
            for (image, label) in batch.iter().zip(label_batch) {
                let row = packed.len();
                let label =
                    self.label(label).map_err(|e| e.within(format_args!("row {row}")))?;
                self.add(part, image.as_ref(), label, packed)?;
            }
        }
    }

    /// The provisional label of a row.
    fn label(&mut self, label: Option<Label>) -> Result<u32> {
        match label {
            Some(Label::Index(index)) => self.labels.of_index(index),
            Some(Label::Text(text)) => self.labels.of_text(&text),
            None => Err(Error::failed("has no label")),
        }
    }

    fn add(
        &mut self,
        part: &Part,
        image: Option<&ByteArray>,
        label: u32,
        packed: &mut Packed,
    ) -> Result<()> {
        let sample = Sample {
            label,
            store: super::index(self.stores.len())?,
            record: super::index(packed.len())?,
        };
        // A row without an image is an error when it is read, so that --skip-bad can leave
        // it out.
        let bytes = image.map_or(&[][..], ByteArray::data);
        let start = self.spool.append(bytes)?;
        packed.push(start, bytes.len() as u64, Path::new(""))?;
        match self.splits.get_mut(&part.split) {
            Some(samples) => samples.push(sample),
            None => {
                self.splits.insert(part.split.clone(), vec![sample]);
            }
        }
        Ok(())
    }

    fn finish(mut self, name: &str, location: &str) -> Result<Dataset> {
        if self.splits.is_empty() {
            return Err(Error::failed(format_args!("{location}: has no rows")));
        }
        self.spool.flush()?;
        let (classes, new_label) = self.labels.finish(false);
        check_characters(&classes).map_err(|e| e.within(location))?;
        for sample in self.splits.values_mut().flatten() {
            sample.label = new_label[sample.label as usize];
        }
        Ok(Dataset {
            name: name.to_owned(),
            classes,
            splits: self.splits,
            stores: self.stores,
            ..Dataset::default()
        })
    }
}

/// The temporary file that images are copied to.
struct Spool {
    file: Arc<File>,
    out: io::BufWriter<File>,
    end: u64,
}

impl Spool {
    fn new() -> Result<Self> {
        let folder = std::env::temp_dir();
        let file = tempfile::tempfile().doing("make a temporary file in", &folder)?;
        let copy = file.try_clone().doing("make a temporary file in", &folder)?;
        let out = io::BufWriter::with_capacity(1 << 20, copy);
        Ok(Self { file: Arc::new(file), out, end: 0 })
    }

    /// Appends these bytes and returns where they begin.
    fn append(&mut self, bytes: &[u8]) -> Result<u64> {
        self.out
            .write_all(bytes)
            .doing("write a temporary file in", std::env::temp_dir())?;
        let start = self.end;
        self.end += bytes.len() as u64;
        Ok(start)
    }

    fn flush(&mut self) -> Result<()> {
        self.out.flush().doing("write a temporary file in", std::env::temp_dir())
    }
}

/// The images of a row group.
struct ImageReader(ColumnReaderImpl<ByteArrayType>);

impl ImageReader {
    fn new(reader: ColumnReader) -> Result<Self> {
        match reader {
            ColumnReader::ByteArrayColumnReader(reader) => Ok(Self(reader)),
            _ => Err(Error::failed("is damaged: a row group has another schema")),
        }
    }

    /// The images of the next rows, none at the end.
    fn next_rows(&mut self, max_level: i16) -> Result<Vec<Option<ByteArray>>> {
        next_values(&mut self.0, max_level)
    }
}

/// A row's label as it is stored.
enum Label {
    Index(i64),
    Text(String),
}

/// The labels of the next rows, none at the end.
fn next_labels(reader: &mut ColumnReader, max_level: i16) -> Result<Vec<Option<Label>>> {
    let index = |values: Vec<Option<i64>>| {
        values.into_iter().map(|value| value.map(Label::Index)).collect()
    };
    match reader {
        ColumnReader::Int32ColumnReader(reader) => {
            let values = next_values(reader, max_level)?.into_iter();
            Ok(index(values.map(|value| value.map(i64::from)).collect()))
        }
        ColumnReader::Int64ColumnReader(reader) => {
            Ok(index(next_values(reader, max_level)?))
        }
        ColumnReader::BoolColumnReader(reader) => {
            let values = next_values(reader, max_level)?.into_iter();
            Ok(index(values.map(|value| value.map(i64::from)).collect()))
        }
        ColumnReader::ByteArrayColumnReader(reader) => {
            let mut labels = Vec::new();
            for value in next_values(reader, max_level)? {
                let text = value.map(|value| value.as_utf8().map(str::to_owned));
                let text = text.transpose();
                let text =
                    text.map_err(|_| Error::failed("a label is not UTF-8 text"))?;
                labels.push(text.map(Label::Text));
            }
            Ok(labels)
        }
        _ => Err(Error::failed("is damaged: a row group has another schema")),
    }
}

/// The values of the next rows, `None` for nulls. `max_level` is the definition level of
/// a value that is not null.
fn next_values<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    max_level: i16,
) -> Result<Vec<Option<T::T>>> {
    let mut levels = Vec::new();
    let mut values = Vec::new();
    let (rows, ..) = reader
        .read_records(ROWS, Some(&mut levels), None, &mut values)
        .map_err(|e| damaged(&e))?;
    let mut values = values.into_iter();
    if max_level == 0 {
        return Ok(values.map(Some).collect());
    }
    let row = |level: &i16| if *level == max_level { values.next() } else { None };
    Ok(levels.iter().take(rows).map(row).collect())
}

/// Reports what the file is if it is not Parquet.
fn check_magic(file: &File) -> Result<()> {
    let mut head = [0; git_lfs::START.len()];
    let length = file.read_at(&mut head, 0).unwrap_or(0);
    let head = &head[..length];
    git_lfs::check(head)?;
    if head.starts_with(b"PAR1") {
        return Ok(());
    }
    Err(Error::failed("is not a Parquet file (it does not start with PAR1)"))
}

fn damaged(error: &ParquetError) -> Error {
    Error::failed(format_args!(
        "cannot be read as Parquet, it is damaged or of a kind that is not read: {error}"
    ))
}
