//! Completion scripts: clap's, with additions that clap does not support.

use clap::{Arg, Command, ValueHint};
use clap_complete::Shell;

/// The completion script of a program for a shell.
///
/// Arguments that have known values and the hint [`ValueHint::FilePath`] are completed
/// with the values and with files. In bash, options are offered only after a `-`; without
/// it, the first word is completed as the program's first argument.
pub fn script(shell: Shell, command: &mut Command) -> Vec<u8> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, command, name, &mut script);
    let Ok(mut script) = String::from_utf8(script.clone()) else { return script };
    for argument in command.get_arguments() {
        if is_name_or_file(argument) {
            script = match shell {
                Shell::Bash => with_files_in_bash(&script, argument),
                Shell::Zsh => with_files_in_zsh(&script, argument),
                Shell::Fish => with_files_in_fish(&script, argument),
                _ => script,
            };
        }
    }
    if shell == Shell::Bash {
        script = with_arguments_first(&script, command);
    }
    script.into_bytes()
}

fn is_name_or_file(argument: &Arg) -> bool {
    argument.get_value_hint() == ValueHint::FilePath
        && !argument.get_possible_values().is_empty()
}

/// The known values, separated by blanks.
fn names(argument: &Arg) -> String {
    let values = argument.get_possible_values();
    let names: Vec<&str> = values.iter().map(|value| value.get_name()).collect();
    names.join(" ")
}

/// The option's long and short names.
fn options(argument: &Arg) -> Vec<String> {
    let mut options = Vec::new();
    if let Some(long) = argument.get_long() {
        options.push(format!("--{long}"));
    }
    if let Some(short) = argument.get_short() {
        options.push(format!("-{short}"));
    }
    options
}

fn with_files_in_bash(script: &str, argument: &Arg) -> String {
    let names = names(argument);
    let only_names = format!("$(compgen -W \"{names}\" -- \"${{cur}}\")");
    // clap sets IFS to a line break here, and -W splits words by it.
    let words = names.replace(' ', "\\n");
    let with_files =
        format!("$(compgen -W $'{words}' -- \"${{cur}}\") $(compgen -f -- \"${{cur}}\")");
    let mut script = script.to_owned();
    for option in options(argument) {
        // The `case` branch for the previous word.
        let Some((before, after)) = script.split_once(&format!(" {option})\n")) else {
            continue;
        };
        let after = after.replacen(&only_names, &with_files, 1);
        script = format!("{before} {option})\n{after}");
    }
    script
}

fn with_files_in_zsh(script: &str, argument: &Arg) -> String {
    let only_names = format!(":({})'", names(argument));
    let with_files = format!(
        ":{{_alternative \"names:name:({})\" \"files:file:_files\"}}'",
        names(argument)
    );
    let belongs = |line: &str| {
        let line = line.trim_start();
        options(argument).iter().any(|option| line.starts_with(&format!("'{option}")))
    };
    let mut text = String::new();
    for line in script.lines() {
        if belongs(line) {
            text.push_str(&line.replacen(&only_names, &with_files, 1));
        } else {
            text.push_str(line);
        }
        text.push('\n');
    }
    text
}

fn with_files_in_fish(script: &str, argument: &Arg) -> String {
    let Some(long) = argument.get_long() else { return script.to_owned() };
    let option = format!(" -l {long} ");
    let mut text = String::new();
    for line in script.lines() {
        if line.contains(&option) {
            text.push_str(&line.replacen(" -r -f -a", " -r -F -a", 1));
        } else {
            text.push_str(line);
        }
        text.push('\n');
    }
    text
}

/// Offers options only after a `-`; otherwise the program's known names, or files.
fn with_arguments_first(script: &str, command: &Command) -> String {
    let known = command.get_positionals().map(names).find(|names| !names.is_empty());
    let words = match known {
        Some(names) => format!("$(compgen -W \"{names}\" -- \"${{cur}}\")"),
        None => "$(compgen -f -- \"${cur}\")".to_owned(),
    };
    let script = script.replacen(" || ${COMP_CWORD} -eq 1 ]]", " ]]", 1);
    // The last occurrence is the fallback.
    let all = "COMPREPLY=( $(compgen -W \"${opts}\" -- \"${cur}\") )";
    match script.rsplit_once(all) {
        Some((before, after)) => format!("{before}COMPREPLY=( {words} ){after}"),
        None => script,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        let recipe = Arg::new("recipe")
            .short('r')
            .long("recipe")
            .value_parser(["one", "two"])
            .value_hint(ValueHint::FilePath);
        let named = Arg::new("named").long("named").value_parser(["one", "two"]);
        let input = Arg::new("input").value_parser(["three", "four"]);
        Command::new("mill").args([recipe, named, input])
    }

    fn text(shell: Shell) -> String {
        String::from_utf8(script(shell, &mut command())).unwrap()
    }

    #[test]
    fn names_and_files_are_offered_together() {
        let bash = text(Shell::Bash);
        let both = "$(compgen -W $'one\\ntwo' -- \"${cur}\") $(compgen -f -- \"${cur}\")";
        assert_eq!(bash.matches(both).count(), 2, "for --recipe and -r only: {bash}");
        let zsh = text(Shell::Zsh);
        let both = "{_alternative \"names:name:(one two)\" \"files:file:_files\"}";
        assert_eq!(zsh.matches(both).count(), 2, "{zsh}");
        let fish = text(Shell::Fish);
        assert!(fish.contains(" -l recipe -r -F -a"), "{fish}");
        assert!(fish.contains(" -l named -r -f -a"), "{fish}");
    }

    #[test]
    fn in_bash_the_first_word_is_no_option() {
        let bash = text(Shell::Bash);
        assert!(bash.contains("if [[ ${cur} == -* ]] ; then"), "{bash}");
        let last = bash.rsplit("COMPREPLY=").next().unwrap();
        assert!(last.contains("compgen -W \"three four\""), "{bash}");
    }
}
