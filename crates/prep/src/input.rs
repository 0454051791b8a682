//! The inputs on the command line as one data set.

use std::io::IsTerminal;
use std::path::Path;

use torchmill::dataset::{Dataset, OpenOptions, UNSPLIT};
use torchmill::{Context, Error, Result, progress, suggest};

use crate::config::{Config, TestSplit};

/// Opens every input, gives a test split to those without one, joins them, and selects
/// the classes and images.
pub fn open(config: &Config) -> Result<Dataset> {
    let mut sets = Vec::new();
    for path in &config.inputs {
        sets.push(open_one(path, &config.open)?);
    }
    split(&mut sets, config)?;
    let mut set = Dataset::concat(sets)?;
    if !config.classes.is_empty() {
        set.keep_classes(&config.classes)?;
    }
    if let Some(limit) = config.limit {
        set.limit(limit);
    }
    set.check(&config.splits)?;
    for note in set.notes.drain(..) {
        progress::note(format_args!("note: {note}"));
    }
    Ok(set)
}

fn open_one(path: &Path, options: &OpenOptions) -> Result<Dataset> {
    if path == Path::new("-") {
        let mut stdin = std::io::stdin().lock();
        if stdin.is_terminal() {
            progress::note(
                "reading paths, one per line, from the terminal; end with Ctrl-D",
            );
        }
        return Dataset::from_lines(&mut stdin, "standard input", Path::new(""));
    }
    let is_list = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("csv") || e.eq_ignore_ascii_case("tsv"));
    if is_list && !path.is_dir() {
        Dataset::from_csv(path)
    } else {
        Dataset::open_with(path, options)
    }
}

/// Gives a test split to the data sets that have none.
fn split(sets: &mut [Dataset], config: &Config) -> Result<()> {
    let is_split = !sets.iter().any(Dataset::is_unsplit);
    let fraction = match &config.test_split {
        TestSplit::Fraction(fraction) => *fraction,
        TestSplit::AsFound | TestSplit::List(_) => 0.0,
    };
    if is_split && (fraction > 0.0 || matches!(config.test_split, TestSplit::List(_))) {
        return Err(Error::usage(
            "--test-fraction and --test-list are for data without a test split, and \
             every input has one",
        ));
    }
    if let TestSplit::List(path) = &config.test_split {
        let [set] = sets else {
            return Err(Error::usage("--test-list takes a single input"));
        };
        return split_by_list(set, path);
    }
    for set in sets.iter_mut().filter(|set| set.is_unsplit()) {
        let is_chosen = matches!(config.test_split, TestSplit::Fraction(_));
        if !is_chosen && set.splits.contains_key(UNSPLIT) {
            set.notes.push(format!(
                "{} has no test split, all of it is train; --test-fraction 0.2 would make \
                 one",
                set.name
            ));
        }
        set.split(fraction, config.seed)?;
    }
    Ok(())
}

/// Makes the images that a file lists, one path a line, the test split.
fn split_by_list(set: &mut Dataset, path: &Path) -> Result<()> {
    let text = std::fs::read_to_string(path).doing("read", path)?;
    let listed = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    set.split_by_list(&listed).map_err(|e| e.within(path.display()))
}

/// The splits to write: these, or all if none are named; train first.
pub fn splits(set: &Dataset, wanted: &[String]) -> Result<Vec<String>> {
    let known: Vec<_> = set.splits.keys().cloned().collect();
    if let Some(missing) = wanted.iter().find(|w| !set.splits.contains_key(*w)) {
        let hint = suggest::did_you_mean(missing, known.iter().map(String::as_str));
        return Err(Error::usage(format_args!(
            "there is no split `{missing}`, only {}{hint}",
            known.join(", ")
        )));
    }
    let mut splits = if wanted.is_empty() { known } else { wanted.to_vec() };
    splits.sort_by_key(|s| (s != "train", s.clone()));
    splits.dedup();
    if let Some(empty) = splits.iter().find(|split| set.splits[*split].is_empty()) {
        return Err(Error::usage(format_args!(
            "the split `{empty}` holds no images of these classes"
        )));
    }
    Ok(splits)
}
