//! Access tokens, which are sent to one server only.

use std::fmt;

/// An access token for the URLs of one server.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// What the server's URLs begin with: `https://example.org`.
    server: String,
    secret: String,
}

impl Token {
    /// The token `secret` for the URLs below `server`.
    pub fn new(server: &str, secret: &str) -> Self {
        let server = server.trim_end_matches('/').to_owned();
        Self { server, secret: secret.to_owned() }
    }

    /// The `Authorization` header for a request to `url`; `None` for other servers.
    pub fn header(&self, url: &str) -> Option<String> {
        let below = url.strip_prefix(&self.server)?;
        below.starts_with('/').then(|| format!("Bearer {}", self.secret))
    }
}

/// Without the secret.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token for {}", self.server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_servers_get_no_token() {
        let token = Token::new("https://example.org/", "hidden");
        let header = token.header("https://example.org/a/b");
        assert_eq!(header.as_deref(), Some("Bearer hidden"));
        for other in [
            "https://example.org.evil.net/a",
            "https://example.org@evil.net/a",
            "http://example.org/a",
            "https://evil.net/https://example.org/a",
        ] {
            assert_eq!(token.header(other), None, "{other}");
        }
        assert!(!format!("{token:?}").contains("hidden"));
    }
}
