//! `shard-{000..123}.tar` and `{train,val}.tar`: names of many files, written as in
//! WebDataset's commands and in bash.

use std::path::{Path, PathBuf};

use torchmill::{Error, Result};

/// The maximum number of names that one input can stand for.
const MOST: usize = 1_000_000;

/// The names that a path stands for, in order. One without braces stands for itself.
pub fn expand(path: &Path) -> Result<Vec<PathBuf>> {
    let Some(text) = path.to_str() else { return Ok(vec![path.to_path_buf()]) };
    let names = expand_text(text)
        .map_err(|why| Error::usage(format_args!("{}: {why}", path.display())))?;
    Ok(names.into_iter().map(PathBuf::from).collect())
}

fn expand_text(text: &str) -> Result<Vec<String>, String> {
    // Start with the last pair of braces; the recursion handles the text before it.
    let Some(open) = text.rfind('{') else { return Ok(vec![text.to_owned()]) };
    let Some(length) = text[open..].find('}') else {
        return Err("`{` has no `}` after it".to_owned());
    };
    let end = &text[open + length + 1..];
    let choices = choices(&text[open + 1..open + length])?;
    let mut names = Vec::new();
    for start in expand_text(&text[..open])? {
        if names.len() + choices.len() > MOST {
            return Err(format!("stands for more than {MOST} files"));
        }
        names.extend(choices.iter().map(|choice| format!("{start}{choice}{end}")));
    }
    Ok(names)
}

/// The texts that `000..123` or `a,b` stands for.
fn choices(text: &str) -> Result<Vec<String>, String> {
    let Some((first, last)) = text.split_once("..") else {
        return Ok(text.split(',').map(str::to_owned).collect());
    };
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u64>().ok().filter(|_| is_number)
    };
    let (Some(from), Some(to)) = (number(first), number(last)) else {
        return Err(format!("`{{{text}}}` is not a range such as {{000..123}}"));
    };
    if from > to || to - from >= MOST as u64 {
        return Err(format!("`{{{text}}}` must go up, over at most {MOST} numbers"));
    }
    // As in bash, a leading zero in either number pads all numbers to one width.
    let is_padded = [first, last].iter().any(|n| n.len() > 1 && n.starts_with('0'));
    let width = if is_padded { first.len().max(last.len()) } else { 0 };
    Ok((from..=to).map(|number| format!("{number:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        expand_text(text).unwrap()
    }

    #[test]
    fn ranges_and_lists_are_expanded_as_in_bash() {
        assert_eq!(
            names("a-{008..011}.tar").join(" "),
            "a-008.tar a-009.tar a-010.tar a-011.tar"
        );
        assert_eq!(names("{9..11}.tar"), ["9.tar", "10.tar", "11.tar"]);
        assert_eq!(names("{a,b}-{0..1}"), ["a-0", "a-1", "b-0", "b-1"]);
        assert_eq!(names("plain.tar"), ["plain.tar"]);
        for wrong in ["{0..", "{b..a}", "{2..1}", "{0..9999999}", "{0..999999}{0..9}"] {
            assert!(expand_text(wrong).is_err(), "{wrong}");
        }
    }
}
