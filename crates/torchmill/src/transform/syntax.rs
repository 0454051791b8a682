//! From pipeline text to calls: `Name(literal, key=literal) | Name | ...`, in Python's
//! spelling.

use super::value::{Call, Given, Item, Value};
use crate::{Error, Result};

/// Parentheses nest no deeper than this, so that noise cannot overflow the stack.
const MAX_DEPTH: usize = 32;

/// The calls of a pipeline text, in order; none for a blank text.
pub(super) fn parse(text: &str) -> Result<Vec<Call>> {
    let letters: Vec<char> = text.chars().collect();
    let mut parser = Parser { letters: &letters, at: 0, depth: 0 };
    let mut calls = Vec::new();
    parser.skip_blanks();
    while parser.peek().is_some() {
        calls.push(parser.call()?);
        parser.skip_blanks();
        match parser.peek() {
            None => break,
            Some('|') => parser.at += 1,
            Some(c) => {
                return Err(parser.wrong(format_args!(
                    "expected `|` between transforms, found `{c}`"
                )));
            }
        }
        parser.skip_blanks();
        if parser.peek().is_none() {
            return Err(parser.wrong("expected a transform after the last `|`"));
        }
    }
    Ok(calls)
}

/// A usage error at a place in the text: `line 2, column 7: ...`, without the line where
/// there is only one.
pub(super) fn wrong_at(text: &str, at: usize, why: impl std::fmt::Display) -> Error {
    let before: Vec<char> = text.chars().take(at).collect();
    let line = 1 + before.iter().filter(|&&c| c == '\n').count();
    let column = 1 + before.iter().rev().take_while(|&&c| c != '\n').count();
    if text.trim_end().contains('\n') {
        return Error::usage(format_args!("line {line}, column {column}: {why}"));
    }
    Error::usage(format_args!("column {column}: {why}"))
}

struct Parser<'a> {
    letters: &'a [char],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.letters.get(self.at).copied()
    }

    fn take(&mut self, c: char) -> bool {
        let here = self.peek() == Some(c);
        self.at += usize::from(here);
        here
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    /// A run of letters that satisfy this.
    fn run(&mut self, of: impl Fn(char) -> bool) -> String {
        let start = self.at;
        while self.peek().is_some_and(&of) {
            self.at += 1;
        }
        self.letters[start..self.at].iter().collect()
    }

    fn wrong(&self, why: impl std::fmt::Display) -> Error {
        self.wrong_at(self.at, why)
    }

    fn wrong_at(&self, at: usize, why: impl std::fmt::Display) -> Error {
        wrong_at(&self.letters.iter().collect::<String>(), at, why)
    }

    /// What stands here, for a message.
    fn found(&self) -> String {
        self.peek().map_or_else(|| "the end".to_owned(), |c| format!("`{c}`"))
    }

    /// `Name`, `Name(...)`, `transforms.v2.Name(...)`.
    fn call(&mut self) -> Result<Call> {
        let (name, at) = self.name()?;
        self.skip_blanks();
        let mut call = Call { name, at, called: false, arguments: Vec::new() };
        if self.peek() == Some('(') {
            call.called = true;
            self.sequence(')', |parser| {
                let given = parser.argument()?;
                call.arguments.push(given);
                Ok(())
            })?;
        }
        Ok(call)
    }

    /// A name, without the modules before it.
    fn name(&mut self) -> Result<(String, usize)> {
        loop {
            let at = self.at;
            if !self.peek().is_some_and(|c| c.is_alphabetic() || c == '_') {
                return Err(self.wrong(format_args!(
                    "expected a transform's name, found {}",
                    self.found()
                )));
            }
            let name = self.run(|c| c.is_alphanumeric() || c == '_');
            if !self.take('.') {
                return Ok((name, at));
            }
        }
    }

    /// `literal` or `name=literal`.
    fn argument(&mut self) -> Result<Given> {
        let start = self.at;
        if self.peek().is_some_and(|c| c.is_alphabetic() || c == '_') {
            let name = self.run(|c| c.is_alphanumeric() || c == '_');
            self.skip_blanks();
            if self.take('=') {
                self.skip_blanks();
                return Ok(Given { name: Some((name, start)), item: self.item()? });
            }
            self.at = start;
        }
        Ok(Given { name: None, item: self.item()? })
    }

    /// What stands between an opening bracket (here) and a closing one, separated by
    /// commas; whether a comma came last.
    fn sequence(
        &mut self,
        close: char,
        mut one: impl FnMut(&mut Self) -> Result<()>,
    ) -> Result<bool> {
        let opened = self.at;
        self.at += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.wrong("the parentheses nest too deeply"));
        }
        let mut comma = false;
        loop {
            self.skip_blanks();
            if self.take(close) {
                self.depth -= 1;
                return Ok(comma);
            }
            if self.peek().is_none() {
                return Err(self.wrong_at(
                    opened,
                    format_args!("this bracket is not closed with `{close}`"),
                ));
            }
            one(self)?;
            self.skip_blanks();
            comma = self.take(',');
            if !comma && self.peek().is_some_and(|c| c != close) {
                return Err(self.wrong(format_args!(
                    "expected `,` or `{close}`, found {}",
                    self.found()
                )));
            }
        }
    }

    fn item(&mut self) -> Result<Item> {
        let at = self.at;
        let value = match self.peek() {
            Some('(') => self.parenthesised()?,
            Some('[') => self.list(']')?.0,
            Some('"' | '\'') => self.text()?,
            Some(c) if c.is_ascii_digit() || matches!(c, '-' | '+' | '.') => {
                self.number()?
            }
            Some(c) if c.is_alphabetic() || c == '_' => self.word()?,
            _ => {
                return Err(
                    self.wrong(format_args!("expected a value, found {}", self.found()))
                );
            }
        };
        Ok(Item { value, at })
    }

    fn list(&mut self, close: char) -> Result<(Value, bool)> {
        let mut items = Vec::new();
        let comma = self.sequence(close, |parser| {
            let item = parser.item()?;
            items.push(item);
            Ok(())
        })?;
        Ok((Value::List(items), comma))
    }

    /// `(1, 2)`, `(1,)`, and `(1)`, which in Python is 1.
    fn parenthesised(&mut self) -> Result<Value> {
        match self.list(')')? {
            (Value::List(mut items), false) if items.len() == 1 => {
                Ok(items.remove(0).value)
            }
            (list, _) => Ok(list),
        }
    }

    fn text(&mut self) -> Result<Value> {
        let opened = self.at;
        let quote = self.letters[opened];
        self.at += 1;
        let text = self.run(|c| c != quote && c != '\n' && c != '\\');
        if !self.take(quote) {
            return Err(self.wrong_at(opened, "this string is not closed on its line"));
        }
        Ok(Value::Text(text))
    }

    /// `True`, `False`, `None`, or a call, which may be a bare name.
    fn word(&mut self) -> Result<Value> {
        let call = self.call()?;
        Ok(match (call.name.as_str(), call.called) {
            ("True" | "true", false) => Value::Bool(true),
            ("False" | "false", false) => Value::Bool(false),
            ("None", false) => Value::None,
            _ => Value::Call(call),
        })
    }

    /// A number, or a fraction such as `3/4`, which is how aspect ratios are written.
    fn number(&mut self) -> Result<Value> {
        let above = self.plain_number()?;
        self.skip_blanks();
        if !self.take('/') {
            return Ok(above);
        }
        self.skip_blanks();
        let at = self.at;
        let quotient = real(&above) / real(&self.plain_number()?);
        if !quotient.is_finite() {
            return Err(self.wrong_at(at, "this fraction has no finite value"));
        }
        Ok(Value::Float(quotient))
    }

    fn plain_number(&mut self) -> Result<Value> {
        let at = self.at;
        let negative = self.take('-');
        if !negative {
            self.take('+');
        }
        let mut digits = self.run(|c| c.is_ascii_digit() || c == '.' || c == '_');
        let mut real = digits.contains('.');
        if matches!(self.peek(), Some('e' | 'E')) {
            self.at += 1;
            real = true;
            digits.push('e');
            if let Some(sign @ ('-' | '+')) = self.peek() {
                self.at += 1;
                digits.push(sign);
            }
            digits += &self.run(|c| c.is_ascii_digit());
        }
        digits.retain(|c| c != '_');
        if negative {
            digits.insert(0, '-');
        }
        let value = if real {
            digits.parse().ok().filter(|x: &f64| x.is_finite()).map(Value::Float)
        } else {
            digits.parse().ok().map(Value::Int)
        };
        value.ok_or_else(|| self.wrong_at(at, "this is no number that can be used here"))
    }
}

/// A number as a float.
fn real(value: &Value) -> f64 {
    match value {
        Value::Int(n) => *n as f64,
        Value::Float(x) => *x,
        _ => f64::NAN,
    }
}
