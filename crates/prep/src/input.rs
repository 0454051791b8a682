//! The inputs on the command line as one data set.

use torchmill::dataset::{Dataset, UNSPLIT};
use torchmill::{Error, Result, progress};

use crate::args::Args;

/// Opens every input, splits what has no test split, and joins them.
pub fn open(args: &Args) -> Result<Dataset> {
    let mut sets = args.inputs.iter().map(|path| Dataset::open(path)).collect::<Result<Vec<_>>>()?;
    split(&mut sets, args)?;
    let mut set = Dataset::concat(sets)?;
    set.notes.drain(..).for_each(|note| progress::note(format_args!("note: {note}")));
    Ok(set)
}

/// Gives a test split to the data sets that have none, as `--test-fraction` says.
fn split(sets: &mut [Dataset], args: &Args) -> Result<()> {
    let fraction = args.select.test_fraction;
    let unsplit = sets.iter().filter(|s| s.is_unsplit()).count();
    if unsplit == 0 && fraction.is_some_and(|f| f > 0.0) {
        return Err(Error::usage(
            "--test-fraction is for data without a test split, and every input has one: leave it out",
        ));
    }
    for set in sets {
        if set.is_unsplit() {
            if fraction.is_none() && set.splits.contains_key(UNSPLIT) {
                set.notes.push(format!(
                    "{} has no test split, all of it is train; --test-fraction 0.2 would make one",
                    set.name
                ));
            }
            set.split(fraction.unwrap_or(0.0), args.select.seed);
        }
    }
    Ok(())
}

/// The splits to write, in order: those asked for, or all, train first.
pub fn splits(set: &Dataset, wanted: &[String]) -> Result<Vec<String>> {
    let known: Vec<_> = set.splits.keys().cloned().collect();
    if let Some(missing) = wanted.iter().find(|w| !set.splits.contains_key(*w)) {
        return Err(Error::usage(format_args!("there is no split `{missing}`, only {}", known.join(", "))));
    }
    let mut splits = if wanted.is_empty() { known } else { wanted.to_vec() };
    splits.sort_by_key(|s| (s != "train", s.clone()));
    splits.dedup();
    Ok(splits)
}
