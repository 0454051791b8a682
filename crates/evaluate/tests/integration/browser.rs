//! The page that `--html` writes, in a real browser engine: Chromium (CHROMIUM, or on the
//! PATH); says so where there is none.

use std::path::Path;
use std::process::Command;

use crate::networks::{evaluate, sandbox};
use torchmill_testing::assert_done;

/// The page's elements after its script has run.
fn dom(folder: &Path, page: &str) -> Option<String> {
    let named = std::env::var("CHROMIUM").ok().filter(|name| !name.is_empty());
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    let runs = |name: &String| {
        Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success())
    };
    let Some(chromium) = named.into_iter().chain(names.map(str::to_owned)).find(runs)
    else {
        eprintln!("skipped: no Chromium (set CHROMIUM, or install chromium)");
        return None;
    };
    let output = Command::new(chromium)
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
        .arg(format!("file://{}", folder.join(page).display()))
        .output()
        .unwrap();
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_page_shows_figures_matrix_and_mistakes() {
    let folder = sandbox();
    assert_done(&evaluate(
        folder.path(),
        &["full.safetensors", "--data", "shards", "--html", "page.html"],
    ));
    let Some(page) = dom(folder.path(), "page.html") else { return };
    // 67 mistakes of which 48 are shown, each decoded by the browser to 8 pixels: it
    // knows that they are small.
    assert!(page.contains("data-drawn=\"48\""), "{page}");
    assert_eq!(page.matches("<img alt=").count(), 48);
    assert!(
        page.contains("<img alt=\"top, taken for middle\"")
            && page.contains("class=\"small\"")
    );
    for text in ["33.00 %", "33 of 100", "top taken for middle: 34 of 34 (100.0 %)"] {
        assert!(page.contains(text), "no `{text}` in {page}");
    }
    let matrix = page
        .split("<table class=\"matrix\"")
        .nth(1)
        .unwrap()
        .split("</table>")
        .next()
        .unwrap();
    assert_eq!(
        (matrix.matches("scope=\"col\"").count(), matrix.matches("<td style").count()),
        (3, 9)
    );
    // All confidences lie in one bin.
    assert_eq!(page.matches("<rect class=\"bin\"").count(), 1);
}
