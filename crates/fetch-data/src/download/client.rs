//! The HTTP client: TLS roots, proxies, time-outs, and its errors as messages.

use std::time::Duration;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Timeout};

use super::address;

/// How long a download waits, and how often it tries. The defaults suit people; tests use
/// milliseconds.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// Finding the host, connecting and the TLS handshake.
    pub connect: Duration,
    /// From the request to the response's headers.
    pub response: Duration,
    /// How long a transfer may bring nothing, and the window over which its rate is
    /// judged.
    pub stall: Duration,
    /// A transfer that brings fewer bytes than this in a window has stalled too, and one
    /// that breaks off after fewer has made no progress.
    pub min_progress: u64,
    /// How often the list of sources is gone through.
    pub rounds: u32,
    /// The wait before the second round; it doubles from round to round.
    pub backoff: Duration,
    /// The longest wait, whatever a server asks for with Retry-After.
    pub max_wait: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            response: Duration::from_secs(30),
            stall: Duration::from_secs(30),
            min_progress: 30 << 10,
            rounds: 4,
            backoff: Duration::from_secs(1),
            max_wait: Duration::from_secs(60),
        }
    }
}

/// A client that trusts the system's certificates and Mozilla's, and takes its proxies
/// from the environment (`https_proxy`, `http_proxy`, `all_proxy`, `no_proxy`, in either
/// case).
pub fn agent(policy: &RetryPolicy) -> Agent {
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
    let config = Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .user_agent(concat!("torchmill-fetch-data/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("identity")
        .timeout_resolve(Some(policy.connect))
        .timeout_connect(Some(policy.connect))
        .timeout_send_request(Some(policy.response))
        .timeout_recv_response(Some(policy.response))
        .timeout_per_read(Some(policy.stall))
        .build();
    Agent::with_parts(config, DefaultConnector::default(), HostResolver::default())
}

/// Finds hosts with the system's resolver, whose failures are of no kind of their own: one
/// that is not a time-out means that the host was not found.
#[derive(Debug, Default)]
struct HostResolver(DefaultResolver);

impl Resolver for HostResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        self.0.resolve(uri, config, timeout).map_err(|error| match error {
            ureq::Error::Io(_) => ureq::Error::HostNotFound,
            other => other,
        })
    }
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

/// ` (through the proxy HOST:PORT)` if this address is asked through one.
pub fn through_proxy(agent: &Agent, url: &str) -> String {
    let Some(proxy) = agent.config().proxy() else { return String::new() };
    if url.parse().is_ok_and(|uri| proxy.is_no_proxy(&uri)) {
        return String::new();
    }
    format!(" (through the proxy {}:{})", proxy.host(), proxy.port())
}

/// Why sources failed, those with the same reason together: `no answer in time (a.org,
/// b.org)`.
pub fn summarize<'a>(sources: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for (url, why) in sources {
        let host = address::host(url);
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, hosts)) if hosts.contains(&host) => {}
            Some((_, hosts)) => hosts.push(host),
            None => reasons.push((why, vec![host])),
        }
    }
    let texts =
        reasons.iter().map(|(why, hosts)| format!("{why} ({})", hosts.join(", ")));
    texts.collect::<Vec<_>>().join("; ")
}

/// What [`reason`] says, for an error met while reading a body, which may hold one of
/// ureq's.
pub fn io_reason(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    if let Some(inner) = error.get_ref().and_then(|e| e.downcast_ref::<ureq::Error>()) {
        return reason(inner);
    }
    match error.kind() {
        ErrorKind::UnexpectedEof => "the connection was cut".to_owned(),
        ErrorKind::Other => error.to_string(),
        // Without the number, which nobody can use.
        kind => kind.to_string(),
    }
}
