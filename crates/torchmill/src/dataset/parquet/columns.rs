//! Which columns of a Parquet file hold the images and the labels.

use parquet::basic::Type as PhysicalType;
use parquet::file::metadata::FileMetaData;
use parquet::schema::types::ColumnDescriptor;
use serde::Deserialize;
use serde_json::Value;

use super::super::list::label_rank;
use super::super::options::ColumnNames;
use super::super::survey::listed;
use crate::suggest::did_you_mean;
use crate::text::shown;
use crate::{Error, Result};

/// Where Hugging Face's description of the columns is in the metadata.
const DESCRIPTION: &str = "huggingface";
/// Usual names of columns of images.
const IMAGE: [&str; 6] = ["image", "img", "images", "bytes", "image_bytes", "jpg"];

/// The two columns that are read.
#[derive(Debug)]
pub struct Columns {
    pub image: Column,
    pub label: Column,
    /// The names of the classes, if the metadata has them.
    pub classes: Option<Vec<String>>,
}

/// A column of values that are not lists.
#[derive(Debug, Clone)]
pub struct Column {
    /// The name of the top-level column.
    pub name: String,
    /// The index among all leaves of the schema.
    pub leaf: usize,
    /// The definition level of a value that is not null.
    pub max_level: i16,
}

/// Hugging Face's description of one column.
#[derive(Debug, Default, Deserialize)]
struct Feature {
    #[serde(rename = "_type", default)]
    kind: Value,
    #[serde(default)]
    names: Option<Vec<String>>,
}

impl Feature {
    fn is(&self, kind: &str) -> bool {
        self.kind == kind
    }
}

/// The schema, as far as it matters here.
struct Schema<'a> {
    leaves: &'a [std::sync::Arc<ColumnDescriptor>],
    /// The top-level columns with their descriptions, if there are any.
    names: Vec<(String, Feature)>,
}

impl Columns {
    /// Finds the columns: those that `wanted` names, else those that the metadata
    /// describe as images and classes, else those with usual names.
    pub fn find(metadata: &FileMetaData, wanted: &ColumnNames) -> Result<Self> {
        if wanted.split.is_some() {
            return Err(Error::usage(
                "--columns split=NAME is for lists: a Parquet file is of the split that \
                 its name says",
            ));
        }
        let schema = Schema::new(metadata);
        let image = schema.choose(&Role::IMAGE, wanted.image.as_deref())?;
        let label = schema.choose(&Role::LABEL, wanted.label.as_deref())?;
        let feature = schema.names.iter().find(|(name, _)| *name == label.name);
        let classes = feature.and_then(|(_, feature)| feature.names.clone());
        Ok(Self { image, label, classes })
    }
}

/// What a column is used for.
struct Role {
    /// Its name in messages and in `--columns`.
    name: &'static str,
    /// Hugging Face's type for such a column.
    feature: &'static str,
    /// How likely a column without a description has this role by its name: lower is
    /// likelier.
    rank: fn(&str) -> Option<usize>,
    /// Its leaf, if the column has the right type.
    leaf: fn(&Schema, &str) -> Option<Column>,
    /// The right type, for messages.
    types: &'static str,
}

impl Role {
    const IMAGE: Self = Self {
        name: "image",
        feature: "Image",
        rank: |name| IMAGE.iter().position(|usual| name.eq_ignore_ascii_case(usual)),
        leaf: |schema, name| {
            let is_bytes = |kind| kind == PhysicalType::BYTE_ARRAY;
            schema
                .leaf(&[name, "bytes"], is_bytes)
                .or_else(|| schema.leaf(&[name], is_bytes))
        },
        types: "bytes, or a struct of `bytes` and `path`",
    };
    const LABEL: Self = Self {
        name: "label",
        feature: "ClassLabel",
        rank: label_rank,
        leaf: |schema, name| {
            let is_label = |kind| {
                matches!(
                    kind,
                    PhysicalType::INT32
                        | PhysicalType::INT64
                        | PhysicalType::BOOLEAN
                        | PhysicalType::BYTE_ARRAY
                )
            };
            schema.leaf(&[name], is_label)
        },
        types: "whole numbers or text",
    };
}

impl<'a> Schema<'a> {
    fn new(metadata: &'a FileMetaData) -> Self {
        let schema = metadata.schema_descr();
        let features = features(metadata);
        let mut names = Vec::new();
        for field in schema.root_schema().get_fields() {
            let feature = features.get(field.name()).cloned().unwrap_or_default();
            let feature = serde_json::from_value(feature).unwrap_or_default();
            names.push((field.name().to_owned(), feature));
        }
        Self { leaves: schema.columns(), names }
    }

    /// The leaf at a path if its type is right and it is not within a list.
    fn leaf(&self, path: &[&str], is_right: fn(PhysicalType) -> bool) -> Option<Column> {
        let leaf = self.leaves.iter().position(|leaf| leaf.path().parts() == path)?;
        let descriptor = &self.leaves[leaf];
        let is_right =
            is_right(descriptor.physical_type()) && descriptor.max_rep_level() == 0;
        is_right.then(|| Column {
            name: path[0].to_owned(),
            leaf,
            max_level: descriptor.max_def_level(),
        })
    }

    fn choose(&self, role: &Role, wanted: Option<&str>) -> Result<Column> {
        if let Some(name) = wanted {
            return self.named(role, name);
        }
        let described = self.names.iter().filter(|(_, f)| f.is(role.feature));
        let mut found: Vec<&String> = described.map(|(name, _)| name).collect();
        if found.is_empty() {
            let names = self.names.iter().map(|(name, _)| name);
            let ranked = names
                .filter(|name| (role.leaf)(self, name).is_some())
                .filter_map(|name| Some(((role.rank)(name)?, name)));
            found = ranked.min().map(|(_, name)| name).into_iter().collect();
        }
        match &found[..] {
            [name] => self.named(role, name),
            [] => Err(Error::failed(format_args!(
                "no column is known to hold the {}s ({}); its columns are {}: name it \
                 with --columns {}=NAME",
                role.name,
                role.types,
                self.listed(),
                role.name
            ))),
            _ => Err(Error::failed(format_args!(
                "the columns {} may all hold the {}s: choose with --columns {}=NAME",
                listed(&found),
                role.name,
                role.name
            ))),
        }
    }

    fn named(&self, role: &Role, name: &str) -> Result<Column> {
        if let Some(column) = (role.leaf)(self, name) {
            return Ok(column);
        }
        let names = self.names.iter().map(|(name, _)| name.as_str());
        if !names.clone().any(|column| column == name) {
            return Err(Error::failed(format_args!(
                "has no column `{}`, only {}{}",
                shown(name),
                self.listed(),
                did_you_mean(name, names)
            )));
        }
        Err(Error::failed(format_args!(
            "the column `{}` cannot be that of the {}s: it must be {}",
            shown(name),
            role.name,
            role.types
        )))
    }

    fn listed(&self) -> String {
        let names: Vec<String> = self.names.iter().map(|(name, _)| shown(name)).collect();
        listed(&names)
    }
}

/// Hugging Face's descriptions by the columns' names; empty if there are none.
fn features(metadata: &FileMetaData) -> serde_json::Map<String, Value> {
    let pairs = metadata.key_value_metadata().into_iter().flatten();
    let mut texts = pairs.filter(|pair| pair.key == DESCRIPTION);
    let text = texts.next().and_then(|pair| pair.value.as_deref()).unwrap_or("");
    let description: Value = serde_json::from_str(text).unwrap_or_default();
    match description.pointer("/info/features") {
        Some(Value::Object(features)) => features.clone(),
        _ => serde_json::Map::new(),
    }
}
