//! Runs the examples in each program's `--help` in one shell, one after the other, as a
//! new user would. Later examples use the files of earlier ones, from `fetch-data` to
//! `scalars`.

use torchmill_testing::{PROGRAMS, Sandbox, ok, program, python};

use crate::given::Given;

/// Examples that are not run, and why.
const NOT_RUN: [(&str, &str); 5] = [
    ("fetch-data cifar10", "it needs a network"),
    ("fetch-data food101 --from hf:ethz/food101", "it needs a network"),
    ("fetch-data resnet18", "it needs a network"),
    (
        "fetch-data cifar10 --from ~/Downloads/cifar-10-binary.tar.gz",
        "it needs the archive as it was published",
    ),
    (
        "evaluate my_module_10.pt --model article --data data/shards/cifar10",
        "it needs what PyTorch saved",
    ),
];

/// Examples that run until Ctrl-C, and what they print once they are running.
const UNTIL_CTRL_C: [(&str, &str); 2] = [
    ("scalars runs --logdir logs && tensorboard --logdir logs", "http://"),
    ("scalars runs --follow", "points"),
];

/// The commands in a program's help.
fn examples(name: &str) -> Vec<String> {
    let help = ok(program(name).arg("--help")).stdout;
    let examples = help
        .split("Examples:")
        .nth(1)
        .unwrap_or_else(|| panic!("{name} --help has no examples"));
    let lines =
        examples.lines().map(|line| line.split("  #").next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// A bash script that runs a command until it has printed this, for at most a minute.
fn until(says: &str, command: &str) -> String {
    format!(
        "timeout 60 bash -c '{command}' >said 2>&1 & \n\
         for i in {{1..600}}; do if grep -q '{says}' said; then kill %1; exit 0; fi; sleep 0.1; done\n\
         cat said; exit 1"
    )
}

/// A sandbox with the files that the examples need.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::project();
    let mut given = Given::default();
    for what in ["cifar10", "pets", "photos"] {
        given.put(&sandbox, "the examples", what);
    }
    let script = "\
        mkdir cats dogs\n\
        for i in cat dog; do mkdir ${i}s/$i; cp pets/$i/* ${i}s/$i; done\n\
        # The network sees 32 x 32 pixels.\n\
        printf 'P6 32 32 255\\n' > photo.jpg; head -c 3072 /dev/zero >> photo.jpg; cp photo.jpg other.png\n\
        for i in photos/*/*; do cp photo.jpg $i; done";
    sandbox.run_bash("the examples", script);
    let script = "import sys\nassert len(sys.stdin.buffer.read()) > 9\n";
    sandbox.write("your_script.py", script);
    sandbox
}

#[test]
fn examples_in_the_help_work_when_pasted() {
    let sandbox = sandbox();
    let mut left: Vec<&str> =
        NOT_RUN.iter().chain(&UNTIL_CTRL_C).map(|(example, _)| *example).collect();
    for name in PROGRAMS {
        for example in examples(name) {
            left.retain(|listed| *listed != example);
            let place = format!("{name} --help");
            if let Some((_, why)) = NOT_RUN.iter().find(|(listed, _)| *listed == example)
            {
                eprintln!("{place}: not run, {why}: {example}");
                continue;
            }
            let needs_python =
                example.contains("python") || example.contains("tensorboard");
            if needs_python && python(&example).is_none() {
                continue;
            }
            if let Some((_, says)) =
                UNTIL_CTRL_C.iter().find(|(listed, _)| *listed == example)
            {
                sandbox.run_bash(&place, &until(says, &example));
            } else {
                sandbox.run_bash(&place, &example);
            }
        }
    }
    assert!(left.is_empty(), "no program's help has these examples any more: {left:?}");
}
