//! The HTTP client: TLS roots, proxies, time-outs, and its errors as messages.

use std::time::Duration;

use ureq::config::{Config, RedirectAuthHeaders};
use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Timeout};

use super::address;

/// How long a download waits, and how often it tries again. The defaults are for real
/// servers; tests use milliseconds.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// The time to resolve the host, connect, and finish the TLS handshake.
    pub connect: Duration,
    /// The time from the request to the response's headers.
    pub response: Duration,
    /// How long a transfer may receive nothing, and the window over which its rate is
    /// measured.
    pub stall: Duration,
    /// A transfer that receives fewer bytes than this in a window has stalled too, and
    /// one that breaks off after fewer bytes has made no progress.
    pub min_progress: u64,
    /// How often to go through the list of sources.
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

/// Makes a client that trusts the system's certificates and Mozilla's, and reads its
/// proxies from the environment (`https_proxy`, `http_proxy`, `all_proxy`, `no_proxy`, in
/// either case).
pub fn agent(policy: &RetryPolicy) -> Agent {
    // The system's certificates may include a company's own authority. Mozilla's list is
    // for systems without certificates.
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
        // A server may move a file; what is elsewhere gets no token.
        .redirect_auth_headers(RedirectAuthHeaders::SameHost)
        .timeout_resolve(Some(policy.connect))
        .timeout_connect(Some(policy.connect))
        .timeout_send_request(Some(policy.response))
        .timeout_recv_response(Some(policy.response))
        .timeout_per_read(Some(policy.stall))
        .build();
    Agent::with_parts(config, DefaultConnector::default(), HostResolver::default())
}

/// Resolves hosts with the system's resolver. Its errors have no kind of their own, so
/// any error but a time-out means that the host was not found.
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

/// What went wrong, for a message that already names the URL.
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

/// ` (through the proxy HOST:PORT)` if this URL is requested through one.
pub fn through_proxy(agent: &Agent, url: &str) -> String {
    let Some(proxy) = agent.config().proxy() else { return String::new() };
    if url.parse().is_ok_and(|uri| proxy.is_no_proxy(&uri)) {
        return String::new();
    }
    format!(" (through the proxy {}:{})", proxy.host(), proxy.port())
}

/// Why the sources failed, grouped by reason: `no answer in time (a.org, b.org)`.
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

/// Like [`reason`], for an error while reading a body, which may wrap one of ureq's.
pub fn io_reason(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    if let Some(inner) = error.get_ref().and_then(|e| e.downcast_ref::<ureq::Error>()) {
        return reason(inner);
    }
    match error.kind() {
        ErrorKind::UnexpectedEof => "the connection was cut".to_owned(),
        ErrorKind::Other => error.to_string(),
        // Without the error number, which is of no use to users.
        kind => kind.to_string(),
    }
}
