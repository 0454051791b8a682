//! What every program does around its work: parse the command line, run, and report.
//! Completions and the man page come from the same definition.

mod completions;
mod escaped;
mod man;
mod prefix;
mod stdin;

use std::ffi::OsStr;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::{PossibleValue, Styles, TypedValueParser};
use clap::{Arg, ArgAction, Args, Parser};
use clap_complete::Shell;

use escaped::Escaped;
pub use stdin::{Stdin, stdin};

use crate::suggest::did_you_mean;
use crate::{Error, ErrorKind, Result, interrupt, limits, progress};

/// The options that every program has. Flatten it into the program's own arguments.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Print only errors
    #[arg(short, long, global = true, help_heading = "Messages")]
    pub quiet: bool,
    /// Say more; may be repeated
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Messages")]
    pub verbose: u8,
}

/// Parses the command line, runs the program and turns its result into the exit status.
///
/// `--completions SHELL` and `--man` are answered here, so that they need none of the
/// program's arguments.
pub fn main<A: Parser>(
    common: impl Fn(&A) -> &Common,
    run: impl FnOnce(A) -> Result<()>,
) -> ExitCode {
    ExitCode::from(status(common, run))
}

/// Like [`main`], but returns the exit status and leaves it to the caller to end the
/// process.
pub fn status<A: Parser>(
    common: impl Fn(&A) -> &Common,
    run: impl FnOnce(A) -> Result<()>,
) -> u8 {
    answer(common, |args| {
        interrupt::listen();
        run(args)
    })
}

/// [`main`] for a program that replaces itself with another. Until then, signals keep
/// their default actions, so that none is lost.
pub fn front<A: Parser>(
    common: impl Fn(&A) -> &Common,
    run: impl FnOnce(A) -> Result<()>,
) -> ExitCode {
    ExitCode::from(answer(common, run))
}

fn answer<A: Parser>(
    common: impl Fn(&A) -> &Common,
    run: impl FnOnce(A) -> Result<()>,
) -> u8 {
    if let Err(error) = limits::check_stack() {
        let name = std::env::args_os().next().map(PathBuf::from);
        let name = name.as_deref().and_then(Path::file_name);
        return report(&name.unwrap_or_default().to_string_lossy(), &error);
    }
    let command = with_generators(A::command());
    let program = command.get_name().to_owned();
    let mut command = prefix::under_its_name(command);
    let name = command.get_name().to_owned();
    let matches = match command.try_get_matches_from_mut(std::env::args_os()) {
        Ok(matches) => matches,
        Err(error) => return print_answer(&name, &error),
    };
    let result = if let Some(shell) = matches.get_one::<Shell>("completions") {
        print(&completions::script(*shell, &mut command))
    } else if matches.get_flag("man") {
        man::page(&program, command)
            .map_err(|e| Error::io("cannot write the man page", e))
            .and_then(|page| print(&page))
    } else {
        let args = match A::from_arg_matches(&matches) {
            Ok(args) => args,
            Err(error) => return print_answer(&name, &error),
        };
        progress::set_level(common(&args).quiet, common(&args).verbose);
        limits::check_working_folder().and_then(|()| run(args))
    };
    match result {
        Ok(()) => 0,
        Err(error) => report(&name, &error),
    }
}

/// Shows an error, and returns the exit status.
fn report(name: &str, error: &Error) -> u8 {
    if error.kind() != ErrorKind::ClosedPipe {
        progress::say(format_args!("{name}: {error}"));
    }
    error.exit_status()
}

/// Prints clap's answer to the command line: the help, the version, or what is wrong.
fn print_answer(name: &str, answer: &clap::Error) -> u8 {
    if answer.use_stderr() {
        // Like other errors, it starts with the program's name.
        let text = answer.render().to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        progress::say(format_args!("{name}: {}", text.trim_end()));
        return u8::try_from(answer.exit_code()).unwrap_or(2);
    }
    let printed = answer.print().and_then(|()| std::io::stdout().flush());
    match printed {
        Err(e) => report(name, &Error::io("cannot write to standard output", e)),
        Ok(()) => u8::try_from(answer.exit_code()).unwrap_or(2),
    }
}

/// A parser for an option's values with a list of known names, used for shell completions
/// and suggestions. `parse` may accept other values, too.
#[derive(Clone)]
pub struct Named<F> {
    names: Vec<&'static str>,
    synonyms: &'static [(&'static str, &'static str)],
    parse: F,
}

impl<F> Named<F> {
    /// Parses with `parse`, which must accept at least these names.
    pub fn new(names: impl IntoIterator<Item = &'static str>, parse: F) -> Self {
        Self { names: names.into_iter().collect(), synonyms: &[], parse }
    }

    /// Adds other programs' words with the names used here. If a refused value begins
    /// with such a word, the error suggests the name.
    #[must_use]
    pub fn synonyms(mut self, synonyms: &'static [(&'static str, &'static str)]) -> Self {
        self.synonyms = synonyms;
        self
    }

    /// A suggestion of what was probably meant by a refused value.
    fn suggestion(&self, text: &str) -> String {
        for (word, name) in self.synonyms {
            if let Some(rest) = text.strip_prefix(word) {
                return format!(" (did you mean {name}{rest}?)");
            }
        }
        did_you_mean(text, self.names.iter().copied())
    }
}

impl Named<fn(&str) -> Result<String>> {
    /// Accepts any text; it is checked later.
    pub fn text(names: impl IntoIterator<Item = &'static str>) -> Self {
        Self::new(names, |text| Ok(text.to_owned()))
    }
}

impl<F, T> TypedValueParser for Named<F>
where
    F: Fn(&str) -> Result<T> + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<T, clap::Error> {
        let named = self.clone();
        let parse = move |text: &str| {
            (named.parse)(text).map_err(|e| format!("{e}{}", named.suggestion(text)))
        };
        TypedValueParser::parse_ref(&parse, command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.names.iter().copied().map(PossibleValue::new)))
    }
}

/// Writes a result to standard output unchanged; on a terminal, control characters are
/// escaped.
pub fn print(bytes: &[u8]) -> Result<()> {
    write_all(&mut stdout(), bytes)
}

/// Writes coloured text to standard output. Text from files must already be escaped.
pub fn print_styled(text: &str) -> Result<()> {
    write_all(&mut std::io::stdout().lock(), text.as_bytes())
}

fn write_all(out: &mut dyn Write, bytes: &[u8]) -> Result<()> {
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(|e| Error::io("cannot write to standard output", e))
}

/// Standard output, to which [`print()`] writes.
pub fn stdout() -> Box<dyn Write> {
    let out = std::io::stdout().lock();
    if out.is_terminal() { Box::new(Escaped::new(out)) } else { Box::new(out) }
}

fn with_generators(command: clap::Command) -> clap::Command {
    // Like GNU's programs, name the package: `train (torchmill) 0.1.0`.
    let version = command.get_version().unwrap_or_default();
    let version = Box::leak(format!("(torchmill) {version}").into_boxed_str());
    let command = command.version(&*version);
    // One help text that fits a screen instead of a short and a long one.
    let about =
        command.get_long_about().or(command.get_about()).cloned().unwrap_or_default();
    // The style of clap's own headings.
    let heading = Styles::default();
    let heading = heading.get_header();
    let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let examples =
        examples.replacen("Examples:", &format!("{heading}Examples:{heading:#}"), 1);
    command
        .about(about)
        .after_help(examples)
        .disable_help_flag(true)
        .arg(
            Arg::new("help")
                .short('h')
                .long("help")
                .action(ArgAction::HelpShort)
                .help_heading("Messages")
                .help("Print this help"),
        )
        // If an option is repeated, the last one wins, as scripts that build command
        // lines expect.
        .args_override_self(true)
        .arg(
            Arg::new("completions")
                .long("completions")
                .value_name("SHELL")
                .value_parser(clap::value_parser!(Shell))
                .exclusive(true)
                .help_heading("Messages")
                .hide_possible_values(true)
                .help("Completions: bash, zsh, fish, elvish, powershell"),
        )
        .arg(
            Arg::new("man")
                .long("man")
                .action(ArgAction::SetTrue)
                .exclusive(true)
                .help_heading("Messages")
                .help("Print the man page"),
        )
}
