//! Reads Python pickles of plain values and numpy arrays without executing anything.
//!
//! A pickle is a program for a stack machine (Python's `pickletools.py` describes it).
//! Its values are kept in one list and refer to each other by index, so that a deeply
//! nested or shared structure costs no more than the file's size. Calls are recorded, not
//! made. Long strings stay in the file: only their position is kept.

mod machine;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use crate::{Context, Error, Result, git_lfs};

/// The index of a value.
pub(super) type Id = usize;

/// A value.
#[derive(Debug, PartialEq)]
enum Value {
    None,
    Bool(bool),
    Integer(i64),
    /// Bytes or text: where it is in the file, and its text if it is short.
    String {
        start: u64,
        length: u64,
        text: Option<String>,
    },
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A function or class: `numpy.ndarray`.
    Global(String),
    /// A call, recorded but not made, and the state that the object would get.
    Call {
        function: Id,
        arguments: Id,
        state: Option<Id>,
    },
    /// A number that is not whole or is too large.
    Other,
}

/// A pickled value with everything that it refers to.
pub(super) struct Pickle {
    values: Vec<Value>,
    root: Id,
}

/// A numpy array of bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Array {
    /// Where its elements are in the file.
    pub start: u64,
    /// The number of elements, one byte each.
    pub length: u64,
    pub shape: Vec<usize>,
}

impl Pickle {
    /// Reads the pickle in the file `path`, which messages call `shown`.
    pub fn read(path: &Path, shown: &Path) -> Result<Self> {
        let file = File::open(path).doing("open", shown)?;
        let size = file.metadata().doing("read", shown)?.len();
        git_lfs::check_file(path)?;
        match machine::run(BufReader::new(file), size) {
            Ok(pickle) => Ok(pickle),
            Err(stop) => Err(Error::failed(format_args!(
                "{}: is not a pickle of plain values, or is damaged (at byte {}): {}",
                shown.display(),
                stop.at,
                stop.why
            ))),
        }
    }

    /// The value of `key` if the pickle is a dictionary.
    pub fn entry(&self, key: &str) -> Option<Id> {
        let Value::Dict(entries) = &self.values[self.root] else { return None };
        let is_key = |id: Id| match &self.values[id] {
            Value::String { text, .. } => text.as_deref() == Some(key),
            _ => false,
        };
        entries.iter().find(|(id, _)| is_key(*id)).map(|(_, value)| *value)
    }

    /// The elements of a list or tuple.
    pub fn list(&self, id: Id) -> Option<&[Id]> {
        match &self.values[id] {
            Value::List(elements) | Value::Tuple(elements) => Some(elements),
            _ => None,
        }
    }

    /// A whole number.
    pub fn integer(&self, id: Id) -> Option<i64> {
        match self.values[id] {
            Value::Integer(n) => Some(n),
            _ => None,
        }
    }

    /// A short text.
    pub fn text(&self, id: Id) -> Option<String> {
        match &self.values[id] {
            Value::String { text, .. } => text.clone(),
            _ => None,
        }
    }

    /// A numpy array of unsigned bytes in C order, in either form that numpy pickles:
    /// `_reconstruct` with a state, or `_frombuffer` (protocol 5).
    pub fn array_of_bytes(&self, id: Id) -> Option<Array> {
        let Value::Call { function, arguments, state } = &self.values[id] else {
            return None;
        };
        let Value::Global(function) = &self.values[*function] else { return None };
        let (shape, dtype, data) = match function.rsplit('.').next()? {
            "_reconstruct" => {
                let [_version, shape, dtype, is_fortran, data] = self.list((*state)?)?
                else {
                    return None;
                };
                if self.values[*is_fortran] != Value::Bool(false) {
                    return None;
                }
                (*shape, *dtype, *data)
            }
            "_frombuffer" => {
                let [data, dtype, shape, order] = self.list(*arguments)? else {
                    return None;
                };
                if self.text(*order)? != "C" {
                    return None;
                }
                (*shape, *dtype, self.wrapped(*data)?)
            }
            _ => return None,
        };
        let Value::String { start, length, .. } = self.values[data] else { return None };
        let dims = self.list(shape)?.iter();
        let dims = dims.map(|dim| usize::try_from(self.integer(*dim)?).ok());
        let shape = dims.collect::<Option<Vec<usize>>>()?;
        self.is_dtype_of_bytes(dtype).then_some(Array { start, length, shape })
    }

    /// A string, or the first argument of the call that would wrap it (`bytearray(...)`).
    fn wrapped(&self, id: Id) -> Option<Id> {
        match &self.values[id] {
            Value::String { .. } => Some(id),
            Value::Call { arguments, .. } => self.list(*arguments)?.first().copied(),
            _ => None,
        }
    }

    /// Whether this is `numpy.dtype("u1")`.
    fn is_dtype_of_bytes(&self, id: Id) -> bool {
        let Value::Call { arguments, .. } = &self.values[id] else { return false };
        let name = self.list(*arguments).and_then(|list| self.text(*list.first()?));
        name.is_some_and(|name| matches!(name.as_str(), "u1" | "|u1"))
    }
}
