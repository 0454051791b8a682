//! Addresses as people may see them: passwords and keys stay out of messages and files.

/// The address without a user's name and password.
pub fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = rest[..end].rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{}", &rest[end..])
}

/// What is kept of an address: without the query, too, which may hold a key.
pub fn kept(url: &str) -> String {
    let shown = shown(url);
    shown.split(['?', '#']).next().unwrap_or_default().to_owned()
}

/// The host, and the port where there is one.
pub fn host(url: &str) -> String {
    let shown = shown(url);
    let rest = shown.split_once("://").map_or(shown.as_str(), |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_and_the_rest_stays() {
        let url = "https://user:p@ss@example.org:8080/a@b/set.zip?token=secret#part";
        assert_eq!(shown(url), "https://example.org:8080/a@b/set.zip?token=secret#part");
        assert_eq!(kept(url), "https://example.org:8080/a@b/set.zip");
        assert_eq!(host(url), "example.org:8080");
        for plain in
            ["https://example.org/set.zip", "http://example.org", "/data/a@b.zip"]
        {
            assert_eq!((shown(plain), kept(plain)), (plain.to_owned(), plain.to_owned()));
        }
        assert_eq!(kept("http://a:b@c"), "http://c");
    }
}
