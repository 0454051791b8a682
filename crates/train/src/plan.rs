//! What is to be done, put together from the recipe, the command line and, on `--resume`,
//! the run folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tch::Device;
use torchmill::recipe::{Precision, Recipe};
use torchmill::{Error, Result, progress, recipe};
use torchmill_nn::{device, model, precision};

use crate::args::Args;
use crate::find;
use crate::folder::{CONFIG, RunFolder};
use crate::same_recipe::{same_recipe, same_start};

/// A run, ready to start.
pub struct Plan {
    /// The recipe with everything resolved: it is the run's config.toml.
    pub recipe: Recipe,
    /// The recipe that the folder's run has had until now, where it goes on.
    pub before: Option<Recipe>,
    /// The run's folder.
    pub folder: RunFolder,
    /// The checkpoint to go on from.
    pub resume: Option<PathBuf>,
    /// Where to compute.
    pub device: Device,
    /// When to stop for now, whatever is left to do.
    pub max_time: Option<Duration>,
}

/// Puts the plan together. Nothing is written yet.
pub fn resolve(args: &Args) -> Result<Plan> {
    // The lock comes before the look at what is there.
    let given = args.resume.as_deref();
    let mut known = args.run.clone().or(given.and_then(find::run_of)).map(RunFolder::new);
    known.as_mut().map_or(Ok(()), RunFolder::lock)?;
    let resume = given
        .map(|given| find::checkpoint(given, args.run.as_deref()))
        .transpose()?
        .flatten();
    // A run that was killed before its first checkpoint has its recipe already.
    let begun = known
        .as_ref()
        .map(|run| run.path().join(CONFIG))
        .filter(|config| config.exists());
    let config = match &resume {
        Some(found) => Some(found.run.join(CONFIG)),
        None => begun.filter(|_| given.is_some() && args.recipe.is_none()),
    };
    let loaded = match &config {
        Some(config) => recipe::load(&config.to_string_lossy())?,
        None => recipe::load(args.recipe())?,
    };
    let mut recipe = args.override_recipe(&loaded)?;
    recipe.model = model::complete(&recipe.model)?;
    if let (Some(_), Some(config)) = (&resume, &config) {
        same_start(&loaded.model, &recipe.model)?;
        if let Some(name) = &args.recipe {
            let mut asked = args.override_recipe(&recipe::load(name)?)?;
            asked.model = model::complete(&asked.model)?;
            same_recipe(&asked, &recipe, name, config)?;
        }
    }
    precision::prepare(recipe.train.precision);
    let device = device::resolve(args.device)?;
    if let Some(threads) = args.threads {
        tch::set_num_threads(threads);
    }
    let precision = precision::resolve(recipe.train.precision, device)?;
    if std::mem::replace(&mut recipe.train.precision, precision) == Precision::Auto {
        progress::note(format_args!(
            "precision {}",
            precision::reason(precision, device)
        ));
    }
    let mut folder = known.unwrap_or_else(|| {
        let data = recipe
            .data
            .shards
            .as_deref()
            .and_then(Path::file_name)
            .map(|n| n.to_string_lossy());
        RunFolder::new(Path::new("runs").join(format!(
            "{}-{}",
            recipe.name,
            data.unwrap_or_default()
        )))
    });
    folder.lock()?;
    let resumes_elsewhere =
        resume.as_ref().is_some_and(|found| !is_same(&found.run, folder.path()));
    // `--resume` without a checkpoint is a run that was killed before its first: it
    // begins again.
    if given.is_none() || resumes_elsewhere {
        folder.must_be_free()?;
    }
    let goes_on = resume.as_ref().filter(|_| !resumes_elsewhere);
    if let Some(found) = goes_on.filter(|found| found.named) {
        // Going on from an earlier one would overwrite what came after it.
        let last = find::last_of(&found.run)?;
        if last
            .as_ref()
            .is_some_and(|last| last.file_name() != found.checkpoint.file_name())
        {
            return Err(Error::usage(format_args!(
                "{} is not its run's last checkpoint: give a new --run to branch off there",
                found.checkpoint.display()
            )));
        }
    }
    Ok(Plan {
        recipe,
        before: goes_on.map(|_| loaded),
        folder,
        resume: resume.map(|found| found.checkpoint),
        device,
        max_time: args.max_time,
    })
}

/// Whether two paths lead to one folder.
fn is_same(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}
