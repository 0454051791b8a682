//! The list of files that a user writes: a TOML file.

use std::path::Path;

use serde::Deserialize;
use toml::Spanned;
use torchmill::dataset::{UNSPLIT, split_named};
use torchmill::{Context, Error, Result, suggest, text_file};

use super::{FileKind, ListedFile, Listing};
use crate::checksum::Checksum;
use crate::download::address;

/// The TOML file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListFile {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default, alias = "license")]
    licence: String,
    #[serde(default)]
    citation: String,
    kind: FileKind,
    #[serde(rename = "file", default)]
    files: Vec<FileTable>,
}

/// A `[[file]]` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileTable {
    url: Spanned<String>,
    path: Option<Spanned<String>>,
    split: Option<Spanned<String>>,
    size: Option<u64>,
    sha256: Option<Spanned<String>>,
    sha1: Option<Spanned<String>>,
    md5: Option<Spanned<String>>,
}

/// Reads the list of files at `path`.
///
/// # Errors
/// A usage error that says the line.
pub fn read(path: &Path) -> Result<Listing> {
    let text = text_file::read(path).doing("read", path)?;
    let source = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    parse(&text, path, &source.display().to_string())
}

/// Reads the text of a list, which messages call `shown` and dataset.toml `source`.
///
/// # Errors
/// As [`read`].
pub fn parse(text: &str, shown: &Path, source: &str) -> Result<Listing> {
    let shown = shown.display();
    let list: ListFile = text_file::from_toml(text).map_err(|e| e.within(&shown))?;
    if list.files.is_empty() {
        return Err(
            Error::usage("lists no files: add a [[file]] for each").within(&shown)
        );
    }
    let mut files = Vec::new();
    for table in &list.files {
        let file = listed_file(table, text);
        let mut file = file.map_err(|e| e.within(&shown))?;
        file.place = format!("{shown}: {}", file.place);
        files.push(file);
    }
    let listing = Listing {
        title: list.name,
        description: list.description,
        licence: licence(&list.licence, &list.citation),
        source: source.to_owned(),
        kind: list.kind,
        files,
        notes: Vec::new(),
        token: None,
        when_denied: "if the server wants a password, write the url as \
                      https://USER:PASSWORD@HOST/..."
            .to_owned(),
        when_different: format!(
            "if the publisher has replaced the file, correct its checksum and size in \
             {shown}"
        ),
    };
    let checked = listing.check();
    checked.map_err(|e| Error::usage(format_args!("{e}: {}", e.advice())))?;
    Ok(listing)
}

/// As the catalogue has it: `CC BY 4.0; cite A. Author, Title, 2020`.
fn licence(licence: &str, citation: &str) -> String {
    match (licence.trim(), citation.trim()) {
        (licence, "") => licence.to_owned(),
        ("", citation) => format!("none stated; cite {citation}"),
        (licence, citation) => format!("{licence}; cite {citation}"),
    }
}

fn listed_file(table: &FileTable, text: &str) -> Result<ListedFile> {
    let line = |span: std::ops::Range<usize>| {
        format!("line {}", text_file::line_at(text, span.start))
    };
    let place = line(table.url.span());
    let url = table.url.get_ref();
    check_url(url).map_err(|e| e.within(&place))?;
    let checksum = checksum(table, line).and_then(|found| {
        found.ok_or_else(|| {
            Error::usage(
                "the file has no checksum: add sha256 = \"...\" (`sha256sum FILE` prints \
                 it), or md5",
            )
            .within(&place)
        })
    })?;
    let split = match &table.split {
        Some(split) => {
            split_called(split.get_ref()).map_err(|e| e.within(line(split.span())))?
        }
        None => UNSPLIT,
    };
    let path = match &table.path {
        Some(path) => path.get_ref().clone(),
        None => last_part(url).map_err(|e| e.within(&place))?,
    };
    Ok(ListedFile {
        place,
        path,
        url: url.clone(),
        size: table.size,
        checksum: Some(checksum),
        split: split.to_owned(),
    })
}

fn check_url(url: &str) -> Result<()> {
    let shown = address::without_query(url);
    match url.split_once("://") {
        Some(("http" | "https", rest)) if !rest.is_empty() => Ok(()),
        Some(("file", path)) if path.starts_with('/') => Ok(()),
        Some(("file", _)) => Err(Error::usage(format_args!(
            "{shown} is not an absolute path: write file:///FOLDER/FILE"
        ))),
        Some((scheme, _)) => Err(Error::usage(format_args!(
            "{shown}: {scheme}:// is not supported, only https://, http:// and file:// are"
        ))),
        None => Err(Error::usage(format_args!(
            "`{shown}` is not a URL: write https://..., http://... or \
             file:///FOLDER/FILE"
        ))),
    }
}

/// The only one of the three checksums that is given.
fn checksum(
    table: &FileTable,
    line: impl Fn(std::ops::Range<usize>) -> String,
) -> Result<Option<Checksum>> {
    let sums = [("sha256", &table.sha256), ("sha1", &table.sha1), ("md5", &table.md5)];
    let mut found = None;
    for (algorithm, sum) in sums {
        let Some(sum) = sum else { continue };
        let place = line(sum.span());
        if found.is_some() {
            return Err(
                Error::usage("give one checksum: sha256, sha1 or md5").within(place)
            );
        }
        let sum = format!("{algorithm}:{}", sum.get_ref().trim());
        found = Some(sum.parse().map_err(|e: Error| e.within(place))?);
    }
    Ok(found)
}

fn split_called(name: &str) -> Result<&'static str> {
    split_named(name).ok_or_else(|| {
        Error::usage(format_args!(
            "`{name}` is not a split: there are train, test and validation{}",
            suggest::did_you_mean(name, ["train", "test", "validation"])
        ))
    })
}

/// The name of the file at a URL.
fn last_part(url: &str) -> Result<String> {
    let whole = address::without_query(url);
    let path = whole.split_once("://").map_or("", |(_, rest)| rest);
    match path.rsplit_once('/') {
        Some((_, name)) if !name.is_empty() => Ok(name.to_owned()),
        _ => Err(Error::usage(format_args!(
            "{whole} does not end with a file's name: add path = \"...\""
        ))),
    }
}

#[cfg(test)]
mod tests {
    use torchmill::ErrorKind;

    use super::*;

    const SUM: &str = "sha256 = \
        \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"";

    fn list(kind: &str, files: &str) -> Result<Listing> {
        let text = format!("name = \"Pets\"\nkind = \"{kind}\"\n{files}");
        parse(&text.replace("SUM", SUM), Path::new("pets.toml"), "/home/pets.toml")
    }

    #[test]
    fn files_get_their_names_and_splits() {
        let files = "license = 'CC0'\ncitation = 'A. Author'\n\
            [[file]]\nurl = 'https://a.org/x/train-0.parquet?v=1'\nSUM\nsplit = 'train'\n\
            size = 5\n[[file]]\nurl = 'file:///x/b'\npath = 'b/0.parquet'\n\
            md5 = '900150983cd24fb0d6963f7d28e17f72'\nsplit = 'validation'\n";
        let list = list("parquet", files).unwrap();
        assert_eq!(list.kind, FileKind::Parquet);
        assert_eq!(list.licence, "CC0; cite A. Author");
        let paths: Vec<&str> = list.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["train-0.parquet", "b/0.parquet"]);
        assert_eq!(list.files[0].size, Some(5));
        // Without a test split the validation split is one.
        let splits = list.splits();
        assert_eq!(splits["train"], ["train-0.parquet"]);
        assert_eq!(splits["test"], ["b/0.parquet"]);
    }

    #[test]
    fn mistakes_are_said_with_their_lines() {
        let file = |lines: &str| format!("[[file]]\nurl = 'https://a.org/a'\n{lines}\n");
        let two = |lines: &str| file("SUM") + &file(lines);
        for (files, message) in [
            ("".to_owned(), "pets.toml: lists no files"),
            (file("SUM\nsplt = 'train'"), "line 6: unknown field `splt`"),
            (file("SUM\nsplt = 'train'"), "did you mean split?"),
            (file("SUM\nsize = -1"), "line 6: "),
            (file(""), "line 4: the file has no checksum"),
            (file("sha256 = '12'"), "line 5: `sha256:12` is not a checksum"),
            (file("SUM\nmd5 = '1'"), "line 6: give one checksum"),
            (file("SUM\nsplit = 'tain'"), "line 6: `tain` is not a split"),
            (file("SUM\nsplit = 'tain'"), "did you mean train?"),
            (two("SUM"), "line 7: `a` is the name of the file of pets.toml: line 4 too"),
            (two("SUM\npath = 'A'"), "`A` is the name of the file of"),
            (two("SUM\npath = 'a/b'"), "has a folder with the name of the file"),
            (two("SUM\npath = 'b'\nsplit = 'train'"), "`a` has no split, and `b` is of"),
            (file("SUM\npath = '../a'"), "line 4: `../a` leads out of"),
            (file("SUM\npath = '/etc/a'"), "`/etc/a` leads out of"),
            (file("SUM\npath = 'x/.a'"), "or to a hidden file"),
            (two("SUM\npath = './a'"), "`./a` leads out of"),
            (file("SUM\npath = 'x//a'"), "`x//a` leads out of"),
            (file("SUM\npath = 'x/'"), "is not the name of a file"),
            (file("SUM\npath = 'x/'"), "give another `path`, such as"),
            (two("SUM"), "too: give one of them another `path`"),
            (file("SUM\npath = 'dataset.toml'"), "describes the data set"),
            (file("SUM\npath = 'Dataset.TOML'"), "describes the data set"),
            (file("SUM\npath = 'dataset.toml/a'"), "describes the data set"),
            (file("SUM\npath = 'x/a.part'"), "an unfinished download"),
            (file("SUM\npath = 'a.Part.toml'"), "an unfinished download"),
            (
                "[[file]]\nurl = 'ftp://me:secret@a.org/a?sig=secret'\nSUM".to_owned(),
                "ftp:// is not",
            ),
            ("[[file]]\nurl = 'file://a'\nSUM".to_owned(), "line 4: file://a is not an"),
            ("[[file]]\nurl = 'a.tar'\nSUM".to_owned(), "`a.tar` is not a URL"),
            ("[[file]]\nurl = 'https://a.org/'\nSUM".to_owned(), "add path = "),
            ("file = 3".to_owned(), "line 3: "),
        ] {
            let error = list("parquet", &files).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            let error = error.to_string();
            assert!(error.starts_with("pets.toml: "), "{error}");
            assert!(error.contains(message), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let error = list("tables", &file("SUM")).unwrap_err().to_string();
        assert!(error.contains("line 2: unknown variant `tables`"), "{error}");
    }

    #[test]
    fn the_documented_list_is_read() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/datasets.md");
        let page = std::fs::read_to_string(page).unwrap();
        let block = page.split("```toml\n").nth(1).unwrap();
        let text = block.split("```").next().unwrap();
        let list = parse(text, Path::new("digits.toml"), "digits.toml").unwrap();
        assert_eq!(list.kind, FileKind::WebDataset);
        assert_eq!(list.splits()["test"], ["validation.tar"]);
    }
}
