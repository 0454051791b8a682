//! Patterns for names in the state dict, such as `layer1.*`.

use glob::Pattern;
use torchmill::{Error, Result};

/// Several patterns with `*`, `?` and `[...]`. `*` also matches dots.
pub(crate) struct Patterns(Vec<Pattern>);

impl Patterns {
    pub(crate) fn new<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Result<Self> {
        let parse = |text: S| {
            let text = text.as_ref();
            Pattern::new(text).map_err(|e| {
                Error::usage(format_args!("`{text}` is not a valid pattern: {}", e.msg))
            })
        };
        texts.into_iter().map(parse).collect::<Result<_>>().map(Self)
    }

    /// Whether there are no patterns.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any pattern matches.
    pub(crate) fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|p| p.matches(name))
    }

    /// The first pattern that matches none of the names. It is probably misspelt.
    pub(crate) fn idle<'a>(&self, names: impl Iterator<Item = &'a str>) -> Option<&str> {
        let names: Vec<&str> = names.collect();
        self.0
            .iter()
            .find(|p| !names.iter().any(|name| p.matches(name)))
            .map(Pattern::as_str)
    }
}
