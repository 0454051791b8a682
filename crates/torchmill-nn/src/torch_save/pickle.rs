//! The part of Python's pickle language (pickletools.py describes it) that a state dict
//! uses.

use std::collections::HashMap;
use std::rc::Rc;

use torchmill::{Error, Result};

use super::DType;

/// A pickled value. Compound ones are shared, so that a small pickle cannot unfold into a
/// large one.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    None,
    Int(i64),
    Text(String),
    Tuple(Rc<Vec<Value>>),
    Dict(Rc<Vec<(Value, Value)>>),
    /// A function or class, by module and name.
    Global(Rc<(String, String)>),
    Storage(Rc<Storage>),
    Tensor(Rc<View>),
    /// Anything that a state dict's tensors do not depend on.
    Other,
}

#[derive(Debug, PartialEq)]
pub(super) struct Storage {
    dtype: DType,
    key: String,
}

/// A tensor: a strided view of a storage, in elements.
#[derive(Debug, PartialEq)]
pub(super) struct View {
    pub(super) dtype: DType,
    pub(super) storage: String,
    pub(super) offset: i64,
    pub(super) shape: Vec<i64>,
    pub(super) strides: Vec<i64>,
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
}

/// Runs the pickle and returns what it builds.
pub(super) fn parse(bytes: &[u8]) -> Result<Value> {
    let mut machine = Machine {
        bytes,
        at: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    loop {
        let at = machine.at;
        match machine.step() {
            Some(None) => {}
            Some(Some(result)) => return Ok(result),
            None => {
                return Err(Error::failed(format_args!(
                    "data.pkl is damaged or of another kind (at byte {at})"
                )));
            }
        }
    }
}

impl Machine<'_> {
    /// One instruction; `Some(Some(_))` at the end, `None` where it cannot be carried
    /// out.
    fn step(&mut self) -> Option<Option<Value>> {
        match self.byte()? {
            0x80 => drop(self.byte()?),  // PROTO
            0x95 => drop(self.take(8)?), // FRAME
            b'(' => self.marks.push(self.stack.len()),
            b'.' => return Some(Some(self.stack.pop()?)),
            b'0' => drop(self.stack.pop()?),
            b'N' => self.stack.push(Value::None),
            0x88 => self.stack.push(Value::Int(1)), // True
            0x89 => self.stack.push(Value::Int(0)), // False
            b'J' => {
                let n = i32::from_le_bytes(self.array()?);
                self.stack.push(Value::Int(n.into()));
            }
            b'K' => {
                let n = self.byte()?;
                self.stack.push(Value::Int(n.into()));
            }
            b'M' => {
                let n = u16::from_le_bytes(self.array()?);
                self.stack.push(Value::Int(n.into()));
            }
            0x8a => self.long()?,
            b'G' => {
                self.take(8)?;
                self.stack.push(Value::Other);
            }
            b'X' => {
                let n = u32::from_le_bytes(self.array()?);
                self.text(n as usize)?;
            }
            0x8c | b'U' => {
                let n = self.byte()?;
                self.text(n.into())?;
            }
            b'c' => {
                let global = (self.line()?, self.line()?);
                self.stack.push(Value::Global(Rc::new(global)));
            }
            0x93 => {
                let (Value::Text(name), Value::Text(module)) =
                    (self.stack.pop()?, self.stack.pop()?)
                else {
                    return None;
                };
                self.stack.push(Value::Global(Rc::new((module, name))));
            }
            b'q' => {
                let slot = self.byte()?;
                self.memo.insert(slot.into(), self.stack.last()?.clone());
            }
            b'r' => {
                let slot = u32::from_le_bytes(self.array()?);
                self.memo.insert(slot, self.stack.last()?.clone());
            }
            0x94 => {
                drop(
                    self.memo.insert(self.memo.len() as u32, self.stack.last()?.clone()),
                );
            }
            b'h' => {
                let slot = self.byte()?;
                self.stack.push(self.memo.get(&slot.into())?.clone());
            }
            b'j' => {
                let slot = u32::from_le_bytes(self.array()?);
                self.stack.push(self.memo.get(&slot)?.clone());
            }
            b')' => self.stack.push(Value::Tuple(Rc::default())),
            b't' => {
                let items = self.since_mark()?;
                self.stack.push(Value::Tuple(Rc::new(items)));
            }
            n @ 0x85..=0x87 => {
                let start = self.stack.len().checked_sub(usize::from(n - 0x84))?;
                let items = self.stack.split_off(start);
                self.stack.push(Value::Tuple(Rc::new(items)));
            }
            b'}' => self.stack.push(Value::Dict(Rc::default())),
            b'u' => {
                let items = self.since_mark()?;
                self.insert(&items)?;
            }
            b's' => {
                let items = self.stack.split_off(self.stack.len().checked_sub(2)?);
                self.insert(&items)?;
            }
            // Lists do not occur in what we need.
            b']' => self.stack.push(Value::Other),
            b'a' => drop(self.stack.pop()?),
            b'e' => drop(self.since_mark()?),
            b'Q' => {
                let id = self.stack.pop()?;
                self.stack.push(storage(&id));
            }
            b'R' => {
                let (arguments, function) = (self.stack.pop()?, self.stack.pop()?);
                self.stack.push(call(&function, &arguments));
            }
            // A class called: an object of no use to us.
            0x81 => {
                self.stack.truncate(self.stack.len().checked_sub(2)?);
                self.stack.push(Value::Other);
            }
            // An object's attributes, such as a state dict's `_metadata`.
            b'b' => drop(self.stack.pop()?),
            _ => return None,
        }
        Some(None)
    }

    fn take(&mut self, n: usize) -> Option<&[u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(n)?)?;
        self.at += n;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn line(&mut self) -> Option<String> {
        let rest = self.bytes.get(self.at..)?;
        let length = rest.iter().position(|&b| b == b'\n')?;
        let line = String::from_utf8(rest[..length].to_vec()).ok()?;
        self.at += length + 1;
        Some(line)
    }

    fn text(&mut self, n: usize) -> Option<()> {
        let text = String::from_utf8(self.take(n)?.to_vec()).ok()?;
        self.stack.push(Value::Text(text));
        Some(())
    }

    fn long(&mut self) -> Option<()> {
        let n = self.byte()?;
        let bytes = self.take(n.into())?;
        if bytes.len() > 8 {
            self.stack.push(Value::Other);
            return Some(());
        }
        let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
        let mut value = [if negative { 0xff } else { 0 }; 8];
        value[..bytes.len()].copy_from_slice(bytes);
        self.stack.push(Value::Int(i64::from_le_bytes(value)));
        Some(())
    }

    fn since_mark(&mut self) -> Option<Vec<Value>> {
        let mark = self.marks.pop()?;
        (mark <= self.stack.len()).then(|| self.stack.split_off(mark))
    }

    fn insert(&mut self, items: &[Value]) -> Option<()> {
        match self.stack.last_mut()? {
            Value::Dict(entries) => {
                let pairs = items.as_chunks::<2>().0;
                Rc::make_mut(entries)
                    .extend(pairs.iter().map(|[k, v]| (k.clone(), v.clone())));
                Some(())
            }
            Value::Other => Some(()),
            _ => None,
        }
    }
}

/// `('storage', torch.FloatStorage, key, location, elements)`
fn storage(id: &Value) -> Value {
    let Value::Tuple(items) = id else { return Value::Other };
    let [Value::Text(kind), Value::Global(class), Value::Text(key), ..] = &items[..]
    else {
        return Value::Other;
    };
    let dtype = match class.1.as_str() {
        "FloatStorage" => DType::Float32,
        "DoubleStorage" => DType::Float64,
        "HalfStorage" => DType::Float16,
        "BFloat16Storage" => DType::BFloat16,
        "LongStorage" => DType::Int64,
        _ => return Value::Other,
    };
    if kind == "storage" {
        Value::Storage(Rc::new(Storage { dtype, key: key.clone() }))
    } else {
        Value::Other
    }
}

/// The few functions that rebuild tensors and ordered dicts; nothing else is ever called.
fn call(function: &Value, arguments: &Value) -> Value {
    let (Value::Global(global), Value::Tuple(arguments)) = (function, arguments) else {
        return Value::Other;
    };
    match ((global.0.as_str(), global.1.as_str()), &arguments[..]) {
        (("collections", "OrderedDict"), []) => Value::Dict(Rc::default()),
        (
            ("torch._utils", "_rebuild_tensor_v2"),
            [
                Value::Storage(storage),
                Value::Int(offset),
                Value::Tuple(shape),
                Value::Tuple(strides),
                ..,
            ],
        ) => match (integers(shape), integers(strides)) {
            (Some(shape), Some(strides)) => {
                let (dtype, storage) = (storage.dtype, storage.key.clone());
                Value::Tensor(Rc::new(View {
                    dtype,
                    storage,
                    offset: *offset,
                    shape,
                    strides,
                }))
            }
            _ => Value::Other,
        },
        (("torch._utils", "_rebuild_parameter"), [tensor @ Value::Tensor(_), ..]) => {
            tensor.clone()
        }
        _ => Value::Other,
    }
}

fn integers(values: &[Value]) -> Option<Vec<i64>> {
    values.iter().map(|v| if let Value::Int(n) = v { Some(*n) } else { None }).collect()
}
