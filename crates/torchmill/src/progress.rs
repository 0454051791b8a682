//! Progress and notes on standard error: a bar on a terminal, a plain line now and then
//! elsewhere. Standard output carries results only.

use std::fmt::{self, Display};
use std::io::Write;
use std::sync::atomic::{AtomicI8, Ordering};
use std::time::{Duration, Instant};

use indicatif::{
    HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget,
    ProgressState, ProgressStyle,
};

use crate::{terminal, text};

/// -1: quiet (errors only); 0: normal; 1 and more: verbose.
static LEVEL: AtomicI8 = AtomicI8::new(0);

/// How often a plain progress line is written when standard error is not a terminal.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// On a terminal with fewer columns than this, a bar shows only its progress and message.
const NARROW: u16 = 72;
/// On one with fewer columns than this, there is no room for a message.
const NARROWEST: u16 = 48;

/// Sets how much is printed: `quiet` silences everything but errors and results, and each
/// `verbose` prints more.
pub fn set_level(quiet: bool, verbose: u8) {
    LEVEL.store(if quiet { -1 } else { verbose.min(100) as i8 }, Ordering::Relaxed);
}

/// Whether `-q` was given.
pub fn quiet() -> bool {
    LEVEL.load(Ordering::Relaxed) < 0
}

/// Prints a message on standard error, even with `-q`. If it cannot be written (`2>&1 |
/// head`, a full disk), the work goes on: `eprintln!` would panic and end a training run.
///
/// Names from files may hold anything and have any length: each line is shortened and
/// escaped as [`text::message`] does.
pub fn say(message: impl Display) {
    let mut lines = String::new();
    for line in message.to_string().split('\n') {
        lines += &text::message(line);
        lines.push('\n');
    }
    let _ = std::io::stderr().write_all(lines.as_bytes());
}

/// Prints a line for the user on standard error, unless `-q` was given.
pub fn note(message: impl Display) {
    if !quiet() {
        say(message);
    }
}

/// Prints a line on standard error only with `-v`.
pub fn detail(message: impl Display) {
    if LEVEL.load(Ordering::Relaxed) > 0 {
        say(message);
    }
}

/// Counts units of work (`images`, `bytes`, `steps`) towards a total.
pub struct Progress {
    bar: ProgressBar,
    what: String,
    unit: Unit,
    started: Instant,
    /// The units done before this run, which do not count towards the rate.
    before: u64,
    last_line: Instant,
    plain: bool,
}

/// The unit of a count, which decides how it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Shown as sizes: `12.5 MiB/162.2 MiB, 8.1 MiB/s`.
    Bytes,
    /// Shown as counts of the named thing: `12,000/50,000 images, 8,100 images/s`.
    Count(&'static str),
}

impl Progress {
    /// Starts at 0 of `total` (`None` if it is not known), labelled `what`.
    pub fn new(what: impl Into<String>, total: Option<u64>, unit: Unit) -> Self {
        let what = what.into();
        let terminal = terminal::moves(&std::io::stderr());
        let target = if terminal && !quiet() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(total, target);
        let style = match (unit, total) {
            (Unit::Bytes, Some(_)) => {
                "{prefix} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} ETA {eta} {msg}".to_owned()
            }
            (Unit::Bytes, None) => "{prefix} {spinner} {bytes} {bytes_per_sec} {msg}".to_owned(),
            (Unit::Count(u), Some(_)) => {
                format!(
                    "{{prefix}} {{wide_bar}} {{human_pos}}/{{human_len}} {u} {{rate}} \
                     ETA {{eta}} {{msg}}"
                )
            }
            (Unit::Count(u), None) => format!("{{prefix}} {{spinner}} {{human_pos}} {u} {{rate}} {{msg}}"),
        };
        // A line that is wider than the terminal would leave its pieces behind.
        let columns =
            terminal::columns(std::io::stderr()).filter(|_| terminal).unwrap_or(u16::MAX);
        let style = match columns {
            0..NARROWEST => "{prefix} {wide_bar} {percent} % {eta}".to_owned(),
            NARROWEST..NARROW => "{prefix} {wide_bar} {percent} % {eta} {msg}".to_owned(),
            NARROW.. => style,
        };
        // The templates above are fixed; were one wrong, the default style would do.
        let style = ProgressStyle::with_template(&style)
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let style =
            style.with_key("rate", |state: &ProgressState, out: &mut dyn fmt::Write| {
                // A bar that cannot be written is not reported.
                let _ = write!(out, "{}/s", HumanCount(state.per_sec() as u64));
            });
        let ascii =
            |style: ProgressStyle| style.progress_chars("#>-").tick_chars("|/-\\ ");
        bar.set_style(if terminal::unicode() { style } else { ascii(style) });
        bar.set_prefix(what.clone());
        let now = Instant::now();
        Self {
            bar,
            what,
            unit,
            started: now,
            before: 0,
            last_line: now,
            plain: !terminal && !quiet(),
        }
    }

    /// Leaves out the plain lines, for work that reports on itself when standard error is
    /// not a terminal.
    #[must_use]
    pub fn bar_only(self) -> Self {
        Self { plain: false, ..self }
    }

    /// `n` more units are done.
    pub fn add(&mut self, n: u64) {
        self.bar.inc(n);
        if self.plain && self.last_line.elapsed() >= PLAIN_INTERVAL {
            self.last_line = Instant::now();
            say(format_args!("{}: {}", self.what, self.describe()));
        }
    }

    /// Starts from `n` units already done (a resumed download, say).
    pub fn start_at(&mut self, n: u64) {
        self.bar.set_position(n);
        (self.before, self.started) = (n, Instant::now());
        self.bar.reset_eta();
    }

    /// Sets a short text at the end of the bar, such as the current loss.
    pub fn message(&self, message: impl Into<String>) {
        self.bar.set_message(message.into());
    }

    /// Prints a line above the bar, or a plain line; nothing with `-q`.
    pub fn line(&self, line: impl AsRef<str>) {
        if quiet() {
        } else if self.bar.is_hidden() {
            say(line.as_ref());
        } else {
            self.bar.println(line);
        }
    }

    /// Removes the bar. Print what is worth keeping with [`note`].
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }

    fn describe(&self) -> String {
        let (done, total) = (self.bar.position(), self.bar.length());
        let rate = done.saturating_sub(self.before) as f64
            / self.started.elapsed().as_secs_f64().max(1e-9);
        let amount = match (self.unit, total) {
            (Unit::Bytes, Some(t)) => format!("{} of {}", bytes(done), bytes(t)),
            (Unit::Bytes, None) => bytes(done),
            (Unit::Count(u), Some(t)) => format!("{} of {} {u}", count(done), count(t)),
            (Unit::Count(u), None) => format!("{} {u}", count(done)),
        };
        let left =
            total.filter(|&t| t > done && rate > 0.0).map_or_else(String::new, |t| {
                format!(
                    ", {} left",
                    duration(
                        Duration::try_from_secs_f64((t - done) as f64 / rate)
                            .unwrap_or_default()
                    )
                )
            });
        match self.unit {
            Unit::Bytes => format!("{amount}, {}/s{left}", bytes(rate as u64)),
            Unit::Count(u) => format!("{amount}, {} {u}/s{left}", count(rate as u64)),
        }
    }
}

/// A size as people read it: `162.17 MiB`.
pub fn bytes(n: u64) -> String {
    HumanBytes(n).to_string()
}

/// A count with separators: `50,000`.
pub fn count(n: u64) -> String {
    HumanCount(n).to_string()
}

/// A number of things, with the word for one or for many: `1 class`, `1,234 classes`.
pub fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// A duration as people read it: `3.2 s` below a minute, `5 minutes` above.
pub fn duration(d: Duration) -> String {
    if d < Duration::from_secs(60) {
        format!("{:.1} s", d.as_secs_f64())
    } else {
        HumanDuration(d).to_string()
    }
}
