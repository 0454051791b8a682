//! `--compare`: a table of runs with their metrics and the settings in which they differ.
//! It reads only each run's metrics.csv, config.toml and run.jsonl, and computes nothing
//! again.

mod html;
mod run;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};
use torchmill::metric;
use torchmill::recipe::Setting;
use torchmill::run::{CONFIG, LOG, METRICS};
use torchmill::suggest::did_you_mean;
use torchmill::{Context, Error, Result, cli, output, progress};

use crate::args::Format;
use crate::config::CompareConfig;
use crate::csv_table::Table;
use crate::inputs::check_exists;
use crate::text;
use run::{Metric, Run};

/// Descriptions are not settings.
const NO_SETTINGS: [&str; 1] = ["description"];

/// Prints the table of the runs in these folders.
pub fn run(config: &CompareConfig) -> Result<()> {
    let folders = folders(&config.folders)?;
    if let Some(html) = &config.html {
        check_not_a_runs_file(html, &folders)?;
    }
    let mut runs: Vec<Run> = folders.iter().map(|folder| Run::read(folder)).collect();
    for run in &runs {
        run.problems
            .iter()
            .for_each(|problem| progress::note(format_args!("{}: {problem}", run.name)));
    }
    let tags: BTreeSet<&str> =
        runs.iter().flat_map(|run| run.metrics.keys().map(String::as_str)).collect();
    let sort = match config.sort.as_deref() {
        Some(sort) if tags.contains(sort) || tags.is_empty() => sort.to_owned(),
        Some(sort) => {
            return Err(Error::usage(format_args!(
                "no run has the metric `{sort}`: there are {}{}",
                tags.iter().copied().collect::<Vec<_>>().join(", "),
                did_you_mean(sort, tags.iter().copied())
            )));
        }
        None => default_sort(&runs),
    };
    let ranked_by = comparable_tag(&runs, &sort);
    if ranked_by != sort {
        progress::note(format_args!(
            "note: sorted by `{ranked_by}`, since `{sort}` depends on the batch size"
        ));
    }
    let sort = ranked_by.as_str();
    let tags: Vec<String> = tags.into_iter().map(str::to_owned).collect();
    // The sort is stable: equal runs stay in the order of the arguments.
    runs.sort_by(|a, b| a.compare(b, sort));
    let settings = differing(&runs);
    let shown = without_consequences(&settings, &runs);
    if let Some(path) = &config.html {
        html::write(path, &runs, sort, &tags, &shown)?;
        if path == Path::new("-") {
            return Ok(());
        }
    }
    let text = match config.format {
        Format::Text => {
            let (text, left_out) = table::text(&runs, sort, &shown, text::width());
            if !left_out.is_empty() {
                let left_out = left_out.join(", ");
                progress::note(format_args!(
                    "no room for {left_out}: --format csv has all"
                ));
            }
            text
        }
        Format::Json => json(&runs, &settings)?,
        Format::Csv => csv(&runs, &tags, &settings)?,
    };
    cli::print(text.as_bytes())
}

/// Fails if the page would replace a file that the comparison reads.
fn check_not_a_runs_file(html: &Path, folders: &[PathBuf]) -> Result<()> {
    let mut files = Vec::new();
    for folder in folders {
        files.extend([CONFIG, METRICS, LOG].map(|name| folder.join(name)));
    }
    output::check_not_input("--html", html, &files)
}

/// The tag to compare runs by instead of `tag`: the mean loss instead of the total loss,
/// which depends on the batch size. Returns `tag` itself if some run has only that one.
fn comparable_tag(runs: &[Run], tag: &str) -> String {
    let Some(metric) = metric::of_tag(tag) else { return tag.to_owned() };
    let Some((split, _)) = tag.split_once(' ') else { return tag.to_owned() };
    let other = metric::tag(split, metric.ranked());
    let mut with_tag = runs.iter().filter(|run| run.metrics.contains_key(tag)).peekable();
    let has_all =
        with_tag.peek().is_some() && with_tag.all(|run| run.metrics.contains_key(&other));
    if has_all { other } else { tag.to_owned() }
}

/// The default metric to sort by: the validation accuracy if all runs with metrics have
/// it, or else the test accuracy. Choices should be based on validation.
fn default_sort(runs: &[Run]) -> String {
    let validation = format!("val {}", metric::DEFAULT);
    let mut measured = runs.iter().filter(|run| !run.metrics.is_empty()).peekable();
    let validated = measured.peek().is_some()
        && measured.all(|run| run.metrics.contains_key(&validation));
    if validated { validation } else { format!("test {}", metric::DEFAULT) }
}

/// The folders of the runs. A folder that is not a run stands for the runs in it. A run's
/// metrics.csv or config.toml stands for its folder.
fn folders(arguments: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for path in arguments {
        check_exists(path)?;
        let about = std::fs::metadata(path).doing("read", path)?;
        if about.is_dir() {
            let mut runs = if Run::is_at(path) { Vec::new() } else { runs_in(path)? };
            if Run::is_at(path) {
                runs.push(path.clone());
            } else if runs.is_empty() {
                progress::note(format_args!(
                    "left out {}: it is not a run and has no runs in it",
                    path.display()
                ));
            }
            folders.append(&mut runs);
        } else if path
            .file_name()
            .is_some_and(|name| name == "metrics.csv" || name == "config.toml")
        {
            let folder = path
                .parent()
                .filter(|p| !p.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            folders.push(folder.to_path_buf());
        } else {
            progress::note(format_args!(
                "left out {}: a run is a folder",
                path.display()
            ));
        }
    }
    if folders.is_empty() {
        return Err(Error::usage("--compare needs folders of runs, such as runs/*"));
    }
    Ok(folders)
}

fn runs_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut runs = Vec::new();
    for entry in std::fs::read_dir(folder).doing("read the folder", folder)? {
        runs.push(entry.doing("read the folder", folder)?.path());
    }
    runs.retain(|path| Run::is_at(path));
    runs.sort();
    Ok(runs)
}

/// The settings that differ between runs. Runs without settings are ignored.
fn differing(runs: &[Run]) -> Vec<String> {
    let with: Vec<&Run> = runs.iter().filter(|run| !run.settings.is_empty()).collect();
    let names: BTreeSet<&String> =
        with.iter().flat_map(|run| run.settings.keys()).collect();
    let differs = |name: &str| {
        with.iter().any(|run| run.settings.get(name) != with[0].settings.get(name))
    };
    names
        .into_iter()
        .filter(|name| !NO_SETTINGS.contains(&name.as_str()) && differs(name))
        .cloned()
        .collect()
}

/// The settings without those that follow from another one: SGD has a `momentum` and
/// AdamW has `betas`, which the optimizer's type already says.
fn without_consequences(settings: &[String], runs: &[Run]) -> Vec<String> {
    let mut shown = settings.to_vec();
    shown.retain(|name| match selector(name) {
        Some(selector) => {
            !settings.contains(&selector) || !follows(name, &selector, runs)
        }
        None => true,
    });
    shown
}

/// The setting that decides whether there is a setting of this name.
fn selector(name: &str) -> Option<String> {
    let (table, key) = name.rsplit_once('.')?;
    match (table, key) {
        (_, "type") => None,
        ("model", "layer" | "attribute") => Some("model.architecture".to_owned()),
        ("model", _) => None,
        (table, _) => Some(format!("{table}.type")),
    }
}

/// Whether some runs lack a setting, and runs with equal selectors have equal values.
fn follows(name: &str, selector: &str, runs: &[Run]) -> bool {
    let mut values = BTreeMap::new();
    for run in runs.iter().filter(|run| !run.settings.is_empty()) {
        let selected = run.settings.get(selector).map(Setting::to_string);
        let value = run.settings.get(name);
        if *values.entry(selected).or_insert(value) != value {
            return false;
        }
    }
    values.values().any(Option::is_none)
}

/// A run in JSON.
#[derive(Serialize)]
struct Object<'a> {
    run: &'a str,
    epochs_done: u64,
    epochs: Option<u64>,
    state: &'a str,
    metrics: &'a BTreeMap<String, Metric>,
    settings: BTreeMap<&'a str, Value>,
}

impl<'a> Object<'a> {
    fn new(run: &'a Run, settings: &'a [String]) -> Self {
        let value = |setting: &Setting| match setting {
            // Write integers without a fraction.
            Setting::Number(n) if n.fract() == 0.0 && n.abs() < 1e15 => json!(*n as i64),
            Setting::Number(n) => json!(n),
            Setting::Bool(b) => json!(b),
            Setting::Text(text) => json!(text),
        };
        let own = settings
            .iter()
            .filter_map(|name| run.settings.get(name).map(|s| (name.as_str(), value(s))));
        Self {
            run: &run.name,
            epochs_done: run.done,
            epochs: run.epochs,
            state: run.state(),
            metrics: &run.metrics,
            settings: own.collect(),
        }
    }
}

fn json(runs: &[Run], settings: &[String]) -> Result<String> {
    let objects: Vec<Object> =
        runs.iter().map(|run| Object::new(run, settings)).collect();
    let text = serde_json::to_string_pretty(&objects);
    text.map(|t| t + "\n")
        .map_err(|e| Error::failed(format_args!("cannot write JSON: {e}")))
}

fn csv(runs: &[Run], tags: &[String], settings: &[String]) -> Result<String> {
    let mut table = Table::empty();
    let fixed = ["run", "epochs_done", "epochs", "state"].map(str::to_owned).into_iter();
    let metrics = tags.iter().flat_map(|tag| {
        [format!("best {tag}"), format!("best {tag} epoch"), format!("last {tag}")]
    });
    table.row(fixed.chain(metrics).chain(settings.iter().cloned()))?;
    for run in runs {
        let epochs = run.epochs.map(|n| n.to_string()).unwrap_or_default();
        let fixed =
            [run.name.clone(), run.done.to_string(), epochs, run.state().to_owned()]
                .into_iter();
        let metrics = tags.iter().flat_map(|tag| match run.metrics.get(tag) {
            Some(m) => [m.best.to_string(), m.best_epoch.to_string(), m.last.to_string()],
            None => Default::default(),
        });
        let own = settings.iter().map(|name| {
            run.settings.get(name).map(Setting::to_string).unwrap_or_default()
        });
        table.row(fixed.chain(metrics).chain(own))?;
    }
    table.finish()
}
