//! `--find-lr` makes a suggestion and changes nothing else.

use torchmill_testing::{assert_done, device, program};

use crate::sandbox;

#[test]
fn a_learning_rate_is_suggested_and_no_run_is_made() {
    let folder = sandbox();
    let names = || {
        let entries = std::fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let arguments = ["--recipe", "recipe.toml", "--data", "shards", "--threads", "1"];
    let find = |more: &[&str]| {
        let mut command = program("train");
        command.current_dir(folder.path()).args(arguments);
        command.args(["--device", &device()]).args(more).output().unwrap()
    };
    let output = find(&["--find-lr"]);
    assert_done(&output);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.starts_with("      lr       loss\n"), "{text}");
    assert!(text.contains("<- suggested") && text.contains("try --lr "), "{text}");
    assert_eq!(names(), before);
    // The same seed gives the same result.
    let output = find(&["--find-lr", "lr.html"]);
    assert_done(&output);
    assert_eq!(String::from_utf8_lossy(&output.stdout), text);
    let page = std::fs::read_to_string(folder.path().join("lr.html")).unwrap();
    assert!(page.contains("<path class=\"smoothed\"") && page.contains("try --lr "));
    assert_done(&find(&["--find-lr", "lr.png"]));
    let picture = std::fs::read(folder.path().join("lr.png")).unwrap();
    assert!(picture.starts_with(b"\x89PNG"));
    let refused = find(&["--find-lr", "--run", "runs/a"]);
    assert_eq!(refused.status.code(), Some(2));
}
