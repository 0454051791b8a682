//! Tests docs/onnx.html, the web page that runs an exported network, in a real browser.
//! This needs Chromium (CHROMIUM, or on the PATH), onnxruntime-web
//! (TORCHMILL_ONNXRUNTIME_WEB names the `node_modules` folder that has it) and
//! TORCHMILL_PYTHON for a web server.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use torchmill_testing::{Sandbox, ok, program, python, repository};

use crate::job::job;

const IMAGES: usize = 20;

/// Classifies the images in images.npy, and writes the probabilities into the body.
const SCRIPT: &str = "
    const all = new Uint8Array(await (await fetch('images.npy')).arrayBuffer());
    const start = 10 + all[8] + 256 * all[9], results = [], size = width * height;
    for (let n = 0; n < 20; n++) {
      const image = new ImageData(width, height);
      for (let i = 0; i < size; i++) {
        for (let c = 0; c < 3; c++) {
          image.data[4 * i + c] = all[start + (n * channels + c % channels) * size + i];
        }
        image.data[4 * i + 3] = 255;
      }
      results.push(await classify(await createImageBitmap(image)));
    }
    document.body.dataset.result = results.join(';');
";

/// A web server for a folder, which is stopped at the end of the test.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(mut python: Command, folder: &Path) -> Self {
        python.args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "0"]);
        python.current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = python.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.split(" port ").nth(1).unwrap().split(' ').next().unwrap();
        Self { process, address: format!("http://127.0.0.1:{port}") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn chromium() -> Option<String> {
    let named = std::env::var("CHROMIUM").ok().filter(|name| !name.is_empty());
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    let runs = |name: &String| {
        Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success())
    };
    named.into_iter().chain(names.map(str::to_owned)).find(runs)
}

/// Writes the network, the page and the images into the folder. Returns the probabilities
/// that evaluate computes.
fn write_page(folder: &Path) -> Vec<Vec<f64>> {
    let job = job();
    let shards = folder.join("shards");
    let limit = IMAGES.to_string();
    let prep = || {
        let mut prep = program("prep");
        prep.arg(&job.raw).args(["--split", "test", "--limit", &limit]);
        prep
    };
    ok(prep().arg("-o").arg(&shards));
    let images = fs::File::create(folder.join("images.npy")).unwrap();
    let npy = prep().args(["--format", "npy", "-o", "-"]).stdout(images).status();
    assert!(npy.unwrap().success());
    let mut evaluate = program("evaluate");
    evaluate.arg(job.checkpoint()).args(["--device", "cpu", "--data"]).arg(&shards);
    ok(evaluate.arg("--predictions").arg(folder.join("predictions.csv")));
    let mut export = program("evaluate");
    export.arg(job.checkpoint()).args(["--preprocess", "--export"]);
    ok(export.arg(folder.join("network.onnx")));
    let page = fs::read_to_string(repository().join("docs/onnx.html")).unwrap();
    let page = page.replacen("  file.onchange", &format!("{SCRIPT}  file.onchange"), 1);
    fs::write(folder.join("page.html"), page).unwrap();
    let text = fs::read_to_string(folder.join("predictions.csv")).unwrap();
    let mut rows = Vec::new();
    for line in text.lines().skip(1) {
        rows.push(line.split(',').skip(5).map(|cell| cell.parse().unwrap()).collect());
    }
    rows
}

#[test]
fn a_web_page_computes_what_evaluate_does() {
    let Some(python) = python("no web server") else { return };
    let Some(chromium) = chromium() else {
        eprintln!("skipped: no Chromium (set CHROMIUM, or install chromium)");
        return;
    };
    let Some(modules) = std::env::var_os("TORCHMILL_ONNXRUNTIME_WEB") else {
        eprintln!("skipped: TORCHMILL_ONNXRUNTIME_WEB names no folder node_modules");
        return;
    };
    let sandbox = Sandbox::new();
    let expected = write_page(sandbox.path());
    symlink(modules, sandbox.join("node_modules")).unwrap();
    let server = Server::start(python, sandbox.path());
    let mut browser = Command::new(chromium);
    browser.args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]);
    browser.args(["--disable-background-networking", "--disable-component-update"]);
    browser.args(["--disable-sync", "--virtual-time-budget=60000", "--dump-dom"]);
    browser.arg(format!("--user-data-dir={}", sandbox.join("profile").display()));
    let page = ok(browser.arg(format!("{}/page.html", server.address))).stdout;
    let result = page.split("data-result=\"").nth(1);
    let result = result.unwrap_or_else(|| panic!("no result in {page}"));
    let result = result.split('"').next().unwrap();
    let found: Vec<Vec<f64>> = result
        .split(';')
        .map(|row| row.split(',').map(|number| number.parse().unwrap()).collect())
        .collect();
    assert_eq!((found.len(), expected.len()), (IMAGES, IMAGES));
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{found} and {expected}");
        }
    }
}
