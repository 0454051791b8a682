//! The man page, from the same definition as the help.

use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// What [`crate::Error::exit_status`] says.
const EXIT_STATUS: [(&str, &str); 4] = [
    ("0", "All was done; or the reader of standard output went away."),
    (
        "1",
        "The input, the disk or the network was not as it should be. Standard error says what, where and what to do.",
    ),
    ("2", "The command line, a recipe or a pipeline is wrong."),
    ("130", "Interrupted: by Ctrl-C or SIGTERM."),
];

/// The page of a program. Its examples stand as they are: lines that are filled and
/// hyphenated could not be pasted.
pub fn page(command: Command) -> io::Result<Vec<u8>> {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    // apropos takes the name's line for the whole summary.
    let summary = about.lines().next().unwrap_or_default().to_owned();
    let man = Man::new(command.about(summary).long_about(about));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut section = Roff::new();
    section.control("SH", ["EXAMPLES"]).control("nf", []);
    for line in examples.lines().skip(1) {
        section.text([roman(line.trim_start())]);
    }
    section.control("fi", []).control("SH", ["EXIT STATUS"]);
    for (status, meaning) in EXIT_STATUS {
        section.control("TP", []).text([bold(status)]).text([roman(meaning)]);
    }
    section.to_writer(&mut page)?;
    man.render_version_section(&mut page)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_one_line_and_examples_keep_theirs() {
        let command =
            Command::new("mill").about("Grind\n\nCoffee and pepper.").version("1");
        let page =
            page(command.after_help("Examples:\n  mill -x 'a  b' | sink\n  .mill"))
                .unwrap();
        let page = String::from_utf8(page).unwrap();
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
}
