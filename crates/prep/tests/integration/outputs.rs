//! Outputs that are also inputs are refused before anything is written.

use std::fs;

use torchmill_testing::{Sandbox, write_pets};

use crate::run;

/// Runs prep, which must refuse `option` and leave `file` as it is.
#[track_caller]
fn refuses(dir: &Sandbox, arguments: &[&str], option: &str, file: &str) {
    let before = fs::read(dir.join(file)).unwrap();
    let output = run(dir.path(), arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    let expected = format!("prep: {option} ");
    assert!(said.lines().last().unwrap().starts_with(&expected), "{said}");
    assert!(said.contains("would overwrite the input"), "{said}");
    assert!(fs::read(dir.join(file)).unwrap() == before, "{file} was changed");
    assert!(!dir.join("out").exists());
}

#[test]
fn inputs_are_never_overwritten() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    dir.write("list.csv", "path,label\npets/train/cat/0.ppm,cat\n");
    dir.write("part.txt", "cat/0.ppm\n");
    std::os::unix::fs::symlink("list.csv", dir.join("link")).unwrap();
    fs::hard_link(dir.join("pets/train/dog/0.ppm"), dir.join("sheet.png")).unwrap();
    let list = |file| ["list.csv", "--skip-bad", file, "-o", "out"];
    refuses(&dir, &list("list.csv"), "--skip-bad", "list.csv");
    refuses(&dir, &list("link"), "--skip-bad", "list.csv");
    let image = "pets/train/cat/0.ppm";
    refuses(&dir, &["pets", "--skip-bad", image, "-o", "out"], "--skip-bad", image);
    let sheet = ["pets", "--preview", "sheet.png"];
    refuses(&dir, &sheet, "--preview", "pets/train/dog/0.ppm");
    let split = ["pets/train", "--test-list", "part.txt", "--skip-bad", "part.txt"];
    refuses(&dir, &[&split[..], &["-o", "out"]].concat(), "--skip-bad", "part.txt");
}

#[test]
fn the_output_folder_may_not_replace_an_input() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    let list = "lists/train-00000-of-00001.csv";
    dir.write(list, "path,label\n../pets/train/cat/0.ppm,cat\n");
    let arguments = [list, "--format", "csv", "-o", "lists"];
    refuses(&dir, &arguments, "-o", list);
}

#[test]
fn two_outputs_are_two_files() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    dir.write("same.png", "");
    let arguments = ["pets", "--skip-bad", "same.png", "--preview", "same.png"];
    let output = run(dir.path(), &arguments);
    assert_eq!(output.status.code(), Some(2));
}
