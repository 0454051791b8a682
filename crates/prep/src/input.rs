//! The inputs on the command line as one data set.

use std::io::IsTerminal;
use std::path::Path;

use torchmill::dataset::{Dataset, OpenOptions, UNSPLIT};
use torchmill::{Context, Error, Result, progress, suggest};

use crate::args::Args;

/// Opens every input, splits what has no test split, joins them and selects the classes
/// and images.
pub fn open(args: &Args) -> Result<Dataset> {
    let options = OpenOptions {
        split_dirs: args.select.split_dirs.clone().unwrap_or_default(),
        extensions: args.select.extensions.clone().unwrap_or_default(),
    };
    let mut sets = Vec::new();
    for path in &args.inputs {
        sets.push(open_one(path, &options)?);
    }
    split(&mut sets, args)?;
    let mut set = Dataset::concat(sets)?;
    if !args.select.classes.is_empty() {
        set.keep_classes(&args.select.classes)?;
    }
    if let Some(limit) = args.select.limit {
        set.limit(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    set.check(&args.select.split)?;
    set.notes.drain(..).for_each(|note| progress::note(format_args!("note: {note}")));
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

/// Gives a test split to the data sets that have none, as `--test-fraction` or
/// `--test-list` says.
fn split(sets: &mut [Dataset], args: &Args) -> Result<()> {
    let fraction = args.select.test_fraction;
    let unsplit = sets.iter().filter(|s| s.is_unsplit()).count();
    let asked = fraction.is_some_and(|f| f > 0.0) || args.select.test_list.is_some();
    if unsplit == 0 && asked {
        return Err(Error::usage(
            "--test-fraction and --test-list are for data without a test split, and every input has one",
        ));
    }
    if let Some(path) = &args.select.test_list {
        let [set] = sets else {
            return Err(Error::usage("--test-list takes a single input"));
        };
        let text = std::fs::read_to_string(path).doing("read", path)?;
        let listed = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        return set.split_by_list(&listed).map_err(|e| e.within(path.display()));
    }
    for set in sets {
        if set.is_unsplit() {
            if fraction.is_none() && set.splits.contains_key(UNSPLIT) {
                set.notes.push(format!(
                    "{} has no test split, all of it is train; --test-fraction 0.2 would make one",
                    set.name
                ));
            }
            set.split(fraction.unwrap_or(0.0), args.select.seed)?;
        }
    }
    Ok(())
}

/// The splits to write, in order: those asked for, or all, train first.
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
    if let Some(empty) =
        splits.iter().find(|s| set.splits.get(*s).is_none_or(Vec::is_empty))
    {
        return Err(Error::usage(format_args!(
            "the split `{empty}` holds no images of these classes"
        )));
    }
    Ok(splits)
}
