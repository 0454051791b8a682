//! Selects tags and renames them.

use torchmill::suggest::nearest;
use torchmill::{Error, Result};

/// `--only`, `--rename` and `--tag-prefix`.
#[derive(Debug, Clone, Default)]
pub struct Select {
    /// Patterns of the names in the CSV to select; empty for all. `*` matches any text.
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
    /// The new name of a tag, or `None` if it is not selected.
    pub fn name(&self, tag: &str) -> Option<String> {
        if !self.only.is_empty() && !self.only.iter().any(|pattern| matches(pattern, tag))
        {
            return None;
        }
        let name = self.rename.iter().find(|r| r.from == tag).map_or(tag, |r| &r.to);
        Some(format!("{}{name}", self.prefix))
    }

    /// A message for each pattern and old name that matches none of these tags, and is
    /// probably misspelt.
    pub fn unused(&self, tags: &[String]) -> Vec<String> {
        let only = self.only.iter().filter(|p| !tags.iter().any(|t| matches(p, t)));
        let renamed = self.rename.iter().map(|r| &r.from).filter(|f| !tags.contains(f));
        let line = |name: &String| {
            format!(
                "there is no tag {name:?}{}; the tags are {}",
                did_you_mean(name, tags),
                quoted(tags)
            )
        };
        only.chain(renamed).map(line).collect()
    }

    /// Why no tag was selected; `None` if `--only` is not the reason.
    pub fn nothing_fits(&self, tags: &[String]) -> Option<String> {
        if self.only.is_empty() || tags.is_empty() {
            return None;
        }
        let hint = self
            .only
            .iter()
            .map(|only| did_you_mean(only, tags))
            .find(|hint| !hint.is_empty());
        Some(format!(
            "no tag fits --only{}; the tags are {}",
            hint.unwrap_or_default(),
            quoted(tags)
        ))
    }
}

/// ` (did you mean "TAG"?)` if a tag is similar to the pattern (or old name), else empty.
pub fn did_you_mean(pattern: &str, tags: &[String]) -> String {
    let known = || tags.iter().map(String::as_str);
    // Compare the longest part of the pattern with parts of the tag that are as long.
    let mut part = "";
    for piece in pattern.split('*') {
        if piece.len() >= part.len() {
            part = piece;
        }
    }
    let pieces = || {
        known().flat_map(|tag| {
            let ends = tag
                .char_indices()
                .map(|(at, _)| at)
                .skip(part.chars().count())
                .chain([tag.len()]);
            tag.char_indices()
                .zip(ends)
                .map(move |((start, _), end)| (tag, &tag[start..end]))
        })
    };
    let near = nearest(pattern, known()).or_else(|| {
        let near = nearest(part, pieces().map(|(_, piece)| piece))
            .filter(|_| pattern.contains('*'))?;
        pieces().find(|(_, piece)| *piece == near).map(|(tag, _)| tag)
    });
    near.map_or_else(String::new, |tag| format!(" (did you mean {tag:?}?)"))
}

/// `"a", "b", ...` up to a dozen.
pub fn quoted(names: &[String]) -> String {
    let mut text: Vec<String> = names.iter().take(12).map(|n| format!("{n:?}")).collect();
    if names.len() > text.len() {
        text.push("...".to_owned());
    }
    text.join(", ")
}

/// Whether `text` matches `pattern`, in which each `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
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
        let unused = select.unused(&["test loss".into()]);
        assert_eq!(unused, ["there is no tag \"lr\"; the tags are \"test loss\""; 2]);
        assert!(
            "no equals".parse::<Rename>().is_err() && "=b".parse::<Rename>().is_err()
        );
    }

    #[test]
    fn what_was_meant_by_a_pattern_is_found() {
        let tags =
            ["train loss", "test loss", "test accuracy", "\u{3b1}"].map(String::from);
        for (pattern, meant) in [
            ("tets*", "test loss"),
            ("*acuracy", "test accuracy"),
            ("*tarin*", "train loss"),
            ("test lss", "test loss"),
        ] {
            assert_eq!(
                did_you_mean(pattern, &tags),
                format!(" (did you mean {meant:?}?)"),
                "{pattern}"
            );
        }
        for pattern in ["epochs", "*gradient*", "*", ""] {
            assert_eq!(did_you_mean(pattern, &tags), "", "{pattern}");
        }
    }

    #[test]
    fn stars_stand_for_any_text() {
        assert!(matches("*", "") && matches("a*", "a") && matches("*loss", "test loss"));
        assert!(
            matches("a*b*c", "a-b-b-c")
                && !matches("a*b*c", "a-c-b")
                && !matches("ab*ba", "aba")
        );
        assert!(!matches("loss", "test loss"));
    }
}
