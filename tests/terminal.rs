//! Output on a terminal: progress bars, a table and colours, and less on a terminal that
//! supports less.

use std::process::Command;

use torchmill_testing::{Sandbox, ok, program, write_ppm};

use crate::job::{job, python, train};

/// What a command shows on a terminal with this many columns, in this environment. Set a
/// locale with LC_ALL, because Python changes LANG=C.
fn shown(
    columns: usize,
    command: &Command,
    environment: &[(&str, &str)],
) -> Option<String> {
    let mut terminal = python("terminal.py")?;
    for name in ["NO_COLOR", "COLUMNS", "LC_ALL", "LC_CTYPE"] {
        terminal.env_remove(name);
    }
    terminal
        .env("TERM", "xterm-256color")
        .env("LANG", "C.UTF-8")
        .env("OMP_NUM_THREADS", "1");
    terminal.envs(environment.iter().copied());
    terminal.arg(columns.to_string()).arg(command.get_program()).args(command.get_args());
    Some(ok(&mut terminal).stdout)
}

/// The lines that were written, including those that were written over, without control
/// sequences.
fn lines(shown: &str) -> Vec<String> {
    let mut text = String::new();
    let mut letters = shown.chars();
    while let Some(letter) = letters.next() {
        if letter == '\u{1b}' {
            // `ESC [ ... letter`.
            letters.find(|c| c.is_ascii_alphabetic());
        } else {
            text.push(letter);
        }
    }
    text.split(['\r', '\n']).map(str::to_owned).filter(|line| !line.is_empty()).collect()
}

const BRAILLE: std::ops::RangeInclusive<char> = '\u{2801}'..='\u{28ff}';

#[test]
fn a_run_has_a_bar_and_a_table_on_a_terminal() {
    let folder = Sandbox::new();
    let run = |name: &str, columns: usize, environment: &[(&str, &str)]| {
        let mut command = train(&job().shards, folder.join(name));
        command.args(["--epochs", "2", "--limit-batches", "10"]);
        shown(columns, &command, environment)
    };
    let Some(text) = run("whole", 100, &[]) else { return };
    let whole = lines(&text);
    let has = |lines: &[String], part: &str| lines.iter().any(|line| line.contains(part));
    // The bars of an epoch and of an evaluation appear, and are gone at the end.
    assert!(
        whole
            .iter()
            .any(|line| line.starts_with("epoch 1/2 ") && line.contains("/640 images")),
        "{text}"
    );
    assert!(has(&whole, "evaluating "), "{text}");
    assert!(text.contains("\u{1b}[2K"), "{text}");
    let table: Vec<&String> = whole
        .iter()
        .filter(|line| line.trim_start().starts_with(['e', '1', '2']))
        .collect();
    // A metric may have a column, too. The exact heading is in display.rs's test.
    let heading = whole.iter().find(|line| line.starts_with("epoch train loss "));
    let heading = heading.unwrap();
    for part in [" test loss ", " test acc. ", "       lr     time"] {
        assert!(heading.contains(part), "no `{part}` in {heading}");
    }
    assert!(
        whole.iter().any(|line| line.starts_with("    2 ") && line.contains(" % ")),
        "{table:?}"
    );
    assert!(
        !has(&whole, "----- start training epoch") && !has(&whole, "train step:"),
        "{text}"
    );
    assert!(!text.is_ascii(), "the bar is drawn with more than ASCII");

    // With NO_COLOR there are no colours, but the bar still moves.
    let text = run("plain", 100, &[("NO_COLOR", "1")]).unwrap();
    // Colours are the escapes that end in `m`.
    let escapes = text.split('\u{1b}').skip(1);
    let coloured = escapes
        .filter(|e| e.chars().find(char::is_ascii_alphabetic) == Some('m'))
        .count()
        > 0;
    assert!(!coloured && text.contains("\u{1b}[2K"), "{text}");

    // Only ASCII if the locale does not have more.
    let text = run("ascii", 100, &[("LC_ALL", "C")]).unwrap();
    assert!(
        text.is_ascii()
            && lines(&text)
                .iter()
                .any(|line| line.starts_with("epoch 2/2 ") && line.contains('#')),
        "{text}"
    );

    // On a terminal that cannot write over lines, only the article's lines.
    let text = run("dumb", 100, &[("TERM", "dumb")]).unwrap();
    assert!(
        !text.contains('\u{1b}')
            && has(&lines(&text), "----- start training epoch 2 -----"),
        "{text}"
    );
    assert!(has(&lines(&text), "accuracy in test set: "), "{text}");

    // Bars and rows are not wider than the terminal.
    let text = run("narrow", 40, &[]).unwrap();
    let bars_and_rows = lines(&text).into_iter().filter(|line| {
        line.trim_start().starts_with("epoch") || line.starts_with("    ")
    });
    let widths: Vec<usize> = bars_and_rows.map(|line| line.chars().count()).collect();
    assert!(
        widths.len() > 3 && widths.iter().all(|width| *width <= 40),
        "{widths:?} {text}"
    );
}

#[test]
fn curves_are_drawn_with_what_the_terminal_has() {
    let mut command = program("scalars");
    command.arg(&job().run).args(["--plot", "--only", "train loss"]);
    let Some(text) = shown(70, &command, &[]) else { return };
    assert!(
        text.contains("\u{1b}[36m") && text.chars().any(|c| BRAILLE.contains(&c)),
        "{text}"
    );
    assert!(lines(&text).iter().all(|line| line.chars().count() <= 70), "{text}");
    let text = shown(70, &command, &[("NO_COLOR", "1")]).unwrap();
    assert!(
        !text.contains('\u{1b}') && text.chars().any(|c| BRAILLE.contains(&c)),
        "{text}"
    );
    let text = shown(70, &command, &[("TERM", "dumb")]).unwrap();
    assert!(!text.contains('\u{1b}'), "{text}");
    let text = shown(70, &command, &[("LC_ALL", "C")]).unwrap();
    assert!(
        text.replace("\u{1b}[36m", "").replace("\u{1b}[0m", "").is_ascii()
            && text.contains('*'),
        "{text}"
    );
}

/// Clears the screen, sets the title and rings the bell.
const STEERING: &str = "\u{1b}[2J\u{1b}]0;title\u{7}";
const ESCAPED: &str = "\\u{1b}[2J\\u{1b}]0;title\\u{7}";

/// Checks that the name is printed unchanged to a pipe, and escaped to a terminal.
fn check_escaped(make: &dyn Fn() -> Command) {
    let piped = ok(&mut make()).stdout;
    assert!(piped.contains(STEERING), "{piped}");
    let Some(text) = shown(200, &make(), &[("NO_COLOR", "1")]) else { return };
    assert!(!text.contains(STEERING), "{text}");
    assert!(text.contains(ESCAPED), "{text}");
    assert!(!text.contains('\u{7}'), "{text}");
}

#[test]
fn names_do_not_steer_the_terminal() {
    let folder = Sandbox::new();
    let photo = folder.join(format!("photo{STEERING}.ppm"));
    write_ppm(&photo, 28, 28, &[9; 28 * 28 * 3]);
    check_escaped(&|| {
        let mut evaluate = program("evaluate");
        evaluate.arg(job().checkpoint()).arg(&photo).args(["--predictions", "-"]);
        evaluate
    });
    check_escaped(&|| {
        let mut evaluate = program("evaluate");
        evaluate.arg(job().checkpoint()).arg(&photo).args(["--format", "csv"]);
        evaluate
    });
    let header = "wall_time,step,epoch,tag,value";
    let rows = format!("{header}\n1,1,1,loss{STEERING},2\n");
    let metrics = folder.write("metrics.csv", rows);
    let logs = folder.join("logs");
    ok(program("scalars").arg(&metrics).arg("--logdir").arg(&logs));
    check_escaped(&|| {
        let mut scalars = program("scalars");
        scalars.arg("--dump").arg(&logs);
        scalars
    });
}

/// A folder of two classes. One class and an image in it have names with terminal control
/// characters. The class is named in a list, since a folder may not have such a name.
fn steering_images(folder: &Sandbox) -> std::path::PathBuf {
    let mut list = String::from("path,label\n");
    for i in 0..4_u8 {
        let name = format!("photo{i}{STEERING}.ppm");
        write_ppm(folder.join(&name), 8, 8, &[i * 9; 8 * 8 * 3]);
        let class = if i % 2 == 0 { "plain".to_owned() } else { format!("c{STEERING}") };
        list += &format!("{name},{class}\n");
    }
    folder.write("list.csv", list)
}

#[test]
fn names_in_preps_output_do_not_steer_the_terminal() {
    let folder = Sandbox::new();
    let list = steering_images(&folder);
    let stream = |format: &'static str| {
        let list = list.clone();
        move || {
            let mut prep = program("prep");
            prep.arg(&list).args(["--split", "train", "-o", "-", "--format", format]);
            prep
        }
    };
    // JSON itself escapes control characters.
    let piped = ok(&mut stream("jsonl")()).stdout;
    assert!(piped.contains("photo1\\u001b[2J\\u001b]0;title\\u0007.ppm"), "{piped}");
    let Some(text) = shown(200, &stream("jsonl")(), &[("NO_COLOR", "1")]) else { return };
    assert!(!text.contains(STEERING) && !text.contains('\u{7}'), "{text}");
    // A table of pixels contains no names.
    let piped = ok(&mut stream("csv")()).stdout;
    let text = shown(200, &stream("csv")(), &[("NO_COLOR", "1")]).unwrap();
    for line in piped.lines() {
        assert!(text.contains(line), "{line} is not in {text}");
    }

    let shards = folder.join("shards");
    ok(program("prep").arg(&list).arg("-o").arg(&shards));
    let shard = shards.join("train-00000-of-00001.shard");
    check_escaped(&|| {
        let mut prep = program("prep");
        prep.arg("--stats").arg(&list);
        prep
    });
    check_escaped(&|| {
        let mut prep = program("prep");
        prep.arg("--inspect").arg(&shard);
        prep
    });
    // Standard error is for people, so names are always escaped.
    let broken = folder.write(format!("broken{STEERING}.ppm"), "P6 8 8 255\n");
    let list =
        folder.write("broken.csv", format!("path,label\n{},a\n", broken.display()));
    let output = program("prep").arg(&list).arg("-o").arg(&shards).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(ESCAPED) && !said.contains('\u{7}'), "{said}");
}
