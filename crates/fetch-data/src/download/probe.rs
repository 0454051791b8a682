//! Finds out within seconds whether any source of a file answers, for `--available`.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::client::{self, RetryPolicy};
use super::transfer::parse_content_range;
use torchmill::{interrupt, parallel};

/// Requests the file's first byte from all sources at once. `Ok` is the first source that
/// has the file in the given size; `Err` says why none has. It takes no longer than
/// `deadline`, whatever name servers, proxies and firewalls do.
pub fn first_to_answer(
    sources: &[(String, Option<u64>)],
    deadline: Duration,
) -> Result<String, String> {
    let end = Instant::now() + deadline;
    let policy = RetryPolicy {
        connect: deadline,
        response: deadline,
        stall: deadline,
        ..RetryPolicy::default()
    };
    let agent = client::agent(&policy);
    let (send, receive) = mpsc::channel();
    let mut why = vec!["no answer in time".to_owned(); sources.len()];
    for (number, (url, size)) in sources.iter().enumerate() {
        let agent = agent.clone();
        let url = url.clone();
        let size = *size;
        let send = send.clone();
        // A thread that hangs in the system's name lookup is not joined: the process ends
        // soon.
        let asked =
            parallel::spawn(move || drop(send.send((number, ask(&agent, &url, size)))));
        if let Err(error) = asked {
            why[number] = error.to_string();
        }
    }
    drop(send);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || interrupt::requested() {
            break;
        }
        match receive.recv_timeout(left.min(Duration::from_millis(100))) {
            Ok((number, Ok(()))) => return Ok(sources[number].0.clone()),
            Ok((number, Err(reason))) => why[number] = reason,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    Err(client::summarize(
        sources.iter().zip(&why).map(|((url, _), why)| (url.as_str(), why.as_str())),
    ))
}

fn ask(agent: &ureq::Agent, url: &str, size: Option<u64>) -> Result<(), String> {
    // Not HEAD, which some servers refuse. If the body is the whole file, it is not read.
    let response = agent
        .get(url)
        .header("Range", "bytes=0-0")
        .call()
        .map_err(|e| client::reason(&e))?;
    let offered = match response.status().as_u16() {
        200 => response.body().content_length(),
        206 => {
            let range =
                response.headers().get("content-range").and_then(|v| v.to_str().ok());
            range.and_then(parse_content_range).and_then(|(_, total)| total)
        }
        status => return Err(format!("answers {status}")),
    };
    match (offered, size) {
        (Some(offered), Some(size)) if offered != size => {
            Err(format!("offers {offered} bytes where {size} are published"))
        }
        _ => Ok(()),
    }
}
