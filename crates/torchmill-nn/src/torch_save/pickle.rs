//! Python's pickle format, as far as `torch.save` files use it.
//!
//! pickletools.py in Python's library describes the format. All opcodes up to protocol 5
//! are read, but nothing is executed: calls of any function other than those that rebuild
//! tensors and ordered dicts give values that are ignored.
//!
//! Values are kept in a flat list and refer to each other by index. So a dict under two
//! keys is stored once, and values nested a million deep need no recursion.

use std::collections::HashMap;

use torchmill::{Error, Result};

use crate::state_dict::DType;

/// The largest number of strings, dicts, tuples and other compound values in a pickle.
/// State dicts have a few thousand.
const MAX_NODES: usize = 4 << 20;

/// A pickled value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    Int(i64),
    /// An index into [`Pickle::nodes`].
    Node(usize),
    /// None, floats, bytes, and anything else that tensors do not depend on.
    Other,
}

/// A compound value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node<'a> {
    Text(&'a str),
    /// A tuple or a list.
    Sequence(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    /// A function or class, by module and name.
    Global(&'a str, &'a str),
    Storage(Storage<'a>),
    Tensor(View<'a>),
    /// An object of a class, by module and name.
    Object(&'a str, &'a str),
}

/// Where a tensor's elements are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Storage<'a> {
    pub(super) dtype: DType,
    pub(super) key: &'a str,
}

/// A tensor: a strided view of a storage, in elements.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct View<'a> {
    pub(super) storage: Storage<'a>,
    pub(super) offset: i64,
    pub(super) shape: Vec<i64>,
    pub(super) strides: Vec<i64>,
}

/// The contents of a pickle.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    nodes: Vec<Node<'a>>,
    pub(super) root: Value,
    /// The length of the pickle in bytes.
    pub(super) length: usize,
}

impl<'a> Pickle<'a> {
    pub(super) fn nodes(&self) -> &[Node<'a>] {
        &self.nodes
    }

    pub(super) fn node(&self, value: Value) -> Option<&Node<'a>> {
        match value {
            Value::Node(number) => self.nodes.get(number),
            Value::Int(_) | Value::Other => None,
        }
    }

    pub(super) fn text(&self, value: Value) -> Option<&'a str> {
        match self.node(value) {
            Some(Node::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn sequence(&self, value: Value) -> Option<&[Value]> {
        match self.node(value) {
            Some(Node::Sequence(items)) => Some(items),
            _ => None,
        }
    }
}

/// Parses one pickle, which may be followed by other bytes.
pub(super) fn parse(bytes: &[u8]) -> Result<Pickle<'_>> {
    let mut machine = Machine {
        bytes,
        at: 0,
        nodes: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    loop {
        let at = machine.at;
        match machine.step() {
            Some(Step::Next) => {}
            Some(Step::End(root)) => {
                let length = machine.at;
                return Ok(Pickle { nodes: machine.nodes, root, length });
            }
            None => {
                return Err(Error::failed(format_args!(
                    "its pickle is damaged or of an unknown kind (at byte {at})"
                )));
            }
        }
    }
}

/// The outcome of an instruction.
enum Step {
    Next,
    End(Value),
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node<'a>>,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
}

impl<'a> Machine<'a> {
    /// Executes one instruction; `None` if it is invalid.
    fn step(&mut self) -> Option<Step> {
        let opcode = self.byte()?;
        match opcode {
            b'.' => return Some(Step::End(self.stack.pop()?)),
            // PROTO, FRAME, and protocol 5's opcodes for out-of-band buffers.
            0x80 => {
                self.take(1)?;
            }
            0x95 => {
                self.take(8)?;
            }
            0x97 => self.stack.push(Value::Other),
            0x98 => {}
            // MARK, POP, POP_MARK, DUP
            b'(' => self.marks.push(self.stack.len()),
            b'0' => {
                self.stack.pop()?;
            }
            b'1' => drop(self.since_mark()?),
            b'2' => self.stack.push(*self.stack.last()?),
            b'N' | b'J' | b'K' | b'M' | b'I' | b'L' | b'F' | b'G' | 0x88..=0x8b => {
                let value = self.number(opcode)?;
                self.stack.push(value);
            }
            b'X' | b'U' | b'T' | b'V' | b'S' | b'B' | b'C' | 0x8c..=0x8e | 0x96 => {
                self.text_or_bytes(opcode)?;
            }
            b'q' | b'r' | b'p' | b'h' | b'j' | b'g' | 0x94 => self.memo(opcode)?,
            b')' | b't' | 0x85..=0x87 | b']' | b'l' | b'a' | b'e' => {
                self.sequence(opcode)?;
            }
            b'}' | b'd' | b's' | b'u' => self.dict(opcode)?,
            // EMPTY_SET, ADDITEMS, FROZENSET
            0x8f => self.stack.push(Value::Other),
            0x90 => drop(self.since_mark()?),
            0x91 => {
                self.since_mark()?;
                self.stack.push(Value::Other);
            }
            _ => self.object(opcode)?,
        }
        Some(Step::Next)
    }

    /// None, booleans, integers and floats.
    fn number(&mut self, opcode: u8) -> Option<Value> {
        Some(match opcode {
            b'N' => Value::Other,
            0x88 => Value::Int(1),
            0x89 => Value::Int(0),
            b'J' => Value::Int(i32::from_le_bytes(self.array()?).into()),
            b'K' => Value::Int(self.byte()?.into()),
            b'M' => Value::Int(u16::from_le_bytes(self.array()?).into()),
            b'I' => self.line()?.parse().map_or(Value::Other, Value::Int),
            b'L' => self
                .line()?
                .trim_end_matches('L')
                .parse()
                .map_or(Value::Other, Value::Int),
            b'F' => {
                self.line()?;
                Value::Other
            }
            b'G' => {
                self.take(8)?;
                Value::Other
            }
            0x8a => {
                let length = self.byte()?.into();
                long(self.take(length)?)
            }
            0x8b => {
                let length = self.length(4)?;
                long(self.take(length)?)
            }
            _ => return None,
        })
    }

    /// Strings, and bytes, which state dicts do not use.
    fn text_or_bytes(&mut self, opcode: u8) -> Option<()> {
        let text = match opcode {
            b'V' => Some(self.line()?),
            // A Python 2 string, in quotes.
            b'S' => Some(self.line()?.trim_matches(['\'', '"'])),
            _ => {
                let length_bytes = match opcode {
                    b'U' | b'C' | 0x8c => 1,
                    b'X' | b'T' | b'B' => 4,
                    _ => 8,
                };
                let length = self.length(length_bytes)?;
                let bytes = self.take(length)?;
                let is_text = matches!(opcode, b'U' | b'T' | b'X' | 0x8c | 0x8d);
                if is_text { Some(std::str::from_utf8(bytes).ok()?) } else { None }
            }
        };
        match text {
            Some(text) => self.push_node(Node::Text(text)),
            None => {
                self.stack.push(Value::Other);
                Some(())
            }
        }
    }

    /// Stores the last value in the memo, or pushes a value from it.
    fn memo(&mut self, opcode: u8) -> Option<()> {
        let slot = match opcode {
            b'q' | b'h' => self.byte()?.into(),
            b'r' | b'j' => u32::from_le_bytes(self.array()?),
            b'p' | b'g' => self.line()?.parse().ok()?,
            _ => self.memo.len() as u32,
        };
        if matches!(opcode, b'h' | b'j' | b'g') {
            self.stack.push(*self.memo.get(&slot)?);
        } else {
            self.memo.insert(slot, *self.stack.last()?);
        }
        Some(())
    }

    /// Tuples and lists.
    fn sequence(&mut self, opcode: u8) -> Option<()> {
        match opcode {
            b')' | b']' => self.push_node(Node::Sequence(Vec::new())),
            b't' | b'l' => {
                let items = self.since_mark()?;
                self.push_node(Node::Sequence(items))
            }
            0x85..=0x87 => {
                let items = self.last_values(usize::from(opcode - 0x84))?;
                self.push_node(Node::Sequence(items))
            }
            _ => {
                let items = if opcode == b'a' {
                    self.last_values(1)?
                } else {
                    self.since_mark()?
                };
                match self.last_node()? {
                    Some(Node::Sequence(list)) => list.extend(items),
                    // An object that has items, such as a deque.
                    None | Some(Node::Object(..)) => {}
                    Some(_) => return None,
                }
                Some(())
            }
        }
    }

    fn dict(&mut self, opcode: u8) -> Option<()> {
        match opcode {
            b'}' => self.push_node(Node::Dict(Vec::new())),
            b'd' => {
                let items = self.since_mark()?;
                self.push_node(Node::Dict(pairs(&items)?))
            }
            _ => {
                let items = if opcode == b's' {
                    self.last_values(2)?
                } else {
                    self.since_mark()?
                };
                let items = pairs(&items)?;
                match self.last_node()? {
                    Some(Node::Dict(entries)) => entries.extend(items),
                    // An object that has items, such as a defaultdict.
                    None | Some(Node::Object(..)) => {}
                    Some(_) => return None,
                }
                Some(())
            }
        }
    }

    /// Classes, functions, calls and objects.
    fn object(&mut self, opcode: u8) -> Option<()> {
        match opcode {
            b'c' => {
                let module = self.line()?;
                let name = self.line()?;
                self.push_node(Node::Global(module, name))
            }
            // STACK_GLOBAL
            0x93 => {
                let name = self.pop_text()?;
                let module = self.pop_text()?;
                self.push_node(Node::Global(module, name))
            }
            // PERSID and BINPERSID
            b'P' => {
                self.line()?;
                self.stack.push(Value::Other);
                Some(())
            }
            b'Q' => {
                let id = self.stack.pop()?;
                self.push_or_other(self.storage(id))
            }
            // EXT1, EXT2 and EXT4: classes in Python's extension registry.
            0x82..=0x84 => {
                let length = 1 << (opcode - 0x82);
                self.take(length)?;
                self.stack.push(Value::Other);
                Some(())
            }
            // REDUCE, NEWOBJ and NEWOBJ_EX
            b'R' => {
                let arguments = self.stack.pop()?;
                let function = self.stack.pop()?;
                self.push_or_other(self.call(function, arguments))
            }
            0x81 | 0x92 => {
                let arguments = if opcode == 0x92 { 2 } else { 1 };
                self.last_values(arguments)?;
                let class = self.stack.pop()?;
                self.push_or_other(self.instance(class))
            }
            // INST and OBJ
            b'i' => {
                let module = self.line()?;
                let name = self.line()?;
                self.since_mark()?;
                self.push_node(Node::Object(module, name))
            }
            b'o' => {
                let items = self.since_mark()?;
                self.push_or_other(self.instance(*items.first()?))
            }
            // BUILD: an object's attributes, such as a state dict's `_metadata`.
            b'b' => {
                self.stack.pop()?;
                Some(())
            }
            _ => None,
        }
    }

    /// `('storage', torch.FloatStorage, key, location, elements)`. Before PyTorch 1.6
    /// there is a sixth item for a view of another storage, which is None.
    fn storage(&self, id: Value) -> Option<Node<'a>> {
        let items = self.items(id)?;
        let [kind, class, key, _, _, part @ ..] = items else { return None };
        let (Node::Text("storage"), Node::Global(_, class), Node::Text(key)) =
            (self.node(*kind)?, self.node(*class)?, self.node(*key)?)
        else {
            return None;
        };
        if part.iter().any(|value| *value != Value::Other) {
            return None;
        }
        let dtype = DType::of_storage(class)?;
        Some(Node::Storage(Storage { dtype, key }))
    }

    /// The result of a function call. Only functions that rebuild tensors and ordered
    /// dicts are supported.
    fn call(&self, function: Value, arguments: Value) -> Option<Node<'a>> {
        let Node::Global(module, name) = self.node(function)? else { return None };
        let arguments = self.items(arguments)?;
        match (*module, *name, arguments) {
            ("collections", "OrderedDict", []) => Some(Node::Dict(Vec::new())),
            // From Python 2: with a list of keys and values.
            ("collections", "OrderedDict", [items]) => {
                let mut entries = Vec::new();
                for pair in self.items(*items)? {
                    let [key, value] = self.items(*pair)? else { return None };
                    entries.push((*key, *value));
                }
                Some(Node::Dict(entries))
            }
            (
                "torch._utils",
                "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3",
                [storage, Value::Int(offset), shape, strides, ..],
            ) => {
                let Node::Storage(storage) = self.node(*storage)? else { return None };
                Some(Node::Tensor(View {
                    storage: *storage,
                    offset: *offset,
                    shape: self.integers(*shape)?,
                    strides: self.integers(*strides)?,
                }))
            }
            (
                "torch._utils",
                "_rebuild_parameter" | "_rebuild_parameter_with_state",
                [tensor, ..],
            ) => match self.node(*tensor)? {
                Node::Tensor(view) => Some(Node::Tensor(view.clone())),
                _ => None,
            },
            // A tensor with attributes or of a subclass. The inner function is one of
            // those above, so the recursion is one level deep.
            ("torch._tensor", "_rebuild_from_type_v2", [function, _, arguments, ..]) => {
                match self.node(*function)? {
                    Node::Global(_, "_rebuild_from_type_v2") => None,
                    _ => self.call(*function, *arguments),
                }
            }
            _ => self.instance(function),
        }
    }

    fn instance(&self, class: Value) -> Option<Node<'a>> {
        match self.node(class)? {
            Node::Global("collections", "OrderedDict" | "defaultdict") => {
                Some(Node::Dict(Vec::new()))
            }
            Node::Global(module, name) => Some(Node::Object(module, name)),
            _ => None,
        }
    }

    fn integers(&self, value: Value) -> Option<Vec<i64>> {
        let mut integers = Vec::new();
        for item in self.items(value)? {
            let Value::Int(n) = item else { return None };
            integers.push(*n);
        }
        Some(integers)
    }

    fn node(&self, value: Value) -> Option<&Node<'a>> {
        match value {
            Value::Node(number) => self.nodes.get(number),
            Value::Int(_) | Value::Other => None,
        }
    }

    fn items(&self, value: Value) -> Option<&[Value]> {
        match self.node(value)? {
            Node::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// The node on top of the stack; `Some(None)` for a value that is not a node.
    fn last_node(&mut self) -> Option<Option<&mut Node<'a>>> {
        Some(match *self.stack.last()? {
            Value::Node(number) => self.nodes.get_mut(number),
            Value::Int(_) | Value::Other => None,
        })
    }

    fn push_node(&mut self, node: Node<'a>) -> Option<()> {
        if self.nodes.len() == MAX_NODES {
            return None;
        }
        self.stack.push(Value::Node(self.nodes.len()));
        self.nodes.push(node);
        Some(())
    }

    fn push_or_other(&mut self, node: Option<Node<'a>>) -> Option<()> {
        match node {
            Some(node) => self.push_node(node),
            None => {
                self.stack.push(Value::Other);
                Some(())
            }
        }
    }

    fn pop_text(&mut self) -> Option<&'a str> {
        let value = self.stack.pop()?;
        match self.node(value)? {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    fn last_values(&mut self, count: usize) -> Option<Vec<Value>> {
        let start = self.stack.len().checked_sub(count)?;
        Some(self.stack.split_off(start))
    }

    fn since_mark(&mut self) -> Option<Vec<Value>> {
        let mark = self.marks.pop()?;
        (mark <= self.stack.len()).then(|| self.stack.split_off(mark))
    }

    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
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

    /// A length: a little-endian integer of `bytes` bytes.
    fn length(&mut self, bytes: usize) -> Option<usize> {
        let mut number = [0; 8];
        number[..bytes].copy_from_slice(self.take(bytes)?);
        usize::try_from(u64::from_le_bytes(number)).ok()
    }

    fn line(&mut self) -> Option<&'a str> {
        let rest = self.bytes.get(self.at..)?;
        let length = rest.iter().position(|&b| b == b'\n')?;
        self.at += length + 1;
        std::str::from_utf8(&rest[..length]).ok()
    }
}

/// A little-endian integer in two's complement, of any length.
fn long(bytes: &[u8]) -> Value {
    if bytes.len() > 8 {
        return Value::Other;
    }
    let is_negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
    let mut number = [if is_negative { 0xff } else { 0 }; 8];
    number[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(number))
}

fn pairs(items: &[Value]) -> Option<Vec<(Value, Value)>> {
    let (pairs, rest) = items.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[key, value]| (*key, *value)).collect())
}
