//! JSON lines: an object a line with the path of an image, its class and its split, as in
//! Hugging Face's `metadata.jsonl`.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use csv::StringRecord;
use serde_json::{Map, Value};

use super::super::Dataset;
use super::super::options::ColumnNames;
use super::columns::{Columns, from_header, no_path};
use super::table::Rows;
use super::{List, PathReader};
use crate::text::shown;
use crate::{Context, Error, Result, git_lfs};

impl Dataset {
    /// Reads a file of JSON objects, one per line. The keys of the first object are
    /// recognised by `names` or their usual names, like the columns of a table. Paths are
    /// relative to the file's folder.
    pub fn from_jsonl(path: &Path, names: &ColumnNames) -> Result<Self> {
        git_lfs::check_file(path)?;
        let file = File::open(path).doing("open", path)?;
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let root = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        let location = path.display().to_string();
        let mut lines = PathReader::new(BufReader::new(file), &location);
        let mut rows: Option<JsonRows> = None;
        while let Some(line) = lines.next_line()? {
            let within = |e: Error| e.within(lines.location());
            let object = object(&line).map_err(within)?;
            let rows = match &mut rows {
                Some(rows) => rows,
                None => rows.insert(JsonRows::new(&object, names).map_err(within)?),
            };
            rows.add(&object, &root).map_err(within)?;
        }
        let list = rows.map_or_else(List::default, |rows| rows.rows.list);
        list.finish(name.as_deref().unwrap_or("list"), &location, &root)
    }
}

/// Objects while they are read as the rows of a table.
struct JsonRows {
    /// The keys of the first object: the columns.
    keys: Vec<String>,
    rows: Rows,
}

impl JsonRows {
    fn new(first: &Map<String, Value>, names: &ColumnNames) -> Result<Self> {
        let keys: Vec<String> = first.keys().cloned().collect();
        let header: Vec<&str> = keys.iter().map(String::as_str).collect();
        let columns: Option<Columns> = from_header(&header, names)?;
        let columns = columns.ok_or_else(|| no_path(&header))?;
        Ok(Self { keys, rows: Rows::new(columns) })
    }

    fn add(&mut self, object: &Map<String, Value>, root: &Path) -> Result<()> {
        let mut record = StringRecord::new();
        for key in &self.keys {
            match object.get(key) {
                Some(Value::String(text)) => record.push_field(text),
                Some(Value::Number(number)) => record.push_field(&number.to_string()),
                // A missing path, class or split is an error of the row.
                _ => record.push_field(""),
            }
        }
        self.rows.add(&record, root)
    }
}

fn object(line: &[u8]) -> Result<Map<String, Value>> {
    match serde_json::from_slice(line) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Error::failed(format_args!(
            "`{}` is not a JSON object with the path and the label of an image",
            shown(&String::from_utf8_lossy(line))
        ))),
        Err(error) => Err(Error::failed(format_args!("is not JSON: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jsonl(text: &str, names: &str) -> Result<Dataset> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metadata.jsonl");
        std::fs::write(&path, text).unwrap();
        let names =
            if names.is_empty() { ColumnNames::default() } else { names.parse()? };
        Dataset::from_jsonl(&path, &names)
    }

    #[test]
    fn objects_are_rows() {
        let text = "{\"file_name\": \"a.png\", \"label\": \"dog\", \"split\": \"train\"}\n\n\
                    {\"split\": \"test\", \"label\": \"cat\", \"file_name\": \"b.png\", \"x\": []}\n";
        let set = jsonl(text, "").unwrap();
        assert_eq!(
            (set.name.as_str(), &set.classes[..]),
            ("metadata", &["cat".into(), "dog".into()][..])
        );
        assert_eq!(set.source(set.splits["train"][0]), "a.png");
        assert_eq!(set.splits["test"][0].label, 0);
    }

    #[test]
    fn columns_can_be_named() {
        let text = "{\"a\": \"x.png\", \"b\": 3, \"path\": \"y.png\"}\n";
        let set = jsonl(text, "image=a,label=b").unwrap();
        assert_eq!(set.classes, ["3"]);
        assert!(set.location(set.splits["all"][0]).ends_with("/x.png"));
    }

    #[test]
    fn what_is_not_a_row_is_refused_with_its_line() {
        for (text, message) in [
            ("", "lists no images"),
            ("[1]\n", "line 1: `[1]` is not a JSON object"),
            ("{\"path\": \"a.png\", \"label\": 1}\n{\"path\"\n", "line 2: is not JSON"),
            (
                "{\"path\": \"a.png\", \"label\": 1}\n{\"path\": \"b.png\"}\n",
                "line 2: the label is empty",
            ),
            (
                "{\"path\": \"a.png\", \"label\": 1}\n{\"label\": 1}\n",
                "line 2: has no path",
            ),
            ("{\"text\": \"a\", \"label\": 1}\n", "no column is known to hold the paths"),
        ] {
            let error = jsonl(text, "").unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        let error = jsonl("{\"path\": \"a.png\"}\n", "label=x").unwrap_err().to_string();
        assert!(error.contains("has no column `x`, only path"), "{error}");
    }
}
