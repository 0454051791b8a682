//! Errors as the user sees them: one line that says what, where and what to do about it.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::text;

/// What went wrong. Code decides by this, never by a message's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The command line, recipe or pipeline text is wrong: exit status 2.
    Usage,
    /// The input, the disk or the network is not as it should be: exit status 1.
    Failed,
    /// The work was cancelled because another part of it failed. That part's error is the
    /// one to show.
    Cancelled,
    /// Another process of the same training run has ended, or can no longer be reached:
    /// exit status 1.
    Disconnected,
    /// The user pressed Ctrl-C (or sent SIGTERM) and the work stopped in an orderly way:
    /// exit status 130.
    Interrupted,
    /// The reader at the other end of our standard output has gone away: the program ends
    /// quietly.
    ClosedPipe,
}

/// An error with its kind, its message, where it happened, and what caused it.
///
/// [`Display`](fmt::Display) gives one line, shortened and escaped as [`text::message`]
/// does.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    /// Where it happened, the innermost place first.
    context: Vec<String>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of this kind with this one-line message.
    pub fn new(kind: ErrorKind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string(), context: Vec::new(), source: None }
    }

    /// A failure (exit status 1) with this one-line message.
    pub fn failed(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Failed, message)
    }

    /// A usage error (exit status 2) with this one-line message.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// The user has asked to stop (exit status 130).
    pub fn interrupted(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Interrupted, message)
    }

    /// A failure of the operating system, with what was being done: `cannot read data/x:
    /// permission denied`.
    pub fn io(doing: impl fmt::Display, error: io::Error) -> Self {
        // Ctrl-C, from a reader that checks for it.
        if let Some(inner) = error.get_ref().and_then(|e| e.downcast_ref::<Self>())
            && inner.ends_the_program()
        {
            return inner.clone();
        }
        if error.kind() == io::ErrorKind::BrokenPipe {
            let message = "the reader of our output has closed its pipe";
            return Self::new(ErrorKind::ClosedPipe, message).caused_by(error);
        }
        Self::failed(format_args!("{doing}: {}", reason(&error))).caused_by(error)
    }

    /// A failure while writing CSV, with what was being done; an underlying system error
    /// keeps its meaning.
    pub fn csv(doing: impl fmt::Display, error: csv::Error) -> Self {
        let message = error.to_string();
        match error.into_kind() {
            csv::ErrorKind::Io(e) => Self::io(doing, e),
            _ => Self::failed(format_args!("{doing}: {message}")),
        }
    }

    /// Attaches the cause, for code that needs to inspect it. The message should already
    /// tell the user what they need to know about it.
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Adds a place before the message: `place: message`. An interruption or a closed
    /// pipe has no place and stays unchanged.
    #[must_use]
    pub fn within(mut self, place: impl fmt::Display) -> Self {
        if !self.ends_the_program() {
            self.context.push(place.to_string());
        }
        self
    }

    /// Adds advice after the message: `message; advice`.
    #[must_use]
    pub fn with_advice(mut self, advice: impl fmt::Display) -> Self {
        self.message = format!("{}; {advice}", self.message);
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the error should end the whole program, not only the work on the current
    /// file: an interruption or a closed pipe.
    pub fn ends_the_program(&self) -> bool {
        matches!(self.kind, ErrorKind::Interrupted | ErrorKind::ClosedPipe)
    }

    /// The process's exit status: 0 for a closed pipe, 1 for a failure, 2 for wrong
    /// usage, 130 when interrupted.
    pub fn exit_status(&self) -> u8 {
        match self.kind {
            ErrorKind::ClosedPipe => 0,
            ErrorKind::Failed | ErrorKind::Cancelled | ErrorKind::Disconnected => 1,
            ErrorKind::Usage => 2,
            ErrorKind::Interrupted => 130,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut whole = String::new();
        for place in self.context.iter().rev() {
            whole.push_str(place);
            whole.push_str(": ");
        }
        whole.push_str(&self.message);
        // A library's message may hold line breaks; ours are one line each.
        let lines: Vec<&str> =
            whole.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if lines.is_empty() {
            return f.write_str("unknown error");
        }
        f.write_str(&text::message(&lines.join("; ")))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}

/// Two errors are equal if the user could not tell them apart.
impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.message == other.message
            && self.context == other.context
    }
}

/// Adds what was being done to an operating system's error: `fs::read(p).doing("read",
/// p)?`.
pub trait Context<T> {
    /// `cannot VERB PATH: reason`.
    fn doing(self, verb: &str, path: impl AsRef<Path>) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn doing(self, verb: &str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|e| {
            Error::io(format_args!("cannot {verb} {}", path.as_ref().display()), e)
        })
    }
}

/// The system's reason in plain words, without `(os error 2)`, which helps nobody.
pub fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or folder".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::StorageFull => "no space left on the disk".to_owned(),
        io::ErrorKind::UnexpectedEof => "the file ends too early".to_owned(),
        _ => {
            let text = error.to_string();
            let plain = text.split(" (os error").next().unwrap_or(&text);
            let mut letters = plain.chars();
            match letters.next() {
                Some(first) => first.to_lowercase().to_string() + letters.as_str(),
                None => String::new(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn messages_are_one_line_and_say_where() {
        let missing = std::fs::read("/nonexistent/file")
            .doing("read", "/nonexistent/file")
            .unwrap_err();
        assert_eq!(
            missing.to_string(),
            "cannot read /nonexistent/file: no such file or folder"
        );
        let text =
            Error::failed("first\n  second\n").within("model").within("recipe.toml");
        assert_eq!(text.to_string(), "recipe.toml: model: first; second");
        assert_eq!(text.exit_status(), 1);
        let advised = Error::failed("no image").with_advice("try --skip-bad");
        assert_eq!(advised.to_string(), "no image; try --skip-bad");
    }

    #[test]
    fn a_broken_pipe_is_not_a_failure() {
        let error = Error::io("cannot write", io::ErrorKind::BrokenPipe.into());
        assert_eq!(error.kind(), ErrorKind::ClosedPipe);
        assert_eq!(error.exit_status(), 0);
        let error = csv::Error::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(Error::csv("cannot write", error).kind(), ErrorKind::ClosedPipe);
    }

    #[test]
    fn an_interruption_stays_one_through_readers() {
        let error = io::Error::other(Error::interrupted("interrupted"));
        assert_eq!(Error::io("cannot read", error).kind(), ErrorKind::Interrupted);
    }

    #[test]
    fn system_errors_lose_their_number_and_stay_the_source() {
        let error = Error::io("cannot open x", io::Error::from_raw_os_error(21));
        assert_eq!(error.to_string(), "cannot open x: is a directory");
        let source = error.source().and_then(|e| e.downcast_ref::<io::Error>()).unwrap();
        assert_eq!(source.raw_os_error(), Some(21));
    }

    #[test]
    fn long_messages_keep_both_ends_and_escape_controls() {
        let cell = "x".repeat(200_000);
        let error = Error::failed(format_args!("`{cell}` is not a number"))
            .within("a\u{1b}[2J.csv, line 3");
        let shown = error.to_string();
        assert!(shown.starts_with("a\\u{1b}[2J.csv, line 3: `xxx"), "{shown}");
        assert!(shown.ends_with("xxx` is not a number"), "{shown}");
        assert!(shown.chars().count() < text::LONGEST + 60, "{shown}");
    }

    #[test]
    fn interruptions_happen_at_no_place() {
        let error = Error::interrupted("stopped").within("a file");
        assert_eq!((error.to_string().as_str(), error.exit_status()), ("stopped", 130));
        assert!(error.ends_the_program());
    }
}
