//! The stack machine.

use std::collections::HashMap;
use std::io::{BufReader, Read, Seek};

use super::{Id, Pickle, Value};

/// Longer strings are not read; only their positions are kept.
const LONGEST_TEXT: u64 = 1 << 12;
/// The longest line of protocol 0.
const LONGEST_LINE: usize = 1 << 12;

/// Where and why reading ended.
pub(super) struct Stop {
    pub at: u64,
    pub why: &'static str,
}

type Step<T> = std::result::Result<T, &'static str>;

const CUT: &str = "it ends too early";
const EMPTY: &str = "its stack runs empty";

/// Runs the pickle in `input`, a file of `size` bytes.
pub(super) fn run<R: Read + Seek>(
    input: BufReader<R>,
    size: u64,
) -> std::result::Result<Pickle, Stop> {
    let mut machine = Machine {
        input,
        size,
        at: 0,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    loop {
        match machine.step() {
            Ok(None) => {}
            Ok(Some(root)) => return Ok(Pickle { values: machine.values, root }),
            Err(why) => return Err(Stop { at: machine.at, why }),
        }
    }
}

struct Machine<R> {
    input: BufReader<R>,
    size: u64,
    at: u64,
    values: Vec<Value>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl<R: Read + Seek> Machine<R> {
    /// Executes one instruction; returns the result at the last one.
    fn step(&mut self) -> Step<Option<Id>> {
        match self.byte()? {
            b'.' => return self.pop().map(Some),
            0x80 => drop(self.byte()?),       // PROTO
            0x95 => drop(self.array::<8>()?), // FRAME
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'2' => {
                let top = *self.stack.last().ok_or(EMPTY)?;
                self.stack.push(top);
            }
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            opcode @ (b'J' | b'K' | b'M' | b'I' | b'L' | 0x8a | b'G' | b'F') => {
                self.number(opcode)?;
            }
            opcode @ (b'U' | b'T' | b'X' | 0x8c | 0x8d | b'C' | b'B' | 0x8e | 0x96) => {
                let length = self.string_length(opcode)?;
                self.string(length)?;
            }
            opcode @ (b'S' | b'V') => self.line_string(opcode)?,
            opcode @ (b']' | b'l' | b')' | b't' | 0x85..=0x87 | b'}' | b'd') => {
                self.collection(opcode)?;
            }
            opcode @ (b'a' | b'e' | b's' | b'u') => self.append(opcode)?,
            opcode @ (b'c' | 0x93 | b'R' | 0x81 | b'b') => self.object(opcode)?,
            opcode => self.memo(opcode)?,
        }
        Ok(None)
    }

    fn number(&mut self, opcode: u8) -> Step<()> {
        let value = match opcode {
            b'J' => Value::Integer(i32::from_le_bytes(self.array()?).into()),
            b'K' => Value::Integer(self.byte()?.into()),
            b'M' => Value::Integer(u16::from_le_bytes(self.array()?).into()),
            0x8a => {
                let length = self.byte()?;
                self.long(length)?
            }
            b'G' => {
                self.array::<8>()?;
                Value::Other
            }
            // Lines of protocol 0; `01` and `00` are True and False.
            _ => match self.line()?.trim_end_matches('L') {
                "01" if opcode == b'I' => Value::Bool(true),
                "00" if opcode == b'I' => Value::Bool(false),
                text => text.parse().map_or(Value::Other, Value::Integer),
            },
        };
        self.push(value);
        Ok(())
    }

    /// LONG1: a little-endian number of `length` bytes in two's complement.
    fn long(&mut self, length: u8) -> Step<Value> {
        let mut bytes = Vec::with_capacity(length.into());
        for _ in 0..length {
            bytes.push(self.byte()?);
        }
        if bytes.len() > 8 {
            return Ok(Value::Other);
        }
        let is_negative = bytes.last().is_some_and(|&last| last >= 0x80);
        let mut whole = if is_negative { [0xff; 8] } else { [0; 8] };
        whole[..bytes.len()].copy_from_slice(&bytes);
        Ok(Value::Integer(i64::from_le_bytes(whole)))
    }

    fn string_length(&mut self, opcode: u8) -> Step<u64> {
        Ok(match opcode {
            b'U' | 0x8c | b'C' => self.byte()?.into(),
            b'T' | b'X' | b'B' => u32::from_le_bytes(self.array()?).into(),
            _ => u64::from_le_bytes(self.array()?),
        })
    }

    fn string(&mut self, length: u64) -> Step<()> {
        let start = self.at;
        if length > self.size.saturating_sub(start) {
            return Err(CUT);
        }
        let text = if length <= LONGEST_TEXT {
            let mut bytes = vec![0; length as usize];
            self.input.read_exact(&mut bytes).map_err(|_| CUT)?;
            String::from_utf8(bytes).ok()
        } else {
            let skip = i64::try_from(length).map_err(|_| CUT)?;
            self.input.seek_relative(skip).map_err(|_| CUT)?;
            None
        };
        self.at += length;
        self.push(Value::String { start, length, text });
        Ok(())
    }

    /// A string of protocol 0: a line, in quotes for STRING.
    fn line_string(&mut self, opcode: u8) -> Step<()> {
        let start = self.at;
        let line = self.line()?;
        let quotes: &[char] = if opcode == b'S' { &['\'', '"'] } else { &[] };
        let text = line.trim_matches(quotes).to_owned();
        let length = text.len() as u64;
        self.push(Value::String { start, length, text: Some(text) });
        Ok(())
    }

    fn collection(&mut self, opcode: u8) -> Step<()> {
        let value = match opcode {
            b']' => Value::List(Vec::new()),
            b'l' => Value::List(self.pop_to_mark()?),
            b')' => Value::Tuple(Vec::new()),
            b't' => Value::Tuple(self.pop_to_mark()?),
            b'}' => Value::Dict(Vec::new()),
            b'd' => Value::Dict(pairs(&self.pop_to_mark()?)?),
            // TUPLE1 to TUPLE3.
            _ => {
                let length = usize::from(opcode - 0x84);
                let from = self.stack.len().checked_sub(length).ok_or(EMPTY)?;
                Value::Tuple(self.stack.split_off(from))
            }
        };
        self.push(value);
        Ok(())
    }

    fn append(&mut self, opcode: u8) -> Step<()> {
        let new = match opcode {
            b'a' => vec![self.pop()?],
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.pop_to_mark()?,
        };
        let top = *self.stack.last().ok_or(EMPTY)?;
        match &mut self.values[top] {
            Value::List(elements) if matches!(opcode, b'a' | b'e') => {
                elements.extend(new);
            }
            Value::Dict(entries) if matches!(opcode, b's' | b'u') => {
                entries.extend(pairs(&new)?);
            }
            // What an object would do with it is not known, and not needed.
            Value::Call { .. } => {}
            _ => return Err("it appends to what is not a list or dictionary"),
        }
        Ok(())
    }

    fn object(&mut self, opcode: u8) -> Step<()> {
        match opcode {
            b'c' => {
                let module = self.line()?;
                let name = self.line()?;
                self.push(Value::Global(format!("{module}.{name}")));
            }
            0x93 => {
                let name = self.pop_text()?;
                let module = self.pop_text()?;
                self.push(Value::Global(format!("{module}.{name}")));
            }
            b'b' => {
                let new = self.pop()?;
                let top = *self.stack.last().ok_or(EMPTY)?;
                if let Value::Call { state, .. } = &mut self.values[top] {
                    *state = Some(new);
                }
            }
            // REDUCE and NEWOBJ.
            _ => {
                let arguments = self.pop()?;
                let function = self.pop()?;
                self.push(Value::Call { function, arguments, state: None });
            }
        }
        Ok(())
    }

    fn memo(&mut self, opcode: u8) -> Step<()> {
        let key = match opcode {
            b'q' | b'h' => self.byte()?.into(),
            b'r' | b'j' => u32::from_le_bytes(self.array()?).into(),
            b'p' | b'g' => {
                self.line()?.parse().map_err(|_| "a memo's number is wrong")?
            }
            0x94 => self.memo.len() as u64,
            _ => return Err("it has an instruction that plain values do not need"),
        };
        if matches!(opcode, b'h' | b'j' | b'g') {
            let id = *self.memo.get(&key).ok_or("it refers to what is not there")?;
            self.stack.push(id);
        } else {
            let top = *self.stack.last().ok_or(EMPTY)?;
            self.memo.insert(key, top);
        }
        Ok(())
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn pop(&mut self) -> Step<Id> {
        self.stack.pop().ok_or(EMPTY)
    }

    fn pop_text(&mut self) -> Step<String> {
        let id = self.pop()?;
        match &self.values[id] {
            Value::String { text: Some(text), .. } => Ok(text.clone()),
            _ => Err("a function has no name"),
        }
    }

    fn pop_to_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or(EMPTY)?;
        if mark > self.stack.len() {
            return Err(EMPTY);
        }
        Ok(self.stack.split_off(mark))
    }

    fn byte(&mut self) -> Step<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map_err(|_| CUT)?;
        self.at += N as u64;
        Ok(bytes)
    }

    fn line(&mut self) -> Step<String> {
        let mut bytes = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => break,
                _ if bytes.len() >= LONGEST_LINE => return Err("a line is too long"),
                byte => bytes.push(byte),
            }
        }
        String::from_utf8(bytes).map_err(|_| "a line is not text")
    }
}

/// Pairs up alternating keys and values.
fn pairs(ids: &[Id]) -> Step<Vec<(Id, Id)>> {
    if !ids.len().is_multiple_of(2) {
        return Err("a dictionary's key has no value");
    }
    Ok(ids.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}
