//! Why asking a source failed, and whether it may be asked again.

use std::time::Duration;

use torchmill::Error;
use ureq::http::{Response, StatusCode};
use ureq::{Body, Timeout};

use super::client;

/// What is wrong with a source that is not tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It has a different file than the published one.
    OtherFile,
    /// It requires credentials, or rejects those that it was given.
    Denied,
    /// It has nothing at this URL.
    Missing,
    /// It cannot be used for another reason.
    Unusable,
}

/// Why a try failed.
pub(super) enum Failure {
    /// A retry would fail too.
    Wrong { why: String, fault: Fault },
    /// There was no answer: unknown host, no connection, a proxy that refuses.
    Unreachable(String),
    /// A retry may succeed; the server may have asked to wait.
    Temporary { why: String, wait: Duration },
    /// The problem is on this machine.
    Local(Error),
}

pub(super) type Attempt<T> = std::result::Result<T, Failure>;

impl Failure {
    pub(super) fn temporary(why: impl Into<String>) -> Self {
        Self::Temporary { why: why.into(), wait: Duration::ZERO }
    }

    pub(super) fn other_file(why: impl Into<String>) -> Self {
        Self::Wrong { why: why.into(), fault: Fault::OtherFile }
    }

    /// The failure that an answer with another status than 2xx means.
    pub(super) fn of_answer(response: &Response<Body>) -> Self {
        let status = response.status();
        let why = match status.canonical_reason() {
            Some(reason) => format!("answers {} ({reason})", status.as_u16()),
            None => format!("answers {}", status.as_u16()),
        };
        let is_temporary =
            matches!(status.as_u16(), 408 | 425 | 429) || status.is_server_error();
        if is_temporary {
            let header = response.headers().get("retry-after");
            let seconds = header.and_then(|v| v.to_str().ok()?.trim().parse().ok());
            return Self::Temporary {
                why,
                wait: Duration::from_secs(seconds.unwrap_or(0)),
            };
        }
        let fault = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Fault::Denied,
            StatusCode::NOT_FOUND | StatusCode::GONE => Fault::Missing,
            _ => Fault::Unusable,
        };
        Self::Wrong { why, fault }
    }

    /// The failure that an error before the answer means.
    pub(super) fn of_call(error: &ureq::Error, through_proxy: &str) -> Self {
        let why = client::reason(error);
        match error {
            ureq::Error::BadUri(_)
            | ureq::Error::Http(_)
            | ureq::Error::TooManyRedirects => {
                Self::Wrong { why, fault: Fault::Unusable }
            }
            // The server was reached but did not finish its answer.
            ureq::Error::Timeout(Timeout::RecvResponse | Timeout::PerRead)
            | ureq::Error::Protocol(_) => Self::temporary(why),
            _ => Self::Unreachable(why + through_proxy),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Local(error)
    }
}
