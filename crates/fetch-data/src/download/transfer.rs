//! Getting one file from one of several sources: tries, pauses, the next source, and
//! going on where a broken transfer stopped.

use std::io::Read;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use torchmill::{Error, Result, interrupt, progress};
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body, Timeout};

use super::address;
use super::client::{self, Patience};
use super::part::Part;
use crate::checksum::Checksum;

/// A file that is wanted.
#[derive(Debug, Clone)]
pub struct Want {
    /// Its name, for messages.
    pub name: String,
    /// Where it can be had, best first.
    pub urls: Vec<String>,
    /// Its published size in bytes.
    pub size: Option<u64>,
    /// Its published checksum.
    pub checksum: Option<Checksum>,
}

/// What happens during a download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The size of the whole is now known.
    Total(u64),
    /// So many bytes are here.
    At(u64),
    /// A line for the user.
    Note(String),
}

/// A file that has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// The source that it, or its last piece, came from.
    pub url: String,
    /// Its checksum, of the published one's kind, or SHA-256.
    pub checksum: Checksum,
}

/// Why a try failed.
enum Failure {
    /// This source will not do: it has something else, or nothing.
    Wrong(String),
    /// No answer came: no such host, no connection, a proxy that refuses.
    Silent(String),
    /// It may work the next time; the server may have asked for a pause.
    Passing(String, Duration),
    /// The trouble is on our side.
    Ours(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

/// A transfer that brings something each time is taken up again, but not for ever.
const MOST_RESUMES: u32 = 100;

/// Downloads `want` to `destination`. What came so far is kept beside it when that fails.
pub fn download(
    agent: &Agent,
    want: &Want,
    destination: &Path,
    patience: &Patience,
    report: &dyn Fn(Event),
) -> Result<Arrived> {
    let mut part = Part::open(destination, want.checksum.as_ref())?;
    // Complete, but not yet renamed when the earlier try ended.
    if part.length() > 0 && Some(part.length()) == want.size && check(want, &part).is_ok()
    {
        let url = want.urls.first().cloned().unwrap_or_default();
        return Ok(Arrived { url, checksum: part.finish()? });
    }
    let mut sources: Vec<Source> = want.urls.iter().map(|url| Source::new(url)).collect();
    let mut pause = patience.backoff;
    let mut asked = Duration::ZERO;
    for round in 0..patience.rounds {
        if round > 0 {
            sleep(asked.max(pause).min(patience.longest_pause))?;
            (pause, asked) = (pause * 2, Duration::ZERO);
        }
        for source in sources.iter_mut().filter(|s| s.usable()) {
            for _ in 0..MOST_RESUMES {
                let before = part.length();
                let failure =
                    match attempt(agent, source.url, want, &mut part, patience, report) {
                        Ok(()) => {
                            return Ok(Arrived {
                                url: source.url.to_owned(),
                                checksum: part.finish()?,
                            });
                        }
                        Err(Failure::Ours(error)) => return Err(error),
                        Err(failure) => failure,
                    };
                let moved = part.length() > before;
                asked = asked.max(source.note(failure, report));
                if !moved || !source.usable() {
                    break;
                }
                sleep(patience.backoff)?;
            }
        }
        if !sources.iter().any(Source::usable) {
            break;
        }
    }
    let kept = match part.length() {
        0 => String::new(),
        n => {
            format!(" ({} are kept: the next try goes on from there)", progress::bytes(n))
        }
    };
    part.close();
    let tried = sources.iter().map(|s| (s.url, s.trouble.as_str()));
    Err(Error::failed(format_args!(
        "cannot download {}{kept}: {}",
        want.name,
        client::blame(tried)
    )))
}

/// One of the places where the file may be had.
struct Source<'a> {
    url: &'a str,
    /// The last trouble with it.
    trouble: String,
    /// Whether it has shown that it will not do.
    wrong: bool,
    /// How often it did not even answer.
    silent: u32,
}

impl<'a> Source<'a> {
    fn new(url: &'a str) -> Self {
        Self { url, trouble: "not tried".to_owned(), wrong: false, silent: 0 }
    }

    /// Whether it is worth another try. Who does not answer twice is not there.
    fn usable(&self) -> bool {
        !self.wrong && self.silent < 2
    }

    /// Remembers a failure, tells the user what is new about it, and returns the pause
    /// that was asked for.
    fn note(&mut self, failure: Failure, report: &dyn Fn(Event)) -> Duration {
        let (why, pause) = match failure {
            Failure::Wrong(why) => {
                self.wrong = true;
                (why, Duration::ZERO)
            }
            Failure::Silent(why) => {
                self.silent += 1;
                (why, Duration::ZERO)
            }
            Failure::Passing(why, pause) => (why, pause),
            Failure::Ours(error) => (error.to_string(), Duration::ZERO),
        };
        if why != self.trouble {
            report(Event::Note(format!("{}: {why}", address::shown(self.url))));
            self.trouble = why;
        }
        pause
    }
}

/// Sleeps in small pieces, so that Ctrl-C is heeded.
fn sleep(time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    loop {
        interrupt::check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(Duration::from_millis(50)));
    }
}

fn attempt(
    agent: &Agent,
    url: &str,
    want: &Want,
    part: &mut Part,
    patience: &Patience,
    report: &dyn Fn(Event),
) -> std::result::Result<(), Failure> {
    let mut request = agent.get(url);
    match part.resumable(url) {
        Some(validator) => {
            request = request.header("Range", format!("bytes={}-", part.length()));
            if let Some(validator) = validator {
                request = request.header("If-Range", validator);
            }
        }
        None => part.restart()?,
    }
    let asked_from = part.length();
    let response =
        request.call().map_err(|e| trouble(&e, &client::through(agent, url)))?;
    let from = match response.status() {
        StatusCode::OK => {
            if asked_from > 0 {
                report(Event::Note(format!(
                    "{}: does not go on from where it stopped; starting over",
                    address::shown(url)
                )));
                part.restart()?;
            }
            0
        }
        StatusCode::PARTIAL_CONTENT if asked_from > 0 => {
            if let Err(why) = continues(&response, asked_from, want.size) {
                part.restart()?;
                return Err(why);
            }
            asked_from
        }
        StatusCode::RANGE_NOT_SATISFIABLE if asked_from > 0 => {
            // Nothing is left to send, or what is here is longer than the file: the
            // checksum tells.
            if want.checksum.is_some() && check(want, part).is_ok() {
                return Ok(());
            }
            part.restart()?;
            return Err(Failure::Passing(
                "has no such range; starting over".to_owned(),
                Duration::ZERO,
            ));
        }
        status => return Err(refusal(status, &response)),
    };
    let announced = response.body().content_length().map(|n| from.saturating_add(n));
    if let (Some(announced), Some(size)) = (announced, want.size)
        && announced != size
    {
        let why = format!(
            "offers {announced} bytes where {size} are published: not the same file"
        );
        return Err(Failure::Wrong(why));
    }
    let total = want.size.or(announced);
    if let Some(total) = total {
        report(Event::Total(total));
    }
    report(Event::At(from));
    part.from(url, validator(&response))?;
    receive(response, total, part, patience, report)?;
    match check(want, part) {
        Ok(()) => Ok(()),
        Err(why) => {
            part.restart()?;
            report(Event::At(0));
            Err(if from > 0 {
                Failure::Passing(
                    format!("the pieces do not make the file ({why}); starting over"),
                    Duration::ZERO,
                )
            } else {
                Failure::Wrong(why)
            })
        }
    }
}

/// Reads the body into the part.
fn receive(
    response: Response<Body>,
    total: Option<u64>,
    part: &mut Part,
    patience: &Patience,
    report: &dyn Fn(Event),
) -> std::result::Result<(), Failure> {
    let mut body = response.into_body().into_reader();
    let mut buffer = vec![0; 1 << 18];
    let mut window = (Instant::now(), part.length());
    loop {
        interrupt::check()?;
        let n = body
            .read(&mut buffer)
            .map_err(|e| Failure::Passing(client::io_reason(&e), Duration::ZERO))?;
        if n == 0 {
            break;
        }
        if let Some(total) = total.filter(|&t| part.length() + n as u64 > t) {
            part.restart()?;
            return Err(Failure::Wrong(format!(
                "sends more than the {total} bytes of the file"
            )));
        }
        part.append(&buffer[..n])?;
        report(Event::At(part.length()));
        if window.0.elapsed() >= patience.stall {
            if part.length() - window.1 < patience.least_per_stall {
                return Err(Failure::Passing(
                    "the transfer all but stopped".to_owned(),
                    Duration::ZERO,
                ));
            }
            window = (Instant::now(), part.length());
        }
    }
    match total {
        Some(total) if part.length() < total => {
            let why = format!("broke off after {} of {total} bytes", part.length());
            Err(Failure::Passing(why, Duration::ZERO))
        }
        _ => Ok(()),
    }
}

/// Whether what is here is the file that is wanted.
fn check(want: &Want, part: &Part) -> std::result::Result<(), String> {
    if let Some(size) = want.size.filter(|&s| s != part.length()) {
        return Err(format!("has {} bytes where {size} are published", part.length()));
    }
    match &want.checksum {
        Some(published) if part.checksum() != *published => Err(format!(
            "has other contents than the published file: its checksum is {}, not {published}",
            part.checksum()
        )),
        _ => Ok(()),
    }
}

/// Whether a 206 response goes on at byte `from` of a file of the published size.
fn continues(
    response: &Response<Body>,
    from: u64,
    size: Option<u64>,
) -> std::result::Result<(), Failure> {
    let header = response
        .headers()
        .get("content-range")
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let Some((start, total)) = parse_content_range(header) else {
        return Err(Failure::Passing(
            format!("sent a range that makes no sense: `{header}`"),
            Duration::ZERO,
        ));
    };
    if start != from {
        return Err(Failure::Passing(
            format!("was asked to go on from byte {from} and went on from {start}"),
            Duration::ZERO,
        ));
    }
    match (total, size) {
        (Some(total), Some(size)) if total != size => Err(Failure::Wrong(format!(
            "offers {total} bytes where {size} are published: not the same file"
        ))),
        _ => Ok(()),
    }
}

/// The first byte and the total of `bytes FIRST-LAST/TOTAL` (RFC 9110, 14.4); the total
/// may be `*`.
pub(super) fn parse_content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) =
        text.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) =
        (first.trim().parse().ok()?, last.trim().parse().ok()?);
    let total = match total.trim() {
        "*" => None,
        n => Some(n.parse().ok()?),
    };
    (first <= last && total.is_none_or(|t| last < t)).then_some((first, total))
}

/// What tells one version of the file from the next: a strong ETag, or the date. A weak
/// ETag may not be sent with If-Range (RFC 9110, 13.1.5).
fn validator(response: &Response<Body>) -> Option<String> {
    let header = |name: &str| {
        response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned)
    };
    header("etag").filter(|tag| tag.starts_with('"')).or_else(|| header("last-modified"))
}

fn refusal(status: StatusCode, response: &Response<Body>) -> Failure {
    let what = match status.canonical_reason() {
        Some(reason) => format!("answers {} ({reason})", status.as_u16()),
        None => format!("answers {}", status.as_u16()),
    };
    let passing = matches!(status.as_u16(), 408 | 425 | 429) || status.is_server_error();
    if !passing {
        return Failure::Wrong(what);
    }
    let asked = response
        .headers()
        .get("retry-after")
        .and_then(|v| v.to_str().ok()?.trim().parse().ok());
    Failure::Passing(what, Duration::from_secs(asked.unwrap_or(0)))
}

fn trouble(error: &ureq::Error, through: &str) -> Failure {
    let why = client::reason(error);
    match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::TooManyRedirects => {
            Failure::Wrong(why)
        }
        // The server was there and did not finish its answer.
        ureq::Error::Timeout(Timeout::RecvResponse | Timeout::PerRead)
        | ureq::Error::Protocol(_) => Failure::Passing(why, Duration::ZERO),
        _ => Failure::Silent(why + through),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_content_range;
    use proptest::prelude::*;

    #[test]
    fn content_ranges() {
        assert_eq!(parse_content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(parse_content_range(" bytes 0-0/*"), Some((0, None)));
        for bad in [
            "",
            "bytes */10",
            "bytes 5-4/10",
            "bytes 5-10/10",
            "bytes -5-9/10",
            "items 5-9/10",
            "bytes 5-9",
        ] {
            assert_eq!(parse_content_range(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_refused(text in "(bytes )?[0-9*/ -]{0,30}|.{0,30}") {
            if let Some((first, Some(total))) = parse_content_range(&text) {
                prop_assert!(first < total);
            }
        }
    }
}
