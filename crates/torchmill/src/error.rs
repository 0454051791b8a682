//! Errors as the user sees them: one line that says what, where and what to do about it.

use std::fmt;
use std::io;
use std::path::Path;

/// What went wrong, sorted by what the process does about it (see
/// [`Error::exit_status`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The command line, recipe or pipeline text is wrong: exit status 2.
    Usage(String),
    /// The input, the disk or the network is not as it should be: exit status 1.
    Failed(String),
    /// The user pressed Ctrl-C (or sent SIGTERM) and the work stopped in an orderly way:
    /// exit status 130.
    Interrupted(String),
    /// The reader at the other end of our standard output has gone away: the program ends
    /// quietly.
    ClosedPipe,
}

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure (exit status 1) with this one-line message.
    pub fn failed(message: impl fmt::Display) -> Self {
        Self::Failed(message.to_string())
    }

    /// A usage error (exit status 2) with this one-line message.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::Usage(message.to_string())
    }

    /// A failure of the operating system, with what was being done: `cannot read data/x:
    /// permission denied`.
    pub fn io(doing: impl fmt::Display, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::ClosedPipe;
        }
        Self::Failed(format!("{doing}: {}", reason(error)))
    }

    /// A failure while writing CSV, with what was being done; an underlying system error
    /// keeps its meaning.
    pub fn csv(doing: impl fmt::Display, error: csv::Error) -> Self {
        let text = error.to_string();
        match error.into_kind() {
            csv::ErrorKind::Io(e) => Self::io(doing, &e),
            _ => Self::Failed(format!("{doing}: {text}")),
        }
    }

    /// The same error with a place put before its message: `place: message`.
    #[must_use]
    pub fn within(self, place: impl fmt::Display) -> Self {
        match self {
            Self::Usage(m) => Self::Usage(format!("{place}: {m}")),
            Self::Failed(m) => Self::Failed(format!("{place}: {m}")),
            Self::Interrupted(m) => Self::Interrupted(m),
            Self::ClosedPipe => Self::ClosedPipe,
        }
    }

    /// The process's exit status: 0 for a closed pipe, 1 for a failure, 2 for wrong
    /// usage, 130 when interrupted.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::ClosedPipe => 0,
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Interrupted(_) => 130,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A library's message may hold line breaks; ours are one line each.
            Self::Usage(m) | Self::Failed(m) | Self::Interrupted(m) => {
                let mut lines = m.lines().map(str::trim).filter(|l| !l.is_empty());
                f.write_str(lines.next().unwrap_or("unknown error"))?;
                lines.try_for_each(|line| write!(f, "; {line}"))
            }
            Self::ClosedPipe => {
                f.write_str("the reader of our output has closed its pipe")
            }
        }
    }
}

impl std::error::Error for Error {}

/// Adds what was being done to an operating system's error: `fs::read(p).doing("read",
/// p)?`.
pub trait Context<T> {
    /// `cannot VERB PATH: reason`.
    fn doing(self, verb: &str, path: impl AsRef<Path>) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn doing(self, verb: &str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|e| {
            Error::io(format_args!("cannot {verb} {}", path.as_ref().display()), &e)
        })
    }
}

/// The system's reason in plain words, without the `(os error 2)` that nobody can use.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or folder".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::StorageFull => "no space left on the disk".to_owned(),
        io::ErrorKind::UnexpectedEof => "the file ends too early".to_owned(),
        _ => {
            let text = error.to_string();
            let plain = text.split(" (os error").next().unwrap_or(&text);
            let mut letters = plain.chars();
            letters.next().map_or_else(String::new, |first| {
                first.to_lowercase().to_string() + letters.as_str()
            })
        }
    }
}

#[cfg(test)]
mod tests {
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
        let text = Error::failed("first\n  second\n").within("recipe.toml");
        assert_eq!(text.to_string(), "recipe.toml: first; second");
        assert_eq!(text.exit_status(), 1);
    }

    #[test]
    fn a_broken_pipe_is_not_a_failure() {
        let error =
            Error::io("cannot write", &io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(error, Error::ClosedPipe);
        assert_eq!(error.exit_status(), 0);
    }

    #[test]
    fn system_errors_lose_their_number() {
        let error = Error::io("cannot open x", &io::Error::from_raw_os_error(21));
        assert_eq!(error.to_string(), "cannot open x: is a directory");
    }
}
