//! The HTTP client: TLS roots, proxies, time-outs, and its errors in plain words.

use std::time::Duration;

use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Timeout};

use super::address;

/// How patient a download is. The defaults suit people; tests use milliseconds.
#[derive(Debug, Clone)]
pub struct Patience {
    /// Finding the host, connecting and the TLS handshake.
    pub connect: Duration,
    /// From the request to the response's headers.
    pub response: Duration,
    /// How long a transfer may go without news, and the window over which its rate is
    /// judged.
    pub stall: Duration,
    /// A transfer that brings fewer bytes than this in a window has stalled too.
    pub least_per_stall: u64,
    /// How often the list of sources is gone through.
    pub rounds: u32,
    /// The pause before the second round; it doubles from round to round.
    pub backoff: Duration,
    /// The longest pause, whatever a server asks for with Retry-After.
    pub longest_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            response: Duration::from_secs(30),
            stall: Duration::from_secs(30),
            least_per_stall: 30 << 10,
            rounds: 4,
            backoff: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
        }
    }
}

/// A client that trusts the system's certificates and Mozilla's, and takes its proxies
/// from the environment (`https_proxy`, `http_proxy`, `all_proxy`, `no_proxy`, in either
/// case).
pub fn agent(patience: &Patience) -> Agent {
    // What the system trusts (a company's own authority, say), and Mozilla's list for
    // systems without one.
    let system = rustls_native_certs::load_native_certs().certs;
    let roots = system
        .iter()
        .chain(webpki_root_certs::TLS_SERVER_ROOT_CERTS)
        .map(|c| Certificate::from_der(c).to_owned());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots.collect::<Vec<_>>()))
        .build();
    Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .user_agent(concat!("torchmill-fetch-data/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("identity")
        .timeout_resolve(Some(patience.connect))
        .timeout_connect(Some(patience.connect))
        .timeout_send_request(Some(patience.response))
        .timeout_recv_response(Some(patience.response))
        .timeout_per_read(Some(patience.stall))
        .build()
        .new_agent()
}

/// What went wrong, for a line that already names the address.
pub fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(Timeout::Resolve) => {
            "the host's address could not be found in time".to_owned()
        }
        ureq::Error::Timeout(Timeout::Connect) => "no connection in time".to_owned(),
        ureq::Error::Timeout(Timeout::RecvResponse | Timeout::SendRequest) => {
            "no answer in time".to_owned()
        }
        ureq::Error::Timeout(_) => "the connection stalled".to_owned(),
        ureq::Error::HostNotFound => "the host was not found".to_owned(),
        ureq::Error::ConnectProxyFailed(why) => {
            format!("the proxy refused: {}", why.trim())
        }
        ureq::Error::Io(e) => io_reason(e),
        other => other.to_string(),
    }
}

/// ` (through the proxy HOST:PORT)` where there is one between us and this address.
pub fn through(agent: &Agent, url: &str) -> String {
    let Some(proxy) = agent.config().proxy() else { return String::new() };
    if url.parse().is_ok_and(|uri| proxy.is_no_proxy(&uri)) {
        return String::new();
    }
    format!(" (through the proxy {}:{})", proxy.host(), proxy.port())
}

/// Sums up why sources failed, those with the same trouble together: `no answer in time
/// (a.org, b.org)`.
pub fn blame<'a>(sources: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for (url, why) in sources {
        let host = address::host(url);
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, hosts)) if hosts.contains(&host) => {}
            Some((_, hosts)) => hosts.push(host),
            None => reasons.push((why, vec![host])),
        }
    }
    let reasons =
        reasons.iter().map(|(why, hosts)| format!("{} ({})", why, hosts.join(", ")));
    reasons.collect::<Vec<_>>().join("; ")
}

/// What [`reason`] says, for an error met while reading a body, which may hide one of
/// ureq's.
pub fn io_reason(error: &std::io::Error) -> String {
    if let Some(inner) = error.get_ref().and_then(|e| e.downcast_ref::<ureq::Error>()) {
        return reason(inner);
    }
    let text = error.to_string();
    if text.contains("lookup address") {
        return "the host was not found".to_owned();
    }
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        return "the connection was cut".to_owned();
    }
    let plain = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = plain.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().to_string() + letters.as_str()
    })
}
