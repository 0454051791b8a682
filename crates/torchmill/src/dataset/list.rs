//! A list of images: `path<TAB>label<TAB>split` lines on standard input, or a CSV or TSV
//! file.
//!
//! The label is a class name, the split one of train, test and val; both may be left out.
//! Without a label the class is the folder that the image lies in, so that `find pets
//! -name '*.jpg' | prep - -o shards` works.

use std::collections::BTreeMap;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use super::detect::split_of;
use super::packed_names::PackedNames;
use super::store::{Files, Store};
use super::{Dataset, Sample, UNSPLIT};
use crate::{Context, Error, Result, interrupt};

/// What a header may call the columns.
const PATH: [&str; 8] =
    ["path", "file", "filename", "file_name", "image", "image_path", "filepath", "img"];
const LABEL: [&str; 5] = ["label", "class", "category", "target", "class_name"];
const SPLIT: [&str; 4] = ["split", "set", "subset", "partition"];

/// The list as it is read, line by line.
#[derive(Default)]
struct List {
    names: PackedNames,
    /// Class names in the order of their first appearance; a sample's label is an index
    /// until the end.
    classes: BTreeMap<String, u32>,
    splits: BTreeMap<String, Vec<Sample>>,
}

impl Dataset {
    /// Reads lines of `path`, `path<TAB>label` or `path<TAB>label<TAB>split`. Paths are
    /// relative to `root`.
    ///
    /// Errors name `place` and the line.
    pub fn from_lines(
        lines: &mut impl BufRead,
        place: &str,
        root: &Path,
    ) -> Result<Self> {
        let mut list = List::default();
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            if lines.read_until(b'\n', &mut line).doing("read", place)? == 0 {
                break;
            }
            let at = |e: Error| e.within(format_args!("{place}, line {number}"));
            let text = std::str::from_utf8(&line)
                .map_err(|_| at(Error::failed("is not UTF-8 text")))?;
            let text = text.trim_end_matches(['\n', '\r']);
            if text.is_empty() {
                continue;
            }
            let mut fields = text.split('\t');
            let (path, label, split) =
                (fields.next().unwrap_or_default(), fields.next(), fields.next());
            if fields.next().is_some() {
                return Err(at(Error::failed(
                    "has more than three fields (path, label, split)",
                )));
            }
            if number == 1 && looks_like_a_header(text.split(['\t', ',', ';']), root) {
                return Err(at(Error::failed(format_args!(
                    "`{text}` looks like a header: lines here have none; they are a path, and after tabs, if you \
                     like, a class and a split (a table with a header can be given as a .csv or .tsv file)"
                ))));
            }
            list.add(path, label, split).map_err(at)?;
        }
        list.finish("list", place, root)
    }

    /// Reads a CSV file (TSV where its name ends so): columns named path, label and
    /// split, or without a header in that order. Paths are relative to the file's folder.
    pub fn from_csv(path: &Path) -> Result<Self> {
        let file = std::fs::File::open(path).doing("open", path)?;
        let tabs = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("tsv"));
        let name = path
            .file_stem()
            .map_or_else(|| "list".to_owned(), |n| n.to_string_lossy().into_owned());
        let root = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        Self::from_csv_reader(
            file,
            if tabs { b'\t' } else { b',' },
            &name,
            &path.display().to_string(),
            &root,
        )
    }

    fn from_csv_reader(
        file: impl Read,
        delimiter: u8,
        name: &str,
        place: &str,
        root: &Path,
    ) -> Result<Self> {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(file);
        let mut list = List::default();
        let mut columns = [Some(0), Some(1), Some(2)];
        let mut record = csv::StringRecord::new();
        let mut first = true;
        loop {
            let line = reader.position().line();
            let at = |e: Error| e.within(format_args!("{place}, line {line}"));
            match reader.read_record(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(e) => return Err(Error::failed(e).within(place)),
            }
            let is_first = std::mem::take(&mut first);
            if is_first && let Some(named) = header(&record) {
                columns = named;
                continue;
            }
            if is_first && looks_like_a_header(record.iter(), root) {
                return Err(at(Error::failed(format_args!(
                    "`{}` looks like a header, but no column is called {}: rename the one with the files",
                    record.iter().collect::<Vec<_>>().join(if delimiter == b',' {
                        ","
                    } else {
                        " "
                    }),
                    PATH.join(", ")
                ))));
            }
            let field = |i: usize| {
                columns[i].and_then(|c| record.get(c)).filter(|f| !f.is_empty())
            };
            let path = field(0).ok_or_else(|| at(Error::failed("has no path")))?;
            list.add(path, field(1), field(2)).map_err(at)?;
        }
        list.finish(name, place, root)
    }
}

/// The columns by their names; `None` where the first line is no header.
fn header(record: &csv::StringRecord) -> Option<[Option<usize>; 3]> {
    let find = |names: &[&str]| {
        record.iter().position(|f| names.iter().any(|n| n.eq_ignore_ascii_case(f)))
    };
    let path = find(&PATH)?;
    Some([Some(path), find(&LABEL), find(&SPLIT)])
}

/// Whether the first line names columns that are not known, all or some: no field has the
/// ending of an image's name or a folder, and the first is no file.
fn looks_like_a_header<'a>(
    fields: impl Iterator<Item = &'a str> + Clone,
    root: &Path,
) -> bool {
    let named = |field: &str| {
        let known = [&PATH[..], &LABEL[..], &SPLIT[..]].concat();
        known.iter().any(|name| name.eq_ignore_ascii_case(field.trim()))
    };
    let is_path = |field: &str| {
        field.contains('/') || Path::new(field.trim()).extension().is_some()
    };
    let first = fields.clone().next().unwrap_or_default();
    !fields.clone().any(is_path)
        && (fields.clone().any(named) || fields.count() > 1)
        && !root.join(first).exists()
}

impl List {
    fn add(
        &mut self,
        path: &str,
        label: Option<&str>,
        split: Option<&str>,
    ) -> Result<()> {
        if self.names.len().is_multiple_of(4096) {
            interrupt::check()?;
        }
        let parent = || {
            Path::new(path).parent().and_then(Path::file_name).and_then(|n| n.to_str())
        };
        let label = label.filter(|l| !l.is_empty()).or_else(parent).ok_or_else(|| {
            Error::failed(format_args!(
                "{path} has no label, and lies in no folder that could be its class"
            ))
        })?;
        let split = match split.filter(|s| !s.is_empty()) {
            None => UNSPLIT,
            Some(name) => split_of(name).ok_or_else(|| {
                Error::failed(format_args!("`{name}` is no split: train, test or val"))
            })?,
        };
        if split == UNSPLIT
            && !self.splits.contains_key(UNSPLIT)
            && !self.splits.is_empty()
        {
            return Err(Error::failed("has no split, but lines before it have one"));
        }
        if split != UNSPLIT && self.splits.contains_key(UNSPLIT) {
            return Err(Error::failed("has a split, but lines before it have none"));
        }
        let next = self.classes.len() as u32;
        let label = match self.classes.get(label) {
            Some(&known) => known,
            None => *self.classes.entry(label.to_owned()).or_insert(next),
        };
        let record = u32::try_from(self.names.len())
            .map_err(|_| Error::failed("over 4 billion images"))?;
        self.names.push(path);
        let sample = Sample { label, store: 0, record };
        match self.splits.get_mut(split) {
            Some(samples) => samples.push(sample),
            None => drop(self.splits.insert(split.to_owned(), vec![sample])),
        }
        Ok(())
    }

    fn finish(mut self, name: &str, place: &str, root: &Path) -> Result<Dataset> {
        if self.names.len() == 0 {
            return Err(Error::failed(format_args!("{place}: lists no images")));
        }
        let mut classes: Vec<(String, u32)> = self.classes.into_iter().collect();
        // Sorted by name already; numbers in their own order, so that class 10 comes
        // after class 9.
        if classes.iter().all(|(name, _)| name.parse::<u64>().is_ok()) {
            classes.sort_by_key(|(name, _)| name.parse::<u64>().unwrap_or_default());
        }
        let mut label_of = vec![0; classes.len()];
        for ((_, before), label) in classes.iter().zip(0..) {
            label_of[*before as usize] = label;
        }
        for sample in self.splits.values_mut().flatten() {
            sample.label = label_of[sample.label as usize];
        }
        super::detect::val_is_test(&mut self.splits);
        Ok(Dataset {
            name: name.to_owned(),
            classes: classes.into_iter().map(|(name, _)| name).collect(),
            splits: self.splits,
            notes: Vec::new(),
            empty: Vec::new(),
            stores: vec![Store::Files(Files {
                root: root.to_path_buf(),
                prefix: String::new(),
                names: self.names,
            })],
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(text: &str) -> Result<Dataset> {
        Dataset::from_lines(&mut text.as_bytes(), "standard input", Path::new(""))
    }

    fn csv(text: &str) -> Result<Dataset> {
        Dataset::from_csv_reader(
            text.as_bytes(),
            b',',
            "pets",
            "pets.csv",
            Path::new("data"),
        )
    }

    fn listed(set: &Dataset, split: &str) -> Vec<(String, u32)> {
        set.splits[split].iter().map(|&s| (set.location(s), s.label)).collect()
    }

    #[test]
    fn lines_have_labels_or_take_their_folders() {
        let set = lines("a/dog/1.jpg\n\na/cat/2.jpg\r\nx.jpg\tdog\n").unwrap();
        assert_eq!(set.classes, ["cat", "dog"]);
        let expected = [("a/dog/1.jpg", 1), ("a/cat/2.jpg", 0), ("x.jpg", 1)]
            .map(|(p, l)| (p.to_owned(), l));
        assert_eq!(listed(&set, UNSPLIT), expected);
        let wrong = lines("a/b.jpg\nb.jpg\n").unwrap_err().to_string();
        assert!(
            wrong.starts_with("standard input, line 2: b.jpg has no label"),
            "{wrong}"
        );
        assert!(lines("\n").unwrap_err().to_string().contains("lists no images"));
    }

    #[test]
    fn headers_that_are_not_known_are_told_from_images() {
        for header in
            ["image_id,label", "image_id\tlabel", "path\tlabel\tsplit", "id;breed"]
        {
            let wrong =
                lines(&format!("{header}\na/1.jpg\tcat\n")).unwrap_err().to_string();
            assert!(
                wrong.starts_with(&format!(
                    "standard input, line 1: `{header}` looks like a header"
                )),
                "{wrong}"
            );
        }
        for header in ["image_id,label", "id,breed"] {
            let wrong = csv(&format!("{header}\n1.jpg,cat\n")).unwrap_err().to_string();
            assert!(
                wrong.starts_with(&format!(
                    "pets.csv, line 1: `{header}` looks like a header"
                )),
                "{wrong}"
            );
            assert!(wrong.contains("no column is called path, file,"), "{wrong}");
        }
        assert!(csv("a/1,cat\n").is_ok() && csv("1.jpg,label\n").is_ok());
    }

    #[test]
    fn a_csv_names_its_columns_or_keeps_the_order() {
        let set = csv("split,label,path\ntest,10,\"a,b.png\"\ntrain,9,c.png\n").unwrap();
        assert_eq!(set.classes, ["9", "10"], "numbers are sorted as numbers");
        assert_eq!(listed(&set, "test"), [("data/a,b.png".to_owned(), 1)]);
        let set = csv("c.png,cat\nd.png,dog\n").unwrap();
        assert_eq!(listed(&set, UNSPLIT).len(), 2);
        let wrong = csv("path,split\nx/a.png,train\nx/b.png,\n").unwrap_err().to_string();
        assert_eq!(wrong, "pets.csv, line 3: has no split, but lines before it have one");
        let wrong = csv("x/a.png,cat,dev\n").unwrap_err().to_string();
        assert!(wrong.contains("line 1: `dev` is no split"), "{wrong}");
    }

    proptest! {
        #[test]
        fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Dataset::from_lines(&mut &noise[..], "noise", Path::new(""));
            let _ = Dataset::from_csv_reader(&noise[..], b',', "noise", "noise", Path::new(""));
        }

        #[test]
        fn what_is_listed_is_found(rows in proptest::collection::vec(("[a-z]{1,5}/[a-z]{1,5}\\.png", "[a-c]{1,2}"), 1..20)) {
            let text: String = rows.iter().map(|(path, label)| format!("{path}\t{label}\n")).collect();
            let set = lines(&text).unwrap();
            let back: Vec<_> = set.splits[UNSPLIT]
                .iter()
                .map(|&s| (set.source(s), set.classes[s.label as usize].clone()))
                .collect();
            prop_assert_eq!(back, rows);
        }
    }
}
