//! What people see, in a real browser engine: the page that `--html` writes, and
//! TensorBoard's own page. Needs Chromium (CHROMIUM, or on the PATH), the second also
//! TORCHMILL_PYTHON; says so where there is none.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use torchmill_testing::{Sandbox, program, python};

const TAGS: [&str; 3] = ["train loss", "test loss", "test accuracy"];

fn chromium() -> Option<String> {
    let named = std::env::var("CHROMIUM").ok().filter(|name| !name.is_empty());
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    let runs = |name: &str| {
        Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success())
    };
    let found = named.into_iter().chain(names.map(str::to_owned)).find(|name| runs(name));
    if found.is_none() {
        eprintln!("skipped: no Chromium (set CHROMIUM, or install chromium)");
    }
    found
}

/// Two runs like train's, with a value that is no number.
fn write_runs(folder: &Path) {
    for (run, start) in [("a", 2.3), ("b", 2.0)] {
        let mut text = "wall_time,step,epoch,tag,value\n".to_owned();
        for epoch in 1..=10 {
            let (time, value) = (1_764_000_000 + epoch * 60, start / f64::from(epoch));
            text += &format!("{time},{},{epoch},train loss,{value}\n", epoch * 100);
            text += &format!("{time},{epoch},{epoch},test loss,{}\n", value * 150.0);
            text +=
                &format!("{time},{epoch},{epoch},test accuracy,{}\n", 1.0 - value / 3.0);
        }
        text += "1764001000,1100,11,train loss,nan\n";
        fs::create_dir_all(folder.join("runs").join(run)).unwrap();
        fs::write(folder.join("runs").join(run).join("metrics.csv"), text).unwrap();
    }
}

fn scalars(folder: &Path, arguments: &[&str]) -> Output {
    let output = program("scalars").args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

/// page.html in a folder after its script has run.
fn drawn(chromium: &str, folder: &Path) -> String {
    let output = Command::new("timeout")
        .args(["120", chromium])
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-sync",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("file://{}", folder.join("page.html").display()))
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn values_that_hardly_differ_are_drawn() {
    let Some(chromium) = chromium() else { return };
    let folder = Sandbox::new();
    // One unit in the last place apart, as values, as steps and next to zero.
    let table = "step,loss,tiny,huge\n9007199254740990,1.0,0,-1e308\n9007199254740991,1.0000000000000002,5e-324,1e308\n";
    fs::write(folder.path().join("a.csv"), table).unwrap();
    scalars(folder.path(), &["a.csv", "--html", "page.html"]);
    let page = drawn(&chromium, folder.path());
    assert!(page.contains("data-drawn=\"3\""), "{page}");
    assert_eq!(page.matches("<path class=\"curve").count(), 3);
    assert!(page.matches("<text").count() < 100);
}

#[test]
fn the_html_page_draws_every_curve() {
    let Some(chromium) = chromium() else { return };
    let folder = Sandbox::new();
    write_runs(folder.path());
    scalars(folder.path(), &["runs", "--html", "page.html"]);
    assert!(!folder.path().join("logs").exists());
    let page = drawn(&chromium, folder.path());
    assert!(page.contains("data-drawn=\"3\""), "{page}");
    for tag in TAGS {
        assert!(page.contains(&format!("<figcaption>{tag}</figcaption>")), "{tag}");
    }
    let curves: Vec<&str> = page.split("<path class=\"curve").skip(1).collect();
    assert_eq!(curves.len(), 6);
    // Ten points each: a move and nine lines, and nothing for the value that is no
    // number.
    for curve in curves {
        let line = curve.split("d=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(
            (line.matches('M').count(), line.matches('L').count()),
            (1, 9),
            "{line}"
        );
        assert!(!line.contains("NaN"));
    }
}

#[test]
fn tensorboards_page_shows_the_three_charts() {
    if chromium().is_none() {
        return;
    }
    let Some(mut python) = python("screenshot-tensorboard") else { return };
    let folder = Sandbox::new();
    write_runs(folder.path());
    scalars(folder.path(), &["runs"]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../scripts/screenshot-tensorboard");
    let output = python
        .arg(script)
        .args(["logs", "shot.png"])
        .args(TAGS)
        .current_dir(folder.path())
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(fs::read(folder.path().join("shot.png")).unwrap().starts_with(b"\x89PNG"));
}
