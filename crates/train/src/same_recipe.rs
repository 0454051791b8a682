//! A resumed run uses the recipe in its config.toml. A recipe on the command line would
//! be ignored, so it must be the same one. Then the same command line works before and
//! after a crash.

use std::path::Path;

use torchmill::recipe::{Model, Precision, Recipe, settings};
use torchmill::{Error, Result};

/// Longer values are not shown: they do not help to see the difference.
const LONGEST: usize = 40;

/// Fails if options for the start of a run contradict the run's config.toml. Both models
/// have the command line's options applied.
pub fn check_same_start(run: &Model, asked: &Model) -> Result<()> {
    let differs = [
        ("architecture", run.architecture != asked.architecture),
        ("init", run.init != asked.init),
        ("init-except", run.init_except != asked.init_except),
        ("freeze", run.freeze != asked.freeze),
    ];
    match differs.iter().find(|(_, differs)| *differs) {
        Some((option, _)) => Err(Error::usage(format_args!(
            "--{option} is for the start of a run, and this one has started with \
             another (see its config.toml): start a new --run with --init and the \
             checkpoint"
        ))),
        None => Ok(()),
    }
}

/// Fails if a `--recipe`, called `name`, differs from the run's in `config`. Both recipes
/// have the command line's options applied.
pub fn check_same_recipe(
    asked: &Recipe,
    run: &Recipe,
    name: &str,
    config: &Path,
) -> Result<()> {
    let asked = settled(asked, run);
    let asked = settings(&asked.to_toml_without_run()?)?;
    let run = settings(&run.to_toml_without_run()?)?;
    let mut keys: Vec<&String> =
        asked.keys().chain(run.keys()).filter(|k| asked.get(*k) != run.get(*k)).collect();
    keys.sort();
    keys.dedup();
    let Some(key) = keys.first() else { return Ok(()) };
    let value = |value: Option<String>| match value {
        None => "not there".to_owned(),
        Some(text) if text.len() > LONGEST => "another".to_owned(),
        Some(text) => text,
    };
    let more = if keys.len() > 1 {
        format!(" (and {} more differ)", keys.len() - 1)
    } else {
        String::new()
    };
    Err(Error::usage(format_args!(
        "--recipe {name} is not what this run goes on with: {key} is {} in it, {} in \
         {}{more}; leave --recipe out (--set {key}=VALUE changes it), or give the \
         options that the run was started with",
        value(asked.get(*key).map(ToString::to_string)),
        value(run.get(*key).map(ToString::to_string)),
        config.display()
    )))
}

/// The recipe, with the values that are decided when a run starts copied from the run.
fn settled(asked: &Recipe, run: &Recipe) -> Recipe {
    let mut asked = asked.clone();
    // The shards determine what was done to the images.
    asked.transforms.clone_from(&run.transforms);
    asked.description.clone_from(&run.description);
    asked.data.shards = asked.data.shards.or_else(|| run.data.shards.clone());
    asked.data.validation = asked.data.validation.or_else(|| run.data.validation.clone());
    if asked.train.precision == Precision::Auto {
        asked.train.precision = run.train.precision;
    }
    asked
}

#[cfg(test)]
mod tests {
    use torchmill::recipe::load;

    use super::*;

    #[test]
    fn what_a_run_settles_is_no_difference() {
        let asked = load("cifar10-fast").unwrap();
        let mut run = asked.clone();
        run.transforms.test = "ToTensor".into();
        run.data.shards = Some("shards".into());
        run.data.validation = Some(torchmill::recipe::Validation::Split("val".into()));
        let check = |run: &Recipe| {
            check_same_recipe(&asked, run, "mine.toml", Path::new("r/config.toml"))
        };
        check(&run).unwrap();
        run.train.seed += 1;
        let error = check(&run).unwrap_err().to_string();
        assert!(
            error.contains("mine.toml")
                && error.contains("train.seed is 0 in it, 1 in r/config.toml"),
            "{error}"
        );
        assert!(!error.contains("more differ"), "{error}");
        run.train.epochs += 1;
        assert!(check(&run).unwrap_err().to_string().contains("(and 1 more differ)"));
    }
}
