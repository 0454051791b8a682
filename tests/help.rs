//! What every program gets from its definition of the command line: help with examples, a
//! version, a man page, completions.

use torchmill_testing::{PROGRAMS, fails, ok, program, said};

#[test]
fn every_program_explains_itself() {
    for name in PROGRAMS {
        let help = ok(program(name).arg("--help").env("COLUMNS", "80")).stdout;
        assert!(help.contains("Examples:"), "{name} --help:\n{help}");
        // A wrapped example could not be pasted, so none may be wrapped at 80 columns.
        let wide = ok(program(name).arg("--help").env("COLUMNS", "200")).stdout;
        let examples = |help: &str| help.split("Examples:").nth(1).unwrap().to_owned();
        assert_eq!(examples(&wide), examples(&help), "{name} --help");
        // It must fit on a tall screen.
        assert!(
            help.lines().count() <= 60,
            "{name} --help has {} lines",
            help.lines().count()
        );
        assert!(ok(program(name).arg("--version")).stdout.starts_with(name));
    }
}

#[test]
fn man_pages_and_completions_come_from_the_same_definition() {
    for name in PROGRAMS {
        let run = |argument: &str, value: Option<&str>| {
            ok(program(name).arg(argument).args(value)).stdout
        };
        let man = run("--man", None);
        assert!(
            man.contains(".TH") && man.contains(".SH EXAMPLES\n.nf\n"),
            "{name} --man"
        );
        for shell in ["bash", "zsh", "fish"] {
            assert!(
                run("--completions", Some(shell)).contains(name),
                "{name} --completions {shell}"
            );
        }
    }
}

#[test]
fn completions_know_the_values_that_have_names() {
    for (name, values) in [
        ("fetch-data", &["cifar10", "mnist-5k"][..]),
        ("prep", &["safetensors", "bfloat16"]),
        ("train", &["bf16", "cuda", "resnet18", "cifar10-fast"]),
        ("evaluate", &["tf32", "cpu"]),
        ("scalars", &["double"]),
    ] {
        for shell in ["bash", "zsh", "fish"] {
            // fish's script only completes options.
            if (name, shell) == ("fetch-data", "fish") {
                continue;
            }
            let script = ok(program(name).args(["--completions", shell])).stdout;
            for value in values {
                assert!(
                    script.contains(value),
                    "{name} --completions {shell}: no {value}"
                );
            }
        }
    }
}

#[test]
fn misspelt_values_are_corrected() {
    for (arguments, meant) in [
        (&["train", "--precision", "fb16"][..], "(did you mean bf16?)"),
        (&["train", "--device", "cdua"], "(did you mean cuda?)"),
        (&["evaluate", "x", "--device", "cpuu"], "(did you mean cpu?)"),
        (&["train", "--device", "gpu"], "(did you mean cuda?)"),
        (&["evaluate", "x", "--device", "gpu:1"], "(did you mean cuda:1?)"),
        (&["prep", "x", "-o", "y", "--format", "safetensor"], "'safetensors'"),
    ] {
        let output = program(arguments[0]).args(&arguments[1..]).output().unwrap();
        let message = said(&output).stderr;
        assert!(
            output.status.code() == Some(2) && message.contains(meant),
            "{arguments:?}: {message}"
        );
    }
}

#[test]
fn an_unknown_option_is_wrong_usage() {
    for name in PROGRAMS {
        let message = fails(program(name).arg("--colour-of-the-sky"), 2);
        assert!(message.contains("--colour-of-the-sky"), "{message}");
    }
}
