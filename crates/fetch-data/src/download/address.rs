//! URLs without secrets: passwords and keys stay out of messages and files.

/// The URL without user name and password.
fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..end];
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{}", &rest[end..])
}

/// The URL without credentials and without the query, which may contain a key.
pub fn without_query(url: &str) -> String {
    let shown = without_credentials(url);
    let end = shown.find(['?', '#']).unwrap_or(shown.len());
    shown[..end].to_owned()
}

/// The path in `file://PATH`; `None` for other URLs.
pub fn local_path(url: &str) -> Option<&str> {
    let (scheme, path) = url.split_once("://")?;
    scheme.eq_ignore_ascii_case("file").then_some(path)
}

/// The host, and the port if the URL has one; the path of `file://PATH`.
pub fn host(url: &str) -> String {
    if let Some(path) = local_path(url) {
        return path.to_owned();
    }
    let shown = without_credentials(url);
    let rest = shown.split_once("://").map_or(shown.as_str(), |(_, rest)| rest);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    rest[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_and_the_rest_stays() {
        let url = "https://user:p@ss@example.org:8080/a@b/set.zip?token=secret#part";
        assert_eq!(
            without_credentials(url),
            "https://example.org:8080/a@b/set.zip?token=secret#part"
        );
        assert_eq!(without_query(url), "https://example.org:8080/a@b/set.zip");
        assert_eq!(host(url), "example.org:8080");
        assert_eq!(local_path(url), None);
        assert_eq!(local_path("file:///a/b"), Some("/a/b"));
        assert_eq!(host("file:///a/b"), "/a/b");
        for plain in
            ["https://example.org/set.zip", "http://example.org", "/data/a@b.zip"]
        {
            assert_eq!(
                (without_credentials(plain), without_query(plain)),
                (plain.to_owned(), plain.to_owned())
            );
        }
        assert_eq!(without_query("http://a:b@c"), "http://c");
    }
}
