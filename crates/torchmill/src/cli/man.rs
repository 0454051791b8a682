//! The man page, from the same definition as the help.

mod sections;

use std::io;

use clap::{Arg, ArgAction, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

pub use sections::PROGRAMS;
use sections::Sections;

/// The exit statuses of [`crate::Error::exit_status`].
const EXIT_STATUS: [(&str, &str); 4] = [
    ("0", "Everything was done, or the reader of standard output has closed it."),
    (
        "1",
        "The input, the disk or the network was not as it should be. Standard error \
         says what, where and what to do.",
    ),
    ("2", "The command line, a recipe or a pipeline is wrong."),
    ("130", "Interrupted by Ctrl-C or SIGTERM."),
];
/// The version of all programs.
const VERSION: &str = concat!("torchmill ", env!("CARGO_PKG_VERSION"));

/// The man page of a program. `program` is its name without a prefix. Examples are not
/// filled or hyphenated, so that they can be pasted.
pub fn page(program: &str, mut command: Command) -> io::Result<Vec<u8>> {
    command.build();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let synopsis = synopsis(&command);
    let name = command.get_name().to_owned();
    // apropos shows only this line.
    let summary = about.lines().next().unwrap_or_default().to_owned();
    let sections = sections::of(program);
    let description = format!("{about}\n\n{}", sections.description);
    let man = Man::new(command.about(summary).long_about(description))
        .source(VERSION)
        .manual("torchmill");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    synopsis.to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut end = Roff::new();
    end.control("SH", ["EXAMPLES"]).control("nf", []);
    for line in examples.lines().skip(1) {
        end.text([roman(line.trim_start())]);
    }
    end.control("fi", []).control("SH", ["FILES"]);
    terms(&mut end, sections.files);
    end.control("SH", ["EXIT STATUS"]);
    terms(&mut end, &EXIT_STATUS);
    see_also(&mut end, program, &name, &sections);
    end.control("SH", ["VERSION"]).text([roman(VERSION)]);
    end.to_writer(&mut page)?;
    Ok(page)
}

/// The options with the names of their values, and the other arguments.
fn synopsis(command: &Command) -> Roff {
    let mut line = vec![bold(command.get_name())];
    let options = command.get_opts().chain(command.get_arguments().filter(is_flag));
    let last = ["help", "version", "completions", "man"];
    for option in options {
        if !option.is_hide_set() && !last.contains(&option.get_id().as_str()) {
            line.push(roman(" ["));
            line.extend(option_words(option));
            line.push(roman("]"));
        }
    }
    for argument in command.get_positionals().filter(|argument| !argument.is_hide_set()) {
        let value = value_words(argument);
        if argument.is_required_set() {
            line.push(roman(" "));
            line.extend(value);
        } else {
            line.push(roman(" ["));
            line.extend(value);
            line.push(roman("]"));
        }
    }
    let mut section = Roff::new();
    section.control("SH", ["SYNOPSIS"]).text(line);
    section
}

/// Whether it is an option without a value.
fn is_flag(argument: &&Arg) -> bool {
    !argument.is_positional() && !takes_values(argument)
}

fn takes_values(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::Set | ArgAction::Append)
}

/// The option as it is typed: `-o DIR`.
fn option_words(option: &Arg) -> Vec<Inline> {
    let word = match (option.get_short(), option.get_long()) {
        (Some(short), _) => format!("-{short}"),
        (None, Some(long)) => format!("--{long}"),
        (None, None) => String::new(),
    };
    let mut words = vec![bold(word)];
    if takes_values(option) {
        let is_optional = option.get_num_args().is_some_and(|n| n.min_values() == 0);
        words.push(roman(if is_optional { " [" } else { " " }));
        words.extend(value_words(option));
        if is_optional {
            words.push(roman("]"));
        }
    }
    words
}

/// The name of an argument's value, with `...` if there may be several.
fn value_words(argument: &Arg) -> Vec<Inline> {
    let names = argument.get_value_names().unwrap_or_default();
    let name = names.first().map_or("VALUE", |name| name.as_str());
    let mut words = vec![italic(name)];
    if argument.get_num_args().is_some_and(|n| n.max_values() > 1) {
        words.push(roman("..."));
    }
    words
}

/// A list of terms with their descriptions.
fn terms(section: &mut Roff, terms: &[(&str, &str)]) {
    for (term, meaning) in terms {
        section.control("TP", []).text([bold(*term)]).text([roman(*meaning)]);
    }
}

/// The other programs, with the prefix that this one was installed with, and the documents.
fn see_also(section: &mut Roff, program: &str, name: &str, sections: &Sections) {
    let prefix = name.strip_suffix(program).unwrap_or_default();
    section.control("SH", ["SEE ALSO"]);
    let mut line = Vec::new();
    for (other, _) in PROGRAMS.iter().filter(|(other, _)| *other != program) {
        line.push(bold(format!("{prefix}{other}")));
        line.push(roman("(1), "));
    }
    line.push(roman(format!(
        "{} in share/doc/torchmill/docs below the prefix of the installation",
        sections.documents
    )));
    section.text(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_of(command: Command) -> String {
        String::from_utf8(page("mill", command).unwrap()).unwrap()
    }

    #[test]
    fn the_name_is_one_line_and_examples_keep_theirs() {
        let command =
            Command::new("mill").about("Grind\n\nCoffee and pepper.").version("1");
        let page =
            page_of(command.after_help("Examples:\n  mill -x 'a  b' | sink\n  .mill"));
        assert!(page.contains(".SH NAME\nmill \\- Grind\n."), "{page}");
        assert!(
            page.contains(".SH DESCRIPTION\nGrind\n.PP\nCoffee and pepper.\n"),
            "{page}"
        );
        assert!(
            page.contains(
                ".SH EXAMPLES\n.nf\nmill \\-x \\*(Aqa  b\\*(Aq | sink\n\\&.mill\n.fi\n"
            ),
            "{page}"
        );
        let statuses = page.split(".SH \"EXIT STATUS\"\n").nth(1).unwrap();
        assert!(
            statuses.starts_with(".TP\n\\fB0\\fR\n")
                && statuses.contains("\\fB130\\fR\n"),
            "{page}"
        );
    }

    #[test]
    fn the_synopsis_has_the_names_of_values() {
        let command = Command::new("mill").args([
            Arg::new("out").short('o').long("out").value_name("DIR"),
            Arg::new("find").long("find").value_name("FILE").num_args(0..=1),
            Arg::new("loud").long("loud").action(ArgAction::SetTrue),
            Arg::new("input").value_name("INPUT").num_args(1..).required(true),
            Arg::new("hidden").long("hidden").hide(true),
        ]);
        let page = page_of(command);
        let synopsis = page.split(".SH SYNOPSIS\n").nth(1).unwrap();
        assert_eq!(
            synopsis.lines().next().unwrap().replace("\\fB", "").replace("\\fR", ""),
            "mill [\\-o \\fIDIR] [\\-\\-find [\\fIFILE]] [\\-\\-loud] \\fIINPUT..."
        );
    }

    #[test]
    fn every_program_has_files_and_the_others() {
        for (program, sections) in &PROGRAMS {
            let name: &'static str = Box::leak(format!("my-{program}").into_boxed_str());
            let page = page(program, Command::new(name)).unwrap();
            let page = String::from_utf8(page).unwrap();
            assert!(page.contains(".SH FILES\n.TP\n"), "{page}");
            let also = page.split(".SH \"SEE ALSO\"\n").nth(1).unwrap();
            assert_eq!(also.matches("my\\-").count(), PROGRAMS.len() - 1, "{page}");
            assert!(also.contains(sections.documents), "{page}");
        }
    }
}
