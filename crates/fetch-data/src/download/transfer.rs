//! Downloads one file from one of several sources: retries, waits, switches sources, and
//! continues where a broken transfer stopped.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use torchmill::{Error, error, interrupt, progress};
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

use super::DownloadError;
use super::address;
use super::client::{self, RetryPolicy};
use super::failure::{Attempt, Failure, Fault};
use super::part::Part;
use super::retry::{Rounds, Source, sleep};
use super::token::Token;
use crate::checksum::Checksum;

/// A file to download.
#[derive(Debug, Clone, Default)]
pub struct FileSpec {
    /// Its name, for messages.
    pub name: String,
    /// Its sources, best first: `https:`, `http:` or `file:`.
    pub urls: Vec<String>,
    /// Its published size in bytes.
    pub size: Option<u64>,
    /// Its published checksum.
    pub checksum: Option<Checksum>,
    /// What its server must be shown.
    pub token: Option<Token>,
}

/// What happens during a download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The size of the whole file is known.
    Total(u64),
    /// The number of bytes received so far.
    Position(u64),
    /// A message for the user.
    Note(String),
}

/// A file that has been received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The source of the file, or of its last piece.
    pub url: String,
    /// Its checksum, with the algorithm of the published one, or SHA-256.
    pub checksum: Checksum,
}

/// How often a transfer that makes progress each time is continued.
const MAX_RESUMES: u32 = 100;

/// Downloads `spec` to `destination`. If that fails, the bytes so far are kept next to
/// it.
pub fn download(
    agent: &Agent,
    spec: &FileSpec,
    destination: &Path,
    policy: &RetryPolicy,
    report: &dyn Fn(Event),
) -> Result<Received, DownloadError> {
    let part = Part::open(destination, spec.checksum.as_ref())?;
    let mut transfer = Transfer { agent, spec, policy, report, part };
    if let Some(url) = transfer.complete_from() {
        return transfer.finish(url);
    }
    let mut sources: Vec<Source> = spec.urls.iter().map(|url| Source::new(url)).collect();
    let mut rounds = Rounds::new(policy);
    while rounds.begin()? {
        for source in &mut sources {
            if !source.is_usable() {
                continue;
            }
            match transfer.try_source(source)? {
                Outcome::Complete => return transfer.finish(source.url),
                Outcome::Failed { wait } => rounds.ask_for(wait),
            }
        }
        if !sources.iter().any(Source::is_usable) {
            break;
        }
    }
    Err(transfer.give_up(&sources))
}

/// How trying a source ended.
enum Outcome {
    Complete,
    Failed { wait: Duration },
}

/// The download of one file.
struct Transfer<'a> {
    agent: &'a Agent,
    spec: &'a FileSpec,
    policy: &'a RetryPolicy,
    report: &'a dyn Fn(Event),
    part: Part,
}

impl<'a> Transfer<'a> {
    /// The source of the part if it is the whole file: an earlier try was stopped before
    /// the part was renamed. Without a checksum, the length does not show that the part
    /// is this file, so it must be from one of the file's sources.
    fn complete_from(&self) -> Option<&'a str> {
        let length = self.part.length();
        if length == 0 || Some(length) != self.spec.size || self.check().is_err() {
            return None;
        }
        let spec = self.spec;
        let origin = spec.urls.iter().find(|url| self.part.is_from(url));
        let source = match &spec.checksum {
            Some(_) => origin.or(spec.urls.first()),
            None => origin,
        };
        source.map(String::as_str)
    }

    fn finish(self, url: &str) -> Result<Received, DownloadError> {
        let checksum = self.part.finish()?;
        Ok(Received { url: url.to_owned(), checksum })
    }

    fn give_up(self, sources: &[Source]) -> DownloadError {
        let kept = match self.part.length() {
            0 => String::new(),
            n => format!(" ({} are kept: the next try continues)", progress::bytes(n)),
        };
        self.part.close();
        let reasons = sources.iter().map(|s| (s.url, s.why.as_str()));
        DownloadError::Sources {
            message: format!(
                "cannot download {}{kept}: {}",
                self.spec.name,
                client::summarize(reasons)
            ),
            faults: sources.iter().filter_map(|source| source.fault).collect(),
        }
    }

    /// Requests the file from a source as long as each try receives enough of it.
    fn try_source(&mut self, source: &mut Source) -> Result<Outcome, Error> {
        let mut longest_wait = Duration::ZERO;
        for _ in 0..MAX_RESUMES {
            let before = self.part.length();
            let failure = match self.attempt(source.url) {
                Ok(()) => return Ok(Outcome::Complete),
                Err(failure) => failure,
            };
            longest_wait = longest_wait.max(source.note(failure, self.report)?);
            let gained = self.part.length().saturating_sub(before);
            if gained < self.policy.min_progress.max(1) || !source.is_usable() {
                break;
            }
            sleep(self.policy.backoff)?;
        }
        Ok(Outcome::Failed { wait: longest_wait })
    }

    /// Makes one request, adds its body to the part, and checks the whole file.
    fn attempt(&mut self, url: &str) -> Attempt<()> {
        if let Some(path) = address::local_path(url) {
            return self.copy(Path::new(path), url);
        }
        let response = self.request(url)?;
        let status = response.status();
        if status == StatusCode::RANGE_NOT_SATISFIABLE && self.part.length() > 0 {
            return self.nothing_left();
        }
        let from = self.start_of_body(url, &response)?;
        let rest = response.body().content_length();
        let announced = rest.map(|rest| from.saturating_add(rest));
        if let (Some(announced), Some(size)) = (announced, self.spec.size)
            && announced != size
        {
            return Err(Failure::other_file(format!(
                "offers {announced} bytes where {size} are published: not the same file"
            )));
        }
        let total = self.spec.size.or(announced);
        if let Some(total) = total {
            (self.report)(Event::Total(total));
        }
        (self.report)(Event::Position(from));
        self.part.from(url, validator(&response))?;
        self.receive(response.into_body().into_reader(), total)?;
        let Err(why) = self.check() else { return Ok(()) };
        self.part.restart()?;
        (self.report)(Event::Position(0));
        // The cause may be an earlier piece from another source.
        Err(match from {
            0 => Failure::other_file(why),
            _ => Failure::temporary(format!(
                "the pieces do not match the file ({why}); starting over"
            )),
        })
    }

    /// Requests the file, or the rest of it.
    fn request(&mut self, url: &str) -> Attempt<Response<Body>> {
        let mut request = self.agent.get(url);
        if self.part.is_resumable(url) {
            request = request.header("Range", format!("bytes={}-", self.part.length()));
            if let Some(validator) = self.part.validator(url) {
                request = request.header("If-Range", validator);
            }
        } else {
            self.part.restart()?;
        }
        let token = self.spec.token.as_ref();
        if let Some(header) = token.and_then(|token| token.header(url)) {
            request = request.header("Authorization", header);
        }
        let proxy = client::through_proxy(self.agent, url);
        request.call().map_err(|error| Failure::of_call(&error, &proxy))
    }

    /// The offset in the file at which the response's body begins.
    fn start_of_body(&mut self, url: &str, response: &Response<Body>) -> Attempt<u64> {
        let asked_from = self.part.length();
        match response.status() {
            StatusCode::OK => {
                if asked_from > 0 {
                    let url = address::without_query(url);
                    (self.report)(Event::Note(format!(
                        "{url}: does not continue where it stopped; starting over"
                    )));
                    self.part.restart()?;
                }
                Ok(0)
            }
            StatusCode::PARTIAL_CONTENT if asked_from > 0 => {
                let continues = continues(response, asked_from, self.spec.size)
                    .and_then(|()| is_same_version(self.part.validator(url), response));
                if let Err(failure) = continues {
                    self.part.restart()?;
                    return Err(failure);
                }
                Ok(asked_from)
            }
            _ => Err(Failure::of_answer(response)),
        }
    }

    /// The server has nothing left to send, or the part is longer than the file. The
    /// checksum decides which.
    fn nothing_left(&mut self) -> Attempt<()> {
        if self.spec.checksum.is_some() && self.check().is_ok() {
            return Ok(());
        }
        self.part.restart()?;
        Err(Failure::temporary("has no such range; starting over"))
    }

    /// A file of this machine, added to the part and checked.
    fn copy(&mut self, path: &Path, url: &str) -> Attempt<()> {
        let unreadable = |e: std::io::Error| Failure::Wrong {
            why: format!("cannot be read: {}", error::reason(&e)),
            fault: Fault::Missing,
        };
        let about = std::fs::metadata(path).map_err(unreadable)?;
        if !about.is_file() {
            let why = "is not a file".to_owned();
            return Err(Failure::Wrong { why, fault: Fault::Missing });
        }
        if let Some(size) = self.spec.size
            && size != about.len()
        {
            return Err(Failure::other_file(format!(
                "has {} bytes where {size} are published: not the same file",
                about.len()
            )));
        }
        let file = File::open(path).map_err(unreadable)?;
        self.part.restart()?;
        self.part.from(url, None)?;
        (self.report)(Event::Total(about.len()));
        (self.report)(Event::Position(0));
        self.receive(file, Some(about.len()))?;
        let Err(why) = self.check() else { return Ok(()) };
        self.part.restart()?;
        Err(Failure::other_file(why))
    }

    /// Reads the body into the part.
    fn receive(&mut self, mut body: impl Read, total: Option<u64>) -> Attempt<()> {
        let mut buffer = vec![0; 1 << 18];
        let mut window = Window { start: Instant::now(), length: self.part.length() };
        loop {
            interrupt::check()?;
            let read = body.read(&mut buffer);
            let n = read.map_err(|e| Failure::temporary(client::io_reason(&e)))?;
            if n == 0 {
                break;
            }
            if let Some(total) = total
                && self.part.length() + n as u64 > total
            {
                self.part.restart()?;
                return Err(Failure::other_file(format!(
                    "sends more than the {total} bytes of the file"
                )));
            }
            self.part.append(&buffer[..n])?;
            (self.report)(Event::Position(self.part.length()));
            window.check(self.part.length(), self.policy)?;
        }
        match total {
            Some(total) if self.part.length() < total => {
                let length = self.part.length();
                Err(Failure::temporary(format!(
                    "broke off after {length} of {total} bytes"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Whether the part is the whole file.
    fn check(&self) -> std::result::Result<(), String> {
        let length = self.part.length();
        if let Some(size) = self.spec.size.filter(|&size| size != length) {
            return Err(format!("has {length} bytes where {size} are published"));
        }
        let found = self.part.checksum();
        match &self.spec.checksum {
            Some(published) if !published.accepts(&found) => Err(format!(
                "has other contents than the published file: its checksum is {found}, not \
                 {published}"
            )),
            _ => Ok(()),
        }
    }
}

/// The window over which a transfer's rate is measured.
struct Window {
    start: Instant,
    /// The part's length at the start.
    length: u64,
}

impl Window {
    fn check(&mut self, length: u64, policy: &RetryPolicy) -> Attempt<()> {
        if self.start.elapsed() < policy.stall {
            return Ok(());
        }
        if length - self.length < policy.min_progress {
            return Err(Failure::temporary("the transfer nearly stopped"));
        }
        *self = Self { start: Instant::now(), length };
        Ok(())
    }
}

/// Whether a 206 response continues at byte `from` of a file of the published size.
fn continues(response: &Response<Body>, from: u64, size: Option<u64>) -> Attempt<()> {
    let header = header(response, "content-range").unwrap_or("");
    let Some((start, total)) = parse_content_range(header) else {
        return Err(Failure::temporary(format!("sent an invalid range: `{header}`")));
    };
    if start != from {
        return Err(Failure::temporary(format!(
            "was asked to continue at byte {from} and continued at {start}"
        )));
    }
    match (total, size) {
        (Some(total), Some(size)) if total != size => Err(Failure::other_file(format!(
            "offers {total} bytes where {size} are published: not the same file"
        ))),
        _ => Ok(()),
    }
}

/// Whether a 206 response is from the same version of the file as the part (RFC 9110,
/// 15.3.7.3: only parts with the same strong ETag may be combined). If the request had a
/// date, the server need not repeat it.
fn is_same_version(known: Option<&str>, response: &Response<Body>) -> Attempt<()> {
    let Some(known) = known else { return Ok(()) };
    let is_same = match known.starts_with('"') {
        true => header(response, "etag") == Some(known),
        false => header(response, "last-modified").is_none_or(|date| date == known),
    };
    if is_same {
        return Ok(());
    }
    Err(Failure::temporary("has another version of the file now; starting over"))
}

/// The version of the file: a strong ETag, or the date. A weak ETag may not be sent with
/// If-Range (RFC 9110, 13.1.5).
fn validator(response: &Response<Body>) -> Option<String> {
    let etag = header(response, "etag").filter(|tag| tag.starts_with('"'));
    etag.or_else(|| header(response, "last-modified")).map(str::to_owned)
}

pub(super) fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

/// The first byte and the total in `bytes FIRST-LAST/TOTAL` (RFC 9110, 14.4). The total
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
