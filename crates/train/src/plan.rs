//! What is to be done, put together from the recipe, the command line and, on `--resume`, the run folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tch::Device;
use torchmill::recipe::{Model, Precision, Recipe};
use torchmill::{Error, Result, progress, recipe};
use torchmill_nn::{device, precision};

use crate::args::Args;
use crate::folder::{CONFIG, RunFolder};

/// A run, ready to start.
pub struct Plan {
    /// The recipe with everything resolved: it is the run's config.toml.
    pub recipe: Recipe,
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
    let from = args.resume.as_deref().filter(|c| *c != Path::new("last")).map(run_of);
    let mut known = args.run.clone().or(from).map(RunFolder::new);
    known.as_mut().map_or(Ok(()), RunFolder::lock)?;
    let resume =
        args.resume.as_deref().map(|c| find_checkpoint(c, args.run.as_deref())).transpose()?.flatten();
    let recipe = match &resume {
        Some((run, _)) => recipe::load(&run.join(CONFIG).to_string_lossy())?,
        // A run that was killed before its first checkpoint has its recipe already.
        None => match args.run.as_ref().map(|run| run.join(CONFIG)).filter(|config| config.exists()) {
            Some(config) if args.resume.is_some() && args.recipe.is_none() => {
                recipe::load(&config.to_string_lossy())?
            }
            _ => recipe::load(args.recipe())?,
        },
    };
    let loaded = recipe;
    let mut recipe = args.override_recipe(&loaded)?;
    if resume.is_some() {
        same_start(&loaded.model, &recipe.model)?;
    }
    precision::prepare(recipe.train.precision);
    let device = device::resolve(args.device)?;
    if let Some(threads) = args.threads {
        tch::set_num_threads(threads);
    }
    let precision = precision::resolve(recipe.train.precision, device)?;
    if std::mem::replace(&mut recipe.train.precision, precision) == Precision::Auto {
        progress::note(format_args!("precision {}", precision::reason(precision, device)));
    }
    let mut folder = known.unwrap_or_else(|| {
        let data = recipe.data.shards.as_deref().and_then(Path::file_name).map(|n| n.to_string_lossy());
        RunFolder::new(Path::new("runs").join(format!("{}-{}", recipe.name, data.unwrap_or_default())))
    });
    folder.lock()?;
    let resumes_elsewhere = resume.as_ref().is_some_and(|(run, _)| !is_same(run, folder.path()));
    // `--resume` without a checkpoint is a run that was killed before its first: it begins again.
    if args.resume.is_none() || resumes_elsewhere {
        folder.must_be_free()?;
    }
    if let Some((run, checkpoint)) = resume.as_ref().filter(|_| !resumes_elsewhere) {
        // Going on from an earlier one would overwrite what came after it.
        let last = RunFolder::new(run.clone()).last()?;
        if last.as_ref().is_some_and(|last| last.file_name() != checkpoint.file_name()) {
            return Err(Error::usage(format_args!(
                "{} is not its run's last checkpoint: give a new --run to branch off there",
                checkpoint.display()
            )));
        }
    }
    Ok(Plan {
        recipe,
        folder,
        resume: resume.map(|(_, checkpoint)| checkpoint),
        device,
        max_time: args.max_time,
    })
}

/// A run that goes on has started: the options for that may be there, so that one command line serves for all tries
/// of a job, but they must not say anything else.
fn same_start(run: &Model, asked: &Model) -> Result<()> {
    let differs = [
        ("architecture", run.architecture != asked.architecture),
        ("init", run.init != asked.init),
        ("init-except", run.init_except != asked.init_except),
        ("freeze", run.freeze != asked.freeze),
    ];
    match differs.iter().find(|(_, differs)| *differs) {
        Some((option, _)) => Err(Error::usage(format_args!(
            "--{option} is for the start of a run, and this one has started with another (see its config.toml): start a new --run with --init and the checkpoint"
        ))),
        None => Ok(()),
    }
}

/// Whether two paths lead to one folder.
fn is_same(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

/// The folder of the run that a checkpoint belongs to.
fn run_of(checkpoint: &Path) -> PathBuf {
    checkpoint.parent().and_then(Path::parent).map(Path::to_path_buf).unwrap_or_default()
}

/// The run folder and checkpoint that `--resume` means; `None` where the run has none yet, so that the same
/// command line starts a run and, after a crash, goes on with it.
fn find_checkpoint(given: &Path, run: Option<&Path>) -> Result<Option<(PathBuf, PathBuf)>> {
    if given != Path::new("last") {
        let run = run_of(given);
        if !run.join(CONFIG).exists() {
            return Err(Error::failed(format_args!(
                "{} is not in a run's checkpoints folder, so there is no config.toml to go on with (--init takes weights alone)",
                given.display()
            )));
        }
        return Ok(Some((run, given.to_path_buf())));
    }
    let run = run.ok_or_else(|| Error::usage("--resume needs --run DIR, or the checkpoint to go on from"))?;
    let last = RunFolder::new(run.to_path_buf()).last()?;
    if last.is_none() {
        progress::note(format_args!("{} has no checkpoint yet: starting from the beginning", run.display()));
    }
    Ok(last.map(|checkpoint| (run.to_path_buf(), checkpoint)))
}
