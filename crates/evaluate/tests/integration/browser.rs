//! The page that `--html` writes, in a real browser engine: Chromium (CHROMIUM, or on the
//! PATH). The tests print a note and pass if there is none.

use std::path::Path;
use std::process::Command;

use crate::networks::{evaluate, sandbox};
use serde_json::Value;
use torchmill::html;
use torchmill_testing::assert_done;

/// The page's elements after its script has run. `None` without Chromium.
fn dom(folder: &Path, page: &str) -> Option<String> {
    let dom = browse(folder, page)?;
    Some(dom.replace("&nbsp;", " "))
}

fn browse(folder: &Path, page: &str) -> Option<String> {
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
            "--window-size=800,800",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--dump-dom",
            // Lets frames and timers run before the page is printed.
            "--virtual-time-budget=3000",
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
    // 67 mistakes, of which 48 are shown. The browser decodes each to 8 pixels, so the
    // page marks them as small.
    assert!(page.contains("data-drawn=\"48\""), "{page}");
    let mistakes = page.split("id=\"mistakes\"").nth(1).unwrap();
    let mistakes = mistakes.split("</section>").next().unwrap();
    assert_eq!(mistakes.matches("<img alt=").count(), 48);
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
    // All confidences are in one bin.
    assert_eq!(page.matches("<rect class=\"bin\"").count(), 1);
}

#[test]
fn the_page_shows_every_other_metric() {
    let folder = sandbox();
    let mut data = data(2, |class| format!("c{class}"));
    data["others"] = serde_json::json!([{ "name": "kappa", "value": "0.2750" }]);
    let script = "
        const last = document.getElementById('cards').lastChild;
        document.body.dataset.result = last.textContent;";
    let Some(page) = dom_with(folder.path(), &data, script) else { return };
    assert_eq!(result(&page), "kappa0.2750");
}

/// The page of an evaluation with this data: see `dom_of`.
fn dom_with(folder: &Path, data: &Value, script: &str) -> Option<String> {
    let page = html::fill(include_str!("../../src/page.html"), data).unwrap();
    dom_of(folder, &page, script)
}

/// A page in a window as narrow as a phone, after its script and `script` have run. The
/// browser's windows are wider, so the page is in a frame, which passes on the body's
/// `data-result`.
fn dom_of(folder: &Path, page: &str, script: &str) -> Option<String> {
    let script = format!(
        "<script nonce=\"torchmill\">{script}
        parent.postMessage(document.body.dataset.result, '*');</script></body>"
    );
    let page = page.replacen("</body>", &script, 1);
    std::fs::write(folder.join("page.html"), page).unwrap();
    std::fs::write(folder.join("frame.html"), FRAME).unwrap();
    dom(folder, "frame.html")
}

const FRAME: &str = r#"<body><script>
    onmessage = event => { document.body.dataset.result = event.data; };
</script><iframe src="page.html" width="360" height="800"></iframe></body>"#;

/// The value that the script has set as the body's `data-result`.
fn result(page: &str) -> &str {
    let result = page.split("data-result=\"").nth(1);
    assert!(result.is_some(), "no result in {page}");
    result.unwrap().split('"').next().unwrap()
}

/// The page's data for `count` classes, each with 9 of 10 images recognised.
fn data(count: usize, name: impl Fn(usize) -> String) -> Value {
    let mut classes = Vec::new();
    let mut confusion = Vec::new();
    for class in 0..count {
        classes.push(name(class));
        confusion.push([class as u64, 9, ((class + 1) % count) as u64, 1]);
    }
    let score =
        serde_json::json!({ "precision": 0.9, "recall": 0.9, "f1": 0.9, "support": 10 });
    let bin = serde_json::json!({ "count": 0, "correct": 0, "confidence": 0.0 });
    serde_json::json!({
        "checkpoint": name(0), "on": "test images", "images": 10 * count,
        "correct": 9 * count, "accuracy": 0.9, "top_5": null, "total_loss": null,
        "mean_loss": 0.5, "macro_average": score, "weighted_average": score,
        "calibration_error": 0.0, "others": [], "classes": classes, "scores": vec![&score; count],
        "confusion": confusion, "bins": vec![bin; 15], "mistakes": [],
        "label_errors": [], "label_error_count": 0, "pictures": [],
    })
}

#[test]
fn the_arrow_keys_read_a_matrix_of_any_size() {
    let folder = sandbox();
    let script = "
        const box = document.getElementById('matrix'), said = [];
        const press = key => box.dispatchEvent(new KeyboardEvent('keydown', { key }));
        for (const key of ['ArrowRight', 'ArrowRight', 'End', 'ArrowDown', '+']) press(key);
        said.push(document.getElementById('read').textContent);
        const select = document.getElementById('order');
        select.value = 'name';
        select.onchange();
        press('ArrowDown');
        said.push(document.getElementById('read').textContent);
        document.body.dataset.result = said.join(' | ');";
    for count in [2, 10, 100] {
        let data = data(count, |class| format!("c{}", count - class));
        let Some(page) = dom_with(folder.path(), &data, script) else { return };
        // The second class as given, then the first class in the order of names.
        let other = match count {
            2 => "c1 recognised: 9 of 10 (90.0 %)".to_owned(),
            _ => format!("c{} taken for c1: 0 of 10 (0.0 %)", count - 1),
        };
        let expected = format!("{other} | c1 recognised: 9 of 10 (90.0 %)");
        assert_eq!(result(&page), expected, "{count}");
    }
}

#[test]
fn chinese_names_stand_upright_and_short_names_flat_above_the_columns() {
    let folder = sandbox();
    let names = ["\u{957f}\u{9888}\u{9e7f}", "dog", "7"];
    let data = data(3, |class| names[class].to_owned());
    let script = "
        const directions = [];
        for (const name of document.querySelectorAll('.matrix thead span')) {
          const { transform, writingMode } = getComputedStyle(name);
          directions.push(`${transform === 'none' ? 'as is' : 'turned'} ${writingMode}`);
        }
        document.body.dataset.result = directions;";
    let Some(page) = dom_with(folder.path(), &data, script) else { return };
    let expected = "as is vertical-rl,turned vertical-rl,as is horizontal-tb";
    assert_eq!(result(&page), expected);
}

#[test]
fn every_cell_of_the_matrix_can_be_read() {
    let folder = sandbox();
    // Shares from 1/25 to 1.
    let mut data = data(25, |class| format!("c{class}"));
    for class in 0..25 {
        data["confusion"][class] =
            serde_json::json!([class, class + 1, (class + 1) % 25, 24 - class]);
    }
    // The contrast of WCAG 2: 4.5 is enough for text.
    let script = "
        const numbers = text => text.match(/[0-9.]+/g).map(Number);
        const linear = c => c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
        const luminance = ([r, g, b]) => .2126 * linear(r / 255)
          + .7152 * linear(g / 255) + .0722 * linear(b / 255);
        const paper = numbers(getComputedStyle(document.body).backgroundColor);
        let least = Infinity;
        for (const cell of document.querySelectorAll('.matrix tbody td')) {
          const style = getComputedStyle(cell);
          const [r, g, b, a = 1] = numbers(style.backgroundColor);
          const back = [r, g, b].map((c, i) => a * c + (1 - a) * paper[i]);
          const both = [luminance(back), luminance(numbers(style.color))];
          least = Math.min(least, (Math.max(...both) + .05) / (Math.min(...both) + .05));
        }
        document.body.dataset.result = `${least >= 4.5} ${least < 21}`;";
    let Some(page) = dom_with(folder.path(), &data, script) else { return };
    assert_eq!(result(&page), "true true");
}

#[test]
fn long_names_and_html_do_not_widen_or_run() {
    let folder = sandbox();
    let evil = |class| {
        format!("</script><img src=x onerror=alert(1)>{}{class}", "x".repeat(200))
    };
    let script = "
        const width = document.documentElement.scrollWidth <= innerWidth;
        document.body.dataset.result = `${innerWidth} ${width} ${document.images.length}`;";
    for count in [2, 10, 100] {
        let Some(page) = dom_with(folder.path(), &data(count, evil), script) else {
            return;
        };
        assert_eq!(result(&page), "360 true 0", "{count}");
    }
}

#[test]
fn the_comparison_marks_where_a_run_diverged() {
    let folder = sandbox();
    let run = |name: &str, last: Option<f64>| {
        serde_json::json!({
            "run": name, "state": "done", "epochs": 3, "epochs_done": 3,
            "metrics": {}, "settings": {},
            "curves": { "test loss": [[1, 2.0], [2, 1.0], [3, last]] },
        })
    };
    let data = serde_json::json!({
        "sort": "test loss", "tags": ["test loss"], "settings": [],
        "runs": [run("good", Some(0.5)), run("diverged", None)],
    });
    let page = html::fill(include_str!("../../src/compare/page.html"), &data).unwrap();
    let script = "
        const crosses = [...document.querySelectorAll('path.nan')];
        const colours = crosses.map(cross => cross.parentNode.style.color);
        const hint = document.getElementById('hint').textContent.includes('became NaN');
        const fits = document.documentElement.scrollWidth <= innerWidth;
        document.body.dataset.result = `${colours} ${hint} ${fits}`;";
    let Some(page) = dom_of(folder.path(), &page, script) else { return };
    // The second run's colour.
    assert_eq!(result(&page), "var(--c1) true true");
}
