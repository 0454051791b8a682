//! Finds the columns of a table that hold paths, classes and splits by their names.

use std::path::Path;

use super::super::options::ColumnNames;
use super::super::survey::listed;
use crate::suggest::did_you_mean;
use crate::text::shown;
use crate::{Error, Result};

/// Names of the column of paths, as letters and digits in lower case, the likeliest
/// first. They are those of torchvision's and Kaggle's data sets, of traffic signs
/// (GTSRB) and skin lesions (ISIC, HAM10000).
const PATH: [&str; 24] = [
    "path",
    "filepath",
    "imagepath",
    "imgpath",
    "file",
    "filename",
    "imagefile",
    "imagefilename",
    "imagename",
    "imgname",
    "image",
    "img",
    "filepaths",
    "filenames",
    "paths",
    "files",
    "images",
    "fname",
    "imageid",
    "imgid",
    "isicid",
    "fileid",
    "idcode",
    "id",
];
/// Names of the column of classes.
const LABEL: [&str; 22] = [
    "label",
    "labels",
    "class",
    "classname",
    "classlabel",
    "labelname",
    "category",
    "categoryname",
    "target",
    "targets",
    "species",
    "breed",
    "diagnosis",
    "dx",
    "celltype",
    "classid",
    "labelid",
    "categoryid",
    "classindex",
    "classidx",
    "y",
    "id",
];
/// Names of the column of splits.
const SPLIT: [&str; 6] = ["split", "set", "subset", "partition", "dataset", "phase"];

/// Where a table's columns are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    pub path: usize,
    pub label: Label,
    pub split: Option<usize>,
}

/// Where a row's class is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Label {
    /// In this column.
    Column(usize),
    /// In the name of the image's folder: the table has no other columns.
    Folder,
    /// One column for each class with a 1 for the row's class and a 0 for the others, as
    /// ISIC's truth tables have them: the columns and the class names.
    OneHot(Vec<(usize, String)>),
}

/// Reads a header; `None` if the first row is not one. Columns that are not given in
/// `names` are found by their usual names.
pub(super) fn from_header(
    header: &[&str],
    names: &ColumnNames,
) -> Result<Option<Columns>> {
    let plain: Vec<String> = header.iter().map(|name| plain(name)).collect();
    let path = match &names.image {
        Some(name) => Some(named(header, name)?),
        None => find(&plain, &PATH, None),
    };
    let label = match &names.label {
        Some(name) => Some(named(header, name)?),
        None => find(&plain, &LABEL, path),
    };
    let split = match &names.split {
        Some(name) => Some(named(header, name)?),
        None => find(&plain, &SPLIT, label.or(path)).filter(|&i| Some(i) != path),
    };
    Ok(path.map(|path| columns(header, path, label, split)))
}

/// The column of this name.
fn named(header: &[&str], name: &str) -> Result<usize> {
    header.iter().position(|column| *column == name).ok_or_else(|| {
        let columns: Vec<String> = header.iter().map(|column| shown(column)).collect();
        Error::failed(format_args!(
            "has no column `{}`, only {}{}",
            shown(name),
            listed(&columns),
            did_you_mean(name, header.iter().copied())
        ))
    })
}

fn columns(
    header: &[&str],
    path: usize,
    label: Option<usize>,
    split: Option<usize>,
) -> Columns {
    let others = (0..header.len())
        .filter(|&i| i != path && Some(i) != split && !header[i].is_empty())
        .map(|i| (i, header[i].to_owned()));
    let others: Vec<_> = others.collect();
    let label = match label {
        Some(label) => Label::Column(label),
        None if others.is_empty() => Label::Folder,
        None => Label::OneHot(others),
    };
    Columns { path, label, split }
}

/// How likely a column or key is to hold labels, judged by its name: lower is likelier.
/// `None` if the name is not known. An `id` is more often that of the image.
pub(in super::super) fn label_rank(name: &str) -> Option<usize> {
    let name = plain(name);
    LABEL.iter().position(|known| *known == name && name != "id")
}

/// The first column with one of these names, in the names' order.
fn find(header: &[String], names: &[&str], except: Option<usize>) -> Option<usize> {
    let column = |name: &&str| {
        header.iter().enumerate().position(|(i, h)| h == name && Some(i) != except)
    };
    names.iter().find_map(column)
}

/// A column's name as letters and digits in lower case.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase()
}

/// Whether this is a known column name.
pub(super) fn is_known(name: &str) -> bool {
    let name = plain(name);
    [&PATH[..], &LABEL[..], &SPLIT[..]].concat().contains(&name.as_str())
}

/// The class of a one-hot row: the only column with a 1.
pub(super) fn one_hot_class<'a>(
    classes: &'a [(usize, String)],
    cell: impl Fn(usize) -> Option<&'a str>,
) -> Result<&'a str> {
    let mut found = None;
    for (column, class) in classes {
        let value = cell(*column).and_then(|text| text.parse::<f64>().ok());
        match value {
            Some(0.0) => {}
            Some(1.0) if found.is_none() => found = Some(class.as_str()),
            _ => return Err(no_label(classes)),
        }
    }
    found.ok_or_else(|| no_label(classes))
}

/// The error for a table without a known label column.
fn no_label(others: &[(usize, String)]) -> Error {
    let names: Vec<String> = others.iter().map(|(_, name)| shown(name)).collect();
    let hint = names
        .iter()
        .map(|name| did_you_mean(&plain(name), LABEL))
        .find(|hint| !hint.is_empty());
    Error::failed(format_args!(
        "no column is known to hold the labels, and the others ({}) are not one 1 and \
         otherwise 0 in each row: name the column of labels with --columns label=NAME, or \
         rename it to `label`{}; known names are {}",
        listed(&names),
        hint.unwrap_or_default(),
        LABEL.join(", ")
    ))
}

/// The error for a table without a known path column.
pub(super) fn no_path(header: &[&str]) -> Error {
    Error::failed(format_args!(
        "`{}` looks like a header, but no column is known to hold the paths: name it \
         with --columns image=NAME, or rename it to `path`; known names are {}",
        shown(&header.join(",")),
        PATH.join(", ")
    ))
}

/// Whether the first row looks like a header without a known path column: no field has an
/// extension, as an image's name has, or a folder, and the first is not a file.
pub(super) fn looks_like_header(fields: &[&str], root: &Path) -> bool {
    let is_path = |field: &&str| {
        field.contains('/') || Path::new(field.trim()).extension().is_some()
    };
    let is_named = fields.iter().any(|field| is_known(field));
    let first = fields.first().copied().unwrap_or("");
    !fields.iter().any(is_path)
        && (is_named || fields.len() > 1)
        && !root.join(first).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(header: &str) -> Columns {
        let header: Vec<_> = header.split([',', ';']).collect();
        from_header(&header, &ColumnNames::default()).unwrap().unwrap()
    }

    fn column(header: &str) -> (usize, Label) {
        let columns = columns(header);
        (columns.path, columns.label)
    }

    #[test]
    fn columns_of_published_tables_are_known() {
        for (header, path, label) in [
            ("Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId", 0, 7),
            ("Width,Height,Roi.X1,Roi.Y1,Roi.X2,Roi.Y2,ClassId,Path", 7, 6),
            ("Image,Id", 0, 1),
            ("id,breed", 0, 1),
            ("filename,labels", 0, 1),
            ("File,ClassId", 0, 1),
            ("image_id,label", 0, 1),
            ("lesion_id,image_id,dx,dx_type,age,sex,localization", 1, 2),
            ("id_code,diagnosis", 0, 1),
            ("file,species", 0, 1),
            ("class id,filepaths,labels,data set,scientific name", 1, 2),
        ] {
            assert_eq!(column(header), (path, Label::Column(label)), "{header}");
        }
        assert_eq!(columns("class id,filepaths,labels,data set").split, Some(3));
    }

    #[test]
    fn named_columns_are_taken() {
        let names: ColumnNames = "image=photo,label=weight,split=fold".parse().unwrap();
        let found = from_header(&["path", "photo", "weight", "fold"], &names);
        let expected = Columns { path: 1, label: Label::Column(2), split: Some(3) };
        assert_eq!(found.unwrap(), Some(expected));
        let error = from_header(&["path", "phto"], &names).unwrap_err().to_string();
        assert!(error.contains("no column `photo`, only path, phto"), "{error}");
    }

    #[test]
    fn one_hot_columns_are_classes() {
        let (path, label) = column("image,MEL,NV,BCC");
        let Label::OneHot(classes) = label else { panic!("{label:?}") };
        assert_eq!((path, classes.len()), (0, 3));
        let row = ["x", "0.0", "1.0", "0"];
        let class = |row: &[&'static str; 4]| {
            one_hot_class(&classes, |i| row.get(i).copied()).map(str::to_owned)
        };
        assert_eq!(class(&row).unwrap(), "NV");
        for wrong in [["x", "1", "1", "0"], ["x", "0", "0", "0"], ["x", "a", "1", "0"]] {
            let message = class(&wrong).unwrap_err().to_string();
            assert!(message.contains("MEL, NV, BCC"), "{message}");
        }
    }

    #[test]
    fn a_table_of_paths_only_takes_the_folders() {
        assert_eq!(column("path,split").1, Label::Folder);
        let none = from_header(&["breed", "weight"], &ColumnNames::default());
        assert!(none.unwrap().is_none());
    }
}
