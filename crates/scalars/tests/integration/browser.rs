//! Tests the page that `--html` writes, and TensorBoard's own page, in a real browser
//! engine. Needs Chromium (CHROMIUM, or on the PATH); TensorBoard also needs
//! TORCHMILL_PYTHON. Without these the tests print a note and pass.

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

/// Two runs like train's, with a NaN.
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

/// Adds a script to page.html, which runs after the page's own. Returns what it puts into
/// the body's `data-result`.
fn result_of(script: &str, chromium: &str, folder: &Path) -> String {
    let path = folder.join("page.html");
    let page = fs::read_to_string(&path).unwrap();
    let script = format!("<script nonce=\"torchmill\">{script}</script></body>");
    fs::write(&path, page.replacen("</body>", &script, 1)).unwrap();
    let page = drawn(chromium, folder);
    let result = page.split("data-result=\"").nth(1);
    let result = result.unwrap_or_else(|| panic!("no result in {page}"));
    result.split('"').next().unwrap().to_owned()
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
            // Frames and timers run before the page is printed.
            "--virtual-time-budget=3000",
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
        assert!(page.contains(&format!("<h2>{tag}</h2>")), "{tag}");
    }
    let curves: Vec<&str> = page.split("<path class=\"curve").skip(1).collect();
    assert_eq!(curves.len(), 6);
    // Ten points each: a move and nine lines, and nothing for the NaN.
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
fn forty_runs_look_different_and_come_in_natural_order() {
    let Some(chromium) = chromium() else { return };
    let folder = Sandbox::new();
    for run in 1..=40 {
        let path = folder.path().join(format!("run-{run}.csv"));
        fs::write(path, "step,loss\n1,2\n2,1\n").unwrap();
    }
    let names: Vec<String> = (1..=40).map(|run| format!("run-{run}.csv")).collect();
    let mut arguments: Vec<&str> = names.iter().rev().map(String::as_str).collect();
    arguments.extend(["--html", "page.html"]);
    scalars(folder.path(), &arguments);
    let script = "
        const keys = [...document.querySelectorAll('.key')];
        const looks = keys.map(key => key.querySelector('svg').outerHTML);
        const names = keys.map(key => key.textContent);
        document.body.dataset.result = `${new Set(looks).size} ${names.slice(0, 3)} ${names[39]}`;";
    let result = result_of(script, &chromium, folder.path());
    assert_eq!(result, "40 run-1,run-2,run-3 run-40");
}

#[test]
fn keys_read_values_and_buttons_hide_runs() {
    let Some(chromium) = chromium() else { return };
    let folder = Sandbox::new();
    write_runs(folder.path());
    scalars(folder.path(), &["runs", "--html", "page.html"]);
    let script = "
        const chart = document.querySelector('.chart svg'), said = [];
        const press = key => chart.dispatchEvent(new KeyboardEvent('keydown', { key }));
        for (const key of ['Home', 'ArrowRight', 'End', 'Escape']) {
          press(key);
          said.push(chart.getAttribute('aria-valuetext'));
        }
        const key = document.querySelector('.key');
        key.click();
        requestAnimationFrame(() => requestAnimationFrame(() => {
          said.push(key.getAttribute('aria-pressed'), document.querySelectorAll('path.curve').length);
          document.body.dataset.result = said.join(' | ');
        }));";
    let result = result_of(script, &chromium, folder.path());
    // The better value comes first.
    let expected = "step 100: b 2, a 2.3 | step 200: b 1, a 1.15 \
                    | step 1,100: a not finite, b not finite \
                    | last values: a not finite, b not finite | false | 3";
    assert_eq!(result, expected);
}

#[test]
fn pointing_at_a_run_makes_the_other_curves_faint() {
    let Some(chromium) = chromium() else { return };
    let folder = Sandbox::new();
    write_runs(folder.path());
    scalars(folder.path(), &["runs", "--html", "page.html"]);
    let script = "
        const keys = document.querySelectorAll('.key'), said = [];
        const row = document.querySelector('.runs tbody tr');
        const say = () => {
          const clear = [...document.querySelectorAll('g:not(.faint) > path.curve')];
          const colours = new Set(clear.map(path => path.parentNode.style.color));
          said.push(`${clear.length} ${[...colours]}`);
        };
        say();
        keys[1].dispatchEvent(new PointerEvent('pointerenter'));
        say();
        keys[1].dispatchEvent(new PointerEvent('pointerleave'));
        say();
        keys[0].dispatchEvent(new FocusEvent('focus'));
        say();
        keys[0].dispatchEvent(new FocusEvent('blur'));
        row.dispatchEvent(new PointerEvent('pointerenter'));
        // With smoothing, both lines of a run stand out.
        settings.smoothing = 0.5;
        charts.forEach(chart => chart.draw());
        say();
        // A hidden run does not make the others faint.
        keys[0].click();
        charts.forEach(chart => chart.draw());
        say();
        document.body.dataset.result = said.join(' | ');";
    let both = "6 var(--c0),var(--c1)";
    let hidden = "6 var(--c1)";
    assert_eq!(
        result_of(script, &chromium, folder.path()),
        format!("{both} | 3 var(--c1) | {both} | 3 var(--c0) | 6 var(--c0) | {hidden}")
    );
}

#[test]
fn curves_go_by_epoch_whatever_their_steps_count() {
    let Some(chromium) = chromium() else { return };
    let folder = Sandbox::new();
    // As train writes them: the steps of the loss are steps, those of the accuracy epochs.
    let mut table = "wall_time,step,epoch,tag,value\n".to_owned();
    for step in 1..=8 {
        let epoch = (step + 3) / 4;
        table += &format!("{step},{step},{epoch},train loss,1\n");
        if step % 4 == 0 {
            table += &format!("{step},{epoch},{epoch},test accuracy,0.5\n");
        }
    }
    fs::write(folder.path().join("metrics.csv"), table).unwrap();
    scalars(folder.path(), &["metrics.csv", "--html", "page.html"]);
    let script = "
        const epochs = data.charts.map(chart => chart.curves[0].epochs.join());
        document.body.dataset.result = epochs.join(' | ');";
    assert_eq!(
        result_of(script, &chromium, folder.path()),
        "0.25,0.5,0.75,1,1.25,1.5,1.75,2 | 1,2"
    );
}

#[test]
fn a_run_that_diverged_is_marked_and_does_not_flatten_the_others() {
    let Some(chromium) = chromium() else { return };
    let folder = Sandbox::new();
    let mut diverged = "step,loss\n".to_owned();
    let mut good = diverged.clone();
    for step in 0..20 {
        let value = if step < 15 { format!("1e{step}") } else { "nan".to_owned() };
        diverged += &format!("{step},{value}\n");
        good += &format!("{step},{}\n", 2.0 / f64::from(step + 1));
    }
    fs::write(folder.path().join("diverged.csv"), diverged).unwrap();
    fs::write(folder.path().join("good.csv"), good).unwrap();
    scalars(folder.path(), &["diverged.csv", "good.csv", "--html", "page.html"]);
    let script = "
        const curve = document.querySelectorAll('path.curve')[1].getBBox();
        const mark = document.querySelector('path.nan title').textContent;
        const hints = document.querySelector('.hints').textContent;
        const outcome = document.querySelector('.runs tbody .text').textContent;
        settings.log = true;
        charts.forEach(chart => chart.draw());
        const onLog = document.querySelectorAll('path.curve')[1].getBBox();
        document.body.dataset.result = `${curve.height > 100}; ${onLog.height > 100}; `
          + `${mark}; ${hints.includes('Outliers')}; ${outcome}`;";
    let result = result_of(script, &chromium, folder.path());
    assert_eq!(
        result,
        "true; true; diverged: not finite from step 15; true; not finite from step 15"
    );
}

#[test]
fn names_that_are_html_stay_text() {
    let Some(chromium) = chromium() else { return };
    let folder = Sandbox::new();
    let evil =
        "<img src=x onerror=document.title='run'></script><script>alert(1)</script>";
    let table = format!("run,step,tag,value\n{evil},1,{evil},2\n");
    fs::write(folder.path().join("a.csv"), table).unwrap();
    scalars(folder.path(), &["a.csv", "--html", "page.html"]);
    let script = "
        document.body.dataset.result =
          `${document.title} ${document.images.length} ${document.scripts.length}`;";
    // This script is the second.
    assert_eq!(result_of(script, &chromium, folder.path()), "torchmill: scalars 0 2");
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
