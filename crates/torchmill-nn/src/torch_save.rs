//! Reading the state dicts that `torch.save` writes: a zip archive with a pickle of
//! names, shapes and strides (`data.pkl`) and each storage's raw bytes (`data/0`, ...),
//! as PyTorch has written them since 1.6.
//!
//! Only what a state dict needs is understood, and nothing is ever executed: a pickle
//! that calls for other functions yields values that are ignored.

mod pickle;

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use torchmill::{Context, Error, Result};
use zip::ZipArchive;

use pickle::{Value, View};

/// The type of a saved tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DType {
    /// `torch.float32`
    Float32,
    /// `torch.float64`
    Float64,
    /// `torch.float16`
    Float16,
    /// `torch.bfloat16`
    BFloat16,
    /// `torch.int64`
    Int64,
}

impl DType {
    /// Bytes an element.
    pub fn size(self) -> usize {
        match self {
            Self::Float16 | Self::BFloat16 => 2,
            Self::Float32 => 4,
            Self::Float64 | Self::Int64 => 8,
        }
    }
}

/// A tensor of a state dict, contiguous and little-endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Its name, such as `module1.0.weight`.
    pub name: String,
    /// Its type.
    pub dtype: DType,
    /// Its shape.
    pub shape: Vec<i64>,
    /// Its elements in row-major order.
    pub bytes: Vec<u8>,
}

/// How files of the older form begin: a pickle of its magic number,
/// 0x1950a86a20f9469cfc6c.
const BEFORE_1_6: [u8; 14] =
    [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// No pickle of names and shapes is larger.
const MAX_PICKLE: u64 = 64 << 20;

/// Reads the tensors of a state dict, in the order they were saved. A checkpoint that
/// holds its state dict under `state_dict`, `model_state_dict` or `model`, as training
/// scripts write them, is understood too.
pub fn read(path: &Path) -> Result<Vec<Saved>> {
    let file = File::open(path).doing("open", path)?;
    let size = file.metadata().doing("read", path)?.len();
    if begins_with(path, &BEFORE_1_6)? {
        return Err(Error::failed(format_args!(
            "{}: is in torch.save's form of before PyTorch 1.6; in Python, torch.save(torch.load(path), new_path) brings it into today's",
            path.display()
        )));
    }
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|e| {
        Error::failed(format_args!(
            "{}: is not a file that torch.save wrote ({e})",
            path.display()
        ))
    })?;
    extract(&mut archive, size).map_err(|e| e.within(path.display()))
}

/// Whether a file begins as those that `torch.save` has written: a zip archive, or the
/// form of before 1.6.
pub fn is_one(path: &Path) -> Result<bool> {
    Ok(begins_with(path, b"PK\x03\x04")? || begins_with(path, &BEFORE_1_6)?)
}

/// Whether a file's first bytes are these.
fn begins_with(path: &Path, bytes: &[u8]) -> Result<bool> {
    let mut first = Vec::new();
    let file = File::open(path).doing("read", path)?;
    file.take(bytes.len() as u64).read_to_end(&mut first).doing("read", path)?;
    Ok(first == bytes)
}

fn extract(archive: &mut ZipArchive<BufReader<File>>, size: u64) -> Result<Vec<Saved>> {
    let pickle = (0..archive.len())
        .filter_map(|i| Some(archive.name_for_index(i)?.ok()?.into_owned()))
        .find(|n| n == "data.pkl" || n.ends_with("/data.pkl"))
        .ok_or_else(|| {
            Error::failed("is a zip archive without data.pkl, so not torch.save's")
        })?;
    let folder = pickle.trim_end_matches("data.pkl").to_owned();
    let root = pickle::parse(&entry(archive, &pickle, MAX_PICKLE)?)?;
    let views = state_dict(&root)?;
    let mut storages: HashMap<String, Vec<u8>> = HashMap::new();
    let mut tensors = Vec::with_capacity(views.len());
    for (name, view) in views {
        let key = &view.storage;
        if !storages.contains_key(key) {
            // Storages are not compressed, so none is larger than the file.
            storages.insert(
                key.clone(),
                entry(archive, &format!("{folder}data/{key}"), size)?,
            );
        }
        let bytes = gather(view, &storages[key], size)
            .map_err(|e| e.within(format_args!("tensor `{name}`")))?;
        tensors.push(Saved {
            name: name.clone(),
            dtype: view.dtype,
            shape: view.shape.clone(),
            bytes,
        });
    }
    Ok(tensors)
}

fn entry(
    archive: &mut ZipArchive<BufReader<File>>,
    name: &str,
    limit: u64,
) -> Result<Vec<u8>> {
    let bad = |why: String| {
        Error::failed(format_args!(
            "its entry `{name}` cannot be read ({why}): it is damaged"
        ))
    };
    let file = archive.by_name(name).map_err(|e| bad(e.to_string()))?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|e| bad(e.to_string()))?;
    if bytes.len() as u64 > limit {
        Err(bad("it is too long".to_owned()))
    } else {
        Ok(bytes)
    }
}

/// The named tensors of the pickled object.
fn state_dict(root: &Value) -> Result<Vec<(&String, &View)>> {
    let Value::Dict(entries) = root else {
        return Err(Error::failed(
            "holds a whole pickled module or something else, not a state dict: save net.state_dict()",
        ));
    };
    let nested = ["state_dict", "model_state_dict", "model"].iter().find_map(|key| {
        entries.iter().find_map(|(k, v)| {
            matches!((k, v), (Value::Text(k), Value::Dict(_)) if k == key).then_some(v)
        })
    });
    if let Some(inner) = nested {
        return state_dict(inner);
    }
    let tensors: Vec<_> = entries
        .iter()
        .filter_map(|(name, value)| match (name, value) {
            (Value::Text(name), Value::Tensor(view)) => Some((name, &**view)),
            _ => None,
        })
        .collect();
    if tensors.is_empty() { Err(Error::failed("holds no tensors")) } else { Ok(tensors) }
}

/// A view's elements in row-major order; every one is checked to lie in the storage.
/// `limit` bounds what a view may ask for: an expanded one (stride 0) could ask for more
/// than any memory holds.
fn gather(view: &View, storage: &[u8], limit: u64) -> Result<Vec<u8>> {
    let size = view.dtype.size();
    let outside = || Error::failed("lies outside its storage: the file is damaged");
    let count =
        view.shape.iter().try_fold(1_u64, |n, &d| n.checked_mul(u64::try_from(d).ok()?));
    let count = count.filter(|n| n * size as u64 <= limit).ok_or_else(outside)? as usize;
    if view.shape.len() != view.strides.len() {
        return Err(outside());
    }
    let mut bytes = Vec::with_capacity(count * size);
    let mut index = vec![0_i64; view.shape.len()];
    let mut at = view.offset;
    for _ in 0..count {
        let start = usize::try_from(at)
            .ok()
            .and_then(|at| at.checked_mul(size))
            .ok_or_else(outside)?;
        bytes.extend(storage.get(start..start + size).ok_or_else(outside)?);
        for d in (0..index.len()).rev() {
            index[d] += 1;
            at = at.checked_add(view.strides[d]).ok_or_else(outside)?;
            if index[d] < view.shape[d] {
                break;
            }
            at = view.strides[d]
                .checked_mul(view.shape[d])
                .and_then(|s| at.checked_sub(s))
                .ok_or_else(outside)?;
            index[d] = 0;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
