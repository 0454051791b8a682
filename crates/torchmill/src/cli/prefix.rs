//! Programs that were installed with a prefix, such as `torchmill-train`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::Command;

use super::man::PROGRAMS;

/// Renames the command to the name it was called by if it was installed with a prefix, and
/// the programs in its examples too.
pub fn under_its_name(command: Command) -> Command {
    let called = std::env::args_os().next().map(PathBuf::from);
    let called = called.as_deref().and_then(Path::file_name).and_then(OsStr::to_str);
    let prefix = called.and_then(|name| name.strip_suffix(command.get_name()));
    match (called, prefix) {
        (Some(name), Some(prefix)) if !prefix.is_empty() => {
            let examples = command.get_after_help().map(|text| text.ansi().to_string());
            let examples = with_prefix(&examples.unwrap_or_default(), prefix);
            // clap needs a name that is never freed. This one is leaked once.
            let name = &*Box::leak(name.to_owned().into_boxed_str());
            command.name(name).after_help(examples)
        }
        _ => command,
    }
}

/// These examples with the prefix before each program's name where it is a command: first
/// in a line, after `|`, `&&`, `||`, `;` and `do`, or in `"$(...)"`.
fn with_prefix(examples: &str, prefix: &str) -> String {
    let mut prefixed = String::new();
    let mut is_command = true;
    for piece in examples.split_inclusive([' ', '\n']) {
        let word = piece.trim_end();
        let substituted = word.strip_prefix("\"$(");
        let name = substituted.unwrap_or(word);
        let is_program = PROGRAMS.iter().any(|(program, _)| *program == name);
        let (before, rest) = piece.split_at(word.len() - name.len());
        prefixed.push_str(before);
        if is_program && (is_command || substituted.is_some()) {
            prefixed.push_str(prefix);
        }
        prefixed.push_str(rest);
        if piece.ends_with('\n') {
            is_command = true;
        } else if !word.is_empty() {
            is_command = matches!(word, "|" | "&&" | "||" | "do") || word.ends_with(';');
        }
    }
    prefixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_in_examples_get_the_prefix_and_other_words_do_not() {
        let examples = "Examples:\n  prep \"$(fetch-data mnist-5k)\" -o train\n  \
            find prep | evaluate run - && scalars runs\n  \
            for i in 1 2; do train --seed $i; done";
        let expected = "Examples:\n  x-prep \"$(x-fetch-data mnist-5k)\" -o train\n  \
            find prep | x-evaluate run - && x-scalars runs\n  \
            for i in 1 2; do x-train --seed $i; done";
        assert_eq!(with_prefix(examples, "x-"), expected);
        assert_eq!(with_prefix(examples, ""), examples);
    }
}
