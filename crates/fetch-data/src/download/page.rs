//! Short answers, such as lists of files, which are read as a whole.

use std::io::Read;

use torchmill::Error;
use ureq::Agent;

use super::failure::{Attempt, Failure, Fault};
use super::token::Token;
use super::transfer::{header, sleep};
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
    let mut backoff = policy.backoff;
    let mut unreachable = 0;
    let mut last = (String::new(), Fault::Unusable);
    for round in 0..policy.rounds {
        if round > 0 {
            sleep(backoff)?;
            backoff *= 2;
        }
        match attempt(agent, url, token) {
            Ok(page) => return Ok(page),
            Err(Failure::Local(error)) => return Err(error.into()),
            Err(Failure::Temporary { why, wait }) => {
                last = (why, Fault::Unusable);
                backoff = backoff.max(wait).min(policy.max_wait);
            }
            Err(Failure::Unreachable(why)) => {
                last = (why, Fault::Unusable);
                unreachable += 1;
                if unreachable == 2 {
                    break;
                }
            }
            Err(Failure::Wrong { why, fault }) => {
                last = (why, fault);
                break;
            }
        }
    }
    let (why, fault) = last;
    let message = format!("{}: {why}", address::without_query(url));
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
    let next = header(&response, "link").and_then(next_page);
    let announced = response.body().content_length();
    let mut body = Vec::new();
    let mut reader = response.into_body().into_reader().take(LONGEST + 1);
    reader
        .read_to_end(&mut body)
        .map_err(|e| Failure::temporary(client::io_reason(&e)))?;
    if body.len() as u64 > LONGEST {
        let why = format!("answers with more than {} MiB", LONGEST >> 20);
        return Err(Failure::Wrong { why, fault: Fault::Unusable });
    }
    if announced.is_some_and(|length| length != body.len() as u64) {
        return Err(Failure::temporary("the connection was cut"));
    }
    Ok(Page { body, next })
}

/// The URL in `<URL>; rel="next"`, which may be one of several links.
fn next_page(link: &str) -> Option<String> {
    for part in link.split(',') {
        let (url, parameters) = part.trim().split_once('>')?;
        let is_next = parameters
            .split(';')
            .any(|parameter| matches!(parameter.trim(), "rel=\"next\"" | "rel=next"));
        if is_next {
            return url.strip_prefix('<').map(str::to_owned);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::next_page;

    #[test]
    fn the_next_page_is_the_one_that_is_called_so() {
        let link = "<https://a.org/1>; rel=\"prev\", <https://a.org/3?x=1>; rel=\"next\"";
        assert_eq!(next_page(link).as_deref(), Some("https://a.org/3?x=1"));
        for other in ["", "nonsense", "<https://a.org/1>; rel=\"last\""] {
            assert_eq!(next_page(other), None, "{other}");
        }
    }
}
