//! Which tags are taken, and what they are called.

use torchmill::{Error, Result};

/// `--only`, `--rename` and `--tag-prefix`.
#[derive(Debug, Clone, Default)]
pub struct Select {
    /// Patterns of the names to take, as they are in the CSV; empty for all. `*` stands for any text.
    pub only: Vec<String>,
    /// New names.
    pub rename: Vec<Rename>,
    /// Put before each name.
    pub prefix: String,
}

/// `--rename 'a=b'`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    from: String,
    to: String,
}

impl std::str::FromStr for Rename {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once('=') {
            Some((from, to)) if !from.trim().is_empty() && !to.trim().is_empty() => {
                Ok(Self { from: from.trim().to_owned(), to: to.trim().to_owned() })
            }
            _ => Err(Error::usage("expected OLD=NEW, as in 'train_loss=train loss'")),
        }
    }
}

impl Select {
    /// The name that the tag gets, or `None` if it is not taken.
    pub fn name(&self, tag: &str) -> Option<String> {
        if !self.only.is_empty() && !self.only.iter().any(|pattern| matches(pattern, tag)) {
            return None;
        }
        let name = self.rename.iter().find(|r| r.from == tag).map_or(tag, |r| &r.to);
        Some(format!("{}{name}", self.prefix))
    }

    /// The patterns and old names that fit none of these tags: most likely misspelt.
    pub fn unused<'a>(&'a self, tags: &[String]) -> Vec<&'a str> {
        let only = self.only.iter().filter(|p| !tags.iter().any(|t| matches(p, t)));
        let renamed = self.rename.iter().map(|r| &r.from).filter(|f| !tags.contains(f));
        only.chain(renamed).map(String::as_str).collect()
    }
}

/// Whether `text` is `pattern`, where each `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_taken_renamed_and_prefixed() {
        let select = Select {
            only: vec!["test *".into(), "lr".into()],
            rename: vec!["lr = learning rate".parse().unwrap()],
            prefix: "a/".into(),
        };
        assert_eq!(select.name("test loss").as_deref(), Some("a/test loss"));
        assert_eq!(select.name("lr").as_deref(), Some("a/learning rate"));
        assert_eq!(select.name("train loss"), None);
        assert_eq!(select.unused(&["test loss".into()]), ["lr", "lr"]);
        assert!("no equals".parse::<Rename>().is_err() && "=b".parse::<Rename>().is_err());
    }

    #[test]
    fn stars_stand_for_any_text() {
        assert!(matches("*", "") && matches("a*", "a") && matches("*loss", "test loss"));
        assert!(matches("a*b*c", "a-b-b-c") && !matches("a*b*c", "a-c-b") && !matches("ab*ba", "aba"));
        assert!(!matches("loss", "test loss"));
    }
}
