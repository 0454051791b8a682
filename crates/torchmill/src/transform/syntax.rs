//! Parses text into calls: `Name(literal, key=literal) | Name | ...`, in Python's syntax.
//! Pipelines are written like this, and so are layers as text.

use super::literal::{Call, CallArgument, Item, Literal};
use crate::{Error, Result};

/// The deepest nesting of parentheses; a limit, so that no input overflows the stack.
const MAX_DEPTH: usize = 32;

/// The calls of a pipeline text, in order; none for a blank text.
pub(crate) fn parse(text: &str) -> Result<Vec<Call>> {
    let characters: Vec<char> = text.chars().collect();
    let mut parser = Parser { characters: &characters, at: 0, depth: 0 };
    let mut calls = Vec::new();
    parser.skip_blanks();
    while parser.peek().is_some() {
        calls.push(parser.call()?);
        parser.skip_blanks();
        match parser.peek() {
            None => break,
            Some('|') => parser.at += 1,
            Some(c) => {
                return Err(parser.error(format_args!(
                    "expected `|` between transforms, found `{c}`"
                )));
            }
        }
        parser.skip_blanks();
        if parser.peek().is_none() {
            return Err(parser.error("expected a transform after the last `|`"));
        }
    }
    Ok(calls)
}

/// A usage error at an offset in characters: `line 2, column 7: ...`, without the line if
/// the text has only one.
pub(super) fn error_at(text: &str, at: usize, why: impl std::fmt::Display) -> Error {
    let before: Vec<char> = text.chars().take(at).collect();
    let line = 1 + before.iter().filter(|&&c| c == '\n').count();
    let column = 1 + before.iter().rev().take_while(|&&c| c != '\n').count();
    if text.trim_end().contains('\n') {
        return Error::usage(format_args!("line {line}, column {column}: {why}"));
    }
    Error::usage(format_args!("column {column}: {why}"))
}

struct Parser<'a> {
    characters: &'a [char],
    /// The index of the next character.
    at: usize,
    /// The number of open brackets.
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
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

    /// Reads the next characters that satisfy `of`.
    fn run(&mut self, of: impl Fn(char) -> bool) -> String {
        let start = self.at;
        while self.peek().is_some_and(&of) {
            self.at += 1;
        }
        self.characters[start..self.at].iter().collect()
    }

    fn error(&self, why: impl std::fmt::Display) -> Error {
        self.error_at(self.at, why)
    }

    fn error_at(&self, at: usize, why: impl std::fmt::Display) -> Error {
        error_at(&self.characters.iter().collect::<String>(), at, why)
    }

    /// The next character, for a message.
    fn found(&self) -> String {
        self.peek().map_or_else(|| "the end".to_owned(), |c| format!("`{c}`"))
    }

    /// `Name`, `Name(...)`, `transforms.v2.Name(...)`.
    fn call(&mut self) -> Result<Call> {
        let (name, offset) = self.name()?;
        self.skip_blanks();
        let mut call =
            Call { name, offset, has_parentheses: false, arguments: Vec::new() };
        if self.peek() == Some('(') {
            call.has_parentheses = true;
            self.sequence(')', |parser| {
                let argument = parser.argument()?;
                call.arguments.push(argument);
                Ok(())
            })?;
        }
        Ok(call)
    }

    /// A name without the modules before it, and its offset.
    fn name(&mut self) -> Result<(String, usize)> {
        loop {
            let at = self.at;
            if !self.peek().is_some_and(|c| c.is_alphabetic() || c == '_') {
                return Err(
                    self.error(format_args!("expected a name, found {}", self.found()))
                );
            }
            let name = self.run(|c| c.is_alphanumeric() || c == '_');
            if !self.take('.') {
                return Ok((name, at));
            }
        }
    }

    /// `literal` or `name=literal`.
    fn argument(&mut self) -> Result<CallArgument> {
        let start = self.at;
        if self.peek().is_some_and(|c| c.is_alphabetic() || c == '_') {
            let name = self.run(|c| c.is_alphanumeric() || c == '_');
            self.skip_blanks();
            if self.take('=') {
                self.skip_blanks();
                return Ok(CallArgument {
                    name: Some((name, start)),
                    item: self.item()?,
                });
            }
            self.at = start;
        }
        Ok(CallArgument { name: None, item: self.item()? })
    }

    /// Reads items separated by commas, from the opening bracket, which is next, to the
    /// closing one. Returns whether the last item was followed by a comma.
    fn sequence(
        &mut self,
        close: char,
        mut one: impl FnMut(&mut Self) -> Result<()>,
    ) -> Result<bool> {
        let opened = self.at;
        self.at += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("the parentheses nest too deeply"));
        }
        let mut comma = false;
        loop {
            self.skip_blanks();
            if self.take(close) {
                self.depth -= 1;
                return Ok(comma);
            }
            if self.peek().is_none() {
                return Err(self.error_at(
                    opened,
                    format_args!("this bracket is not closed with `{close}`"),
                ));
            }
            one(self)?;
            self.skip_blanks();
            comma = self.take(',');
            if !comma && self.peek().is_some_and(|c| c != close) {
                return Err(self.error(format_args!(
                    "expected `,` or `{close}`, found {}",
                    self.found()
                )));
            }
        }
    }

    fn item(&mut self) -> Result<Item> {
        let offset = self.at;
        let literal = match self.peek() {
            Some('(') => self.parenthesised()?,
            Some('[') => self.list(']')?.0,
            Some('"' | '\'') => self.text()?,
            Some(c) if c.is_ascii_digit() || matches!(c, '-' | '+' | '.') => {
                self.number()?
            }
            Some(c) if c.is_alphabetic() || c == '_' => self.word()?,
            _ => {
                return Err(
                    self.error(format_args!("expected a value, found {}", self.found()))
                );
            }
        };
        Ok(Item { literal, offset })
    }

    fn list(&mut self, close: char) -> Result<(Literal, bool)> {
        let mut items = Vec::new();
        let comma = self.sequence(close, |parser| {
            let item = parser.item()?;
            items.push(item);
            Ok(())
        })?;
        Ok((Literal::List(items), comma))
    }

    /// `(1, 2)`, `(1,)`, and `(1)`, which in Python is 1.
    fn parenthesised(&mut self) -> Result<Literal> {
        match self.list(')')? {
            (Literal::List(mut items), false) if items.len() == 1 => {
                Ok(items.remove(0).literal)
            }
            (list, _) => Ok(list),
        }
    }

    fn text(&mut self) -> Result<Literal> {
        let opened = self.at;
        let quote = self.characters[opened];
        self.at += 1;
        let text = self.run(|c| c != quote && c != '\n' && c != '\\');
        if !self.take(quote) {
            return Err(self.error_at(opened, "this string is not closed on its line"));
        }
        Ok(Literal::Text(text))
    }

    /// `True`, `False`, `None`, or a call, which may be a bare name.
    fn word(&mut self) -> Result<Literal> {
        let call = self.call()?;
        Ok(match (call.name.as_str(), call.has_parentheses) {
            ("True" | "true", false) => Literal::Bool(true),
            ("False" | "false", false) => Literal::Bool(false),
            ("None", false) => Literal::None,
            _ => Literal::Call(call),
        })
    }

    /// A number, or a fraction such as `3/4`, as aspect ratios are often written.
    fn number(&mut self) -> Result<Literal> {
        let above = self.plain_number()?;
        self.skip_blanks();
        if !self.take('/') {
            return Ok(above);
        }
        self.skip_blanks();
        let at = self.at;
        let quotient = real(&above) / real(&self.plain_number()?);
        if !quotient.is_finite() {
            return Err(self.error_at(at, "this fraction has no finite value"));
        }
        Ok(Literal::Float(quotient))
    }

    fn plain_number(&mut self) -> Result<Literal> {
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
            digits.parse().ok().filter(|x: &f64| x.is_finite()).map(Literal::Float)
        } else {
            digits.parse().ok().map(Literal::Int)
        };
        value.ok_or_else(|| {
            self.error_at(at, "this is not a number that can be used here")
        })
    }
}

/// A number as a float.
fn real(value: &Literal) -> f64 {
    match value {
        Literal::Int(n) => *n as f64,
        Literal::Float(x) => *x,
        _ => f64::NAN,
    }
}
