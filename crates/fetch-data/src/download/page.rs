//! Short answers, such as lists of files, which are read as a whole.

use std::io::Read;

use torchmill::{Error, interrupt};
use ureq::Agent;

use super::failure::{Attempt, Failure, Fault};
use super::retry::{Rounds, Source};
use super::token::Token;
use super::{RetryPolicy, address, client};

/// The longest answer that is read. A list of 1,000 files has less than 1 MiB.
const LONGEST: u64 = 64 << 20;

/// A server's answer.
#[derive(Debug)]
pub struct Page {
    /// Its contents.
    pub body: Vec<u8>,
    /// The URL of the page that follows it (RFC 8288, `rel="next"`).
    pub next: Option<String>,
}

/// Why a page could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The server does not have it, or cannot be reached.
    #[error("{message}")]
    Source {
        /// The server's answer, with the URL.
        message: String,
        /// What is wrong.
        fault: Fault,
    },
    /// The problem is on this machine: Ctrl-C.
    #[error(transparent)]
    Local(#[from] Error),
}

/// Asks for the page at `url`, several times if the failure may pass.
pub fn get(
    agent: &Agent,
    url: &str,
    token: Option<&Token>,
    policy: &RetryPolicy,
) -> Result<Page, PageError> {
    let mut source = Source::new(url);
    let mut rounds = Rounds::new(policy);
    while rounds.begin()? {
        match attempt(agent, url, token) {
            Ok(page) => return Ok(page),
            Err(failure) => rounds.ask_for(source.note(failure, &|_| ())?),
        }
        if !source.is_usable() {
            break;
        }
    }
    let message = format!("{}: {}", address::without_query(url), source.why);
    let fault = source.fault.unwrap_or(Fault::Unusable);
    Err(PageError::Source { message, fault })
}

fn attempt(agent: &Agent, url: &str, token: Option<&Token>) -> Attempt<Page> {
    let mut request = agent.get(url);
    if let Some(header) = token.and_then(|token| token.header(url)) {
        request = request.header("Authorization", header);
    }
    let proxy = client::through_proxy(agent, url);
    let response = request.call().map_err(|e| Failure::of_call(&e, &proxy))?;
    if response.status() != 200 {
        return Err(Failure::of_answer(&response));
    }
    let links = response.headers().get_all("link").iter();
    let next = links.filter_map(|link| link.to_str().ok()).find_map(next_page);
    let announced = response.body().content_length();
    let body = read(response.into_body().into_reader())?;
    if announced.is_some_and(|length| length != body.len() as u64) {
        return Err(Failure::temporary("the connection was cut"));
    }
    Ok(Page { body, next })
}

/// Reads a body in blocks, so that Ctrl-C takes effect.
fn read(mut reader: impl Read) -> Attempt<Vec<u8>> {
    let mut body = Vec::new();
    let mut block = vec![0; 1 << 16];
    loop {
        interrupt::check()?;
        let read = reader.read(&mut block);
        let length = read.map_err(|e| Failure::temporary(client::io_reason(&e)))?;
        if length == 0 {
            return Ok(body);
        }
        body.extend_from_slice(&block[..length]);
        if body.len() as u64 > LONGEST {
            let why = format!("answers with more than {} MiB", LONGEST >> 20);
            return Err(Failure::Wrong { why, fault: Fault::Unusable });
        }
    }
}

/// The URL in `<URL>; rel="next"`, which may be one of several links. URLs and quoted
/// values may contain commas and semicolons.
fn next_page(link: &str) -> Option<String> {
    let mut rest = link;
    while let Some((_, from_url)) = rest.split_once('<') {
        let (url, from_parameters) = from_url.split_once('>')?;
        let parameters = up_to(from_parameters, ',');
        if is_next(parameters) {
            return Some(url.to_owned());
        }
        rest = &from_parameters[parameters.len()..];
    }
    None
}

/// Whether the parameters of a link contain `rel="next"`, perhaps with other relations.
fn is_next(parameters: &str) -> bool {
    let mut rest = parameters;
    while !rest.is_empty() {
        let parameter = up_to(rest, ';');
        if let Some((name, value)) = parameter.split_once('=')
            && name.trim().eq_ignore_ascii_case("rel")
        {
            let mut relations = value.trim().trim_matches('"').split_whitespace();
            return relations.any(|relation| relation.eq_ignore_ascii_case("next"));
        }
        rest = rest[parameter.len()..].trim_start_matches(';');
    }
    false
}

/// The text up to the first `separator` that is not in quotation marks.
fn up_to(text: &str, separator: char) -> &str {
    let mut is_quoted = false;
    for (at, c) in text.char_indices() {
        if c == '"' {
            is_quoted = !is_quoted;
        }
        if c == separator && !is_quoted {
            return &text[..at];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::next_page;

    #[test]
    fn the_next_page_is_the_one_that_is_called_so() {
        let link = "<https://a.org/1>; rel=\"prev\", <https://a.org/3?x=1>; rel=\"next\"";
        assert_eq!(next_page(link).as_deref(), Some("https://a.org/3?x=1"));
        for link in [
            "<https://a.org/3?x=1,2;3>; rel=\"next\"",
            "<https://a.org/1,2>; rel=prev, <https://a.org/3?x=1,2;3>; REL = next",
            "<https://a.org/1>; title=\"a, <b>; rel=next\", <https://a.org/3?x=1,2;3>; \
             title=\"c;d\"; rel=\"last next\"",
        ] {
            let next = next_page(link);
            assert_eq!(next.as_deref(), Some("https://a.org/3?x=1,2;3"), "{link}");
        }
        for other in [
            "",
            "nonsense",
            "<",
            "<https://a.org/1",
            "<https://a.org/1>; rel=\"last\"",
            "<https://a.org/1>; title=\"x; rel=next\"",
            "<https://a.org/1?rel=next>; rel=",
        ] {
            assert_eq!(next_page(other), None, "{other}");
        }
    }
}
