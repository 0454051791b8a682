//! Checkpoints as safetensors files, in the article's two kinds.
//!
//! *Full*: the state dict, with the [`Spec`] in the file's metadata. *Weights only*: just
//! the state dict. In both, the tensors have PyTorch's names, shapes and layout, so
//! `load_state_dict(load_file(path))` works with `strict=True`. The metadata also has a
//! checksum of everything else. It is verified on reading if present.
//!
//! Other programs' safetensors files and the state dicts that `torch.save` writes can be
//! read too. The first bytes tell them apart.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use memmap2::Mmap;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::Value;
use tch::{Kind, Tensor, no_grad};
use torchmill::{Context, Error, Result, atomic};

use crate::model::Model;
use crate::spec::Spec;
use crate::state_dict::{DType, Entry, FileBytes, StateDict, View};
use crate::tensor::{f_bytes, f_download};
use crate::{foreign, torch_error, torch_save};

/// The metadata key. There is only one, because safetensors writes several in random
/// order.
const KEY: &str = "torchmill";

/// How metadata with a checksum begins. Eight hexadecimal digits and a quote follow.
const CHECKSUM: &str = r#"{"crc32c":""#;

/// The contents of a checkpoint.
pub struct Checkpoint {
    /// The tensors by name. The file is mapped, and each tensor is read when it is used.
    pub tensors: StateDict,
    /// The network's structure, if the file holds it.
    pub spec: Option<Spec>,
}

/// Encodes a checkpoint: full with a spec, weights only without one.
pub fn encode(model: &Model, spec: Option<&Spec>) -> Result<Vec<u8>> {
    let mut arrays = Vec::new();
    let tensors: Vec<&Tensor> = model.state_dict().map(|named| &named.tensor).collect();
    let copies = no_grad(|| f_download(&tensors)).map_err(|e| torch_error(&e))?;
    for (named, tensor) in model.state_dict().zip(copies) {
        let (dtype, kind) = match tensor.kind() {
            Kind::Int64 => (Dtype::I64, Kind::Int64),
            _ => (Dtype::F32, Kind::Float),
        };
        let dense = no_grad(|| tensor.f_contiguous()?.f_to_kind(kind));
        let bytes =
            dense.and_then(|dense| f_bytes(&dense)).map_err(|e| torch_error(&e))?;
        let shape: Vec<usize> = tensor.size().iter().map(|&n| n as usize).collect();
        arrays.push((named.name.clone(), dtype, shape, bytes));
    }
    let mut views = Vec::new();
    for (name, dtype, shape, bytes) in &arrays {
        let view =
            TensorView::new(*dtype, shape.clone(), bytes).map_err(Error::failed)?;
        views.push((name.as_str(), view));
    }
    let spec = spec.map(Spec::to_json).transpose()?;
    let metadata = metadata_with_checksum(&views, spec.as_deref());
    let metadata = HashMap::from([(KEY.to_owned(), metadata)]);
    safetensors::serialize(views, Some(metadata))
        .map_err(|e| Error::failed(format_args!("the checkpoint: {e}")))
}

/// Writes a checkpoint atomically and returns the CRC-32C of its bytes.
pub fn write(path: &Path, model: &Model, spec: Option<&Spec>) -> Result<u32> {
    let bytes = encode(model, spec)?;
    atomic::write(path, &bytes)?;
    Ok(checksum(&bytes))
}

/// The CRC-32C of a checkpoint file's bytes, which the training state records.
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// Reads a checkpoint: a safetensors file, or a state dict that `torch.save` wrote.
///
/// # Errors
/// If the file cannot be read, is damaged, or is in another format.
pub fn read(path: &Path) -> Result<Checkpoint> {
    let file = File::open(path).doing("read", path)?;
    let about = file.metadata().doing("read", path)?;
    if !about.is_file() {
        return Err(Error::failed(format_args!("{} is not a file", path.display())));
    }
    if about.len() == 0 {
        return Err(Error::failed(format_args!("{} is empty", path.display())));
    }
    // SAFETY: the map is valid as long as nobody truncates the file. torchmill never
    // changes a checkpoint in place: it renames a new file over it, and the map keeps the
    // old one.
    let map = unsafe { Mmap::map(&file) }.doing("read", path)?;
    of_file(Box::new(map)).map_err(|e| e.within(path.display()))
}

/// Decodes a checkpoint from a file's bytes.
pub fn decode(bytes: impl Into<Vec<u8>>) -> Result<Checkpoint> {
    let bytes: Vec<u8> = bytes.into();
    of_file(Box::new(bytes))
}

fn of_file(file: FileBytes) -> Result<Checkpoint> {
    let bytes = (*file).as_ref();
    let (entries, spec) = if torch_save::is_one(bytes) {
        (torch_save::read(bytes)?, None)
    } else {
        read_safetensors(bytes)?
    };
    Ok(Checkpoint { tensors: StateDict::of_file(file, entries), spec })
}

fn read_safetensors(bytes: &[u8]) -> Result<(Vec<Entry>, Option<Spec>)> {
    if let Some(other) = foreign::describe(bytes) {
        return Err(Error::failed(other));
    }
    let damaged = |e: safetensors::SafeTensorError| {
        Error::failed(format_args!(
            "is not a whole safetensors file ({e}): it is damaged"
        ))
    };
    let (header_length, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let text = metadata.metadata().as_ref().and_then(|m| m.get(KEY));
    let text = text.map(String::as_str);
    let spec = check_metadata(&file, text)?;
    // The data follows the header. The first eight bytes hold the header's length.
    let data_start = 8 + header_length;
    let mut entries = Vec::new();
    for (name, info) in metadata.tensors() {
        let dtype = DType::of_safetensors(info.dtype).ok_or_else(|| {
            Error::failed(format_args!(
                "`{name}` has the unsupported dtype {:?}",
                info.dtype
            ))
        })?;
        let (start, end) = info.data_offsets;
        let range = data_start + start..data_start + end;
        let shape = info.shape.iter().map(|&n| n as i64).collect();
        let view = View::dense(dtype, range, shape);
        view.check(bytes.len()).map_err(|e| e.within(format_args!("tensor `{name}`")))?;
        entries.push(Entry::in_file(&name, view));
    }
    entries.sort_by(|a, b| a.name().cmp(b.name()));
    Ok((entries, spec))
}

/// The metadata: the spec's JSON object with a checksum as its first key. Without a spec,
/// the object has only the checksum.
fn metadata_with_checksum(tensors: &[(&str, TensorView)], spec: Option<&str>) -> String {
    let spec = spec.unwrap_or("{}");
    let crc = content_checksum(tensors, spec);
    let rest = spec.trim_start_matches('{');
    let comma = if rest == "}" { "" } else { "," };
    format!("{CHECKSUM}{crc:08x}\"{comma}{rest}")
}

/// Verifies the metadata's checksum if it has one. Returns the spec if it has one.
fn check_metadata(file: &SafeTensors, text: Option<&str>) -> Result<Option<Spec>> {
    let Some(text) = text else { return Ok(None) };
    let Some((crc, spec)) = split_checksum(text) else {
        return parse_spec(text).map(Some);
    };
    let tensors: Vec<(&str, TensorView)> = file.iter().collect();
    if content_checksum(&tensors, &spec) != crc {
        return Err(Error::failed(
            "does not match the checksum in its metadata: it was damaged or changed after \
             it was written",
        ));
    }
    if spec == "{}" { Ok(None) } else { parse_spec(&spec).map(Some) }
}

/// Parses the spec in the metadata.
///
/// # Errors
/// If it is not a spec, or has a number larger than any layer's size: sums and products
/// of sizes would overflow.
fn parse_spec(text: &str) -> Result<Spec> {
    const LARGEST: f64 = 1e10;
    let value: Value = serde_json::from_str(text)
        .map_err(|e| Error::failed(format_args!("the model spec: {e}")))?;
    if let Some(number) = number_above(&value, LARGEST) {
        return Err(Error::failed(format_args!(
            "the model spec has the number {number}, which no network has: it is damaged"
        )));
    }
    Spec::from_json(text)
}

/// A number in a JSON value whose magnitude is above `largest`.
fn number_above(value: &Value, largest: f64) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64().filter(|n| n.abs() > largest),
        Value::Array(items) => items.iter().find_map(|item| number_above(item, largest)),
        Value::Object(fields) => {
            fields.values().find_map(|item| number_above(item, largest))
        }
        Value::Null | Value::Bool(_) | Value::String(_) => None,
    }
}

/// Splits metadata into its leading checksum and the spec's JSON.
fn split_checksum(text: &str) -> Option<(u32, String)> {
    let rest = text.strip_prefix(CHECKSUM)?;
    let (digits, rest) = rest.split_once('"')?;
    let crc = u32::from_str_radix(digits, 16).ok()?;
    if digits != format!("{crc:08x}") {
        return None;
    }
    Some((crc, format!("{{{}", rest.strip_prefix(',').unwrap_or(rest))))
}

/// The CRC-32C of the spec's JSON and of every tensor, sorted by name: the name, dtype,
/// shape and data, with each length as a little-endian u64.
fn content_checksum(tensors: &[(&str, TensorView)], spec: &str) -> u32 {
    let mut tensors: Vec<&(&str, TensorView)> = tensors.iter().collect();
    tensors.sort_by_key(|(name, _)| *name);
    let mut crc = crc32c::crc32c(spec.as_bytes());
    let mut add = |bytes: &[u8]| crc = crc32c::crc32c_append(crc, bytes);
    for (name, tensor) in tensors {
        add(&(name.len() as u64).to_le_bytes());
        add(name.as_bytes());
        add(format!("{:?}", tensor.dtype()).as_bytes());
        add(&(tensor.shape().len() as u64).to_le_bytes());
        for &size in tensor.shape() {
            add(&(size as u64).to_le_bytes());
        }
        add(tensor.data());
    }
    crc
}

#[cfg(test)]
mod tests;
