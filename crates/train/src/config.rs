//! The configuration of a run, built once from the recipe, the command line and, with
//! `--resume`, the run's folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tch::Device;
use torchmill::recipe::{Precision, Recipe, RunRecord};
use torchmill::run::RunDir;
use torchmill::{Error, Result, pretrained, progress, recipe};
use torchmill_nn::distributed::Processes;
use torchmill_nn::{device, precision};

use crate::args::Args;
use crate::resume_point::{self, ResumePoint};
use crate::same_recipe::{check_same_recipe, check_same_start};

/// A run that is checked and ready to start.
pub struct Config {
    /// The recipe with everything resolved, as written to the run's config.toml.
    pub recipe: Recipe,
    /// The run's recipe so far, if it continues in its folder.
    pub before: Option<Recipe>,
    pub run_dir: RunDir,
    /// The checkpoint to continue from.
    pub resume: Option<PathBuf>,
    pub device: Device,
    /// When to stop, even if the run is not done.
    pub max_time: Option<Duration>,
}

/// Resolves the configuration. Nothing is written yet.
pub fn resolve(args: &Args, processes: &Processes) -> Result<Config> {
    let named = args.resume.as_deref().and_then(resume_point::named_run);
    let mut known = args.run.clone().or(named).map(RunDir::new);
    let inputs = input_files(args);
    // Lock the folder before looking at what is in it.
    if let Some(run_dir) = &mut known {
        run_dir.check_inputs(&inputs)?;
        lock(run_dir, processes)?;
    }
    let source = Source::of(args, known.as_ref())?;
    let (loaded, mut recipe) = source.load(args)?;
    let device = prepare_device(args, &mut recipe, processes)?;
    let mut run_dir = match known {
        Some(run_dir) => run_dir,
        None => RunDir::new(default_run_dir(&recipe)),
    };
    run_dir.check_inputs(&inputs)?;
    lock(&mut run_dir, processes)?;
    let continues = check_run_dir(args, &run_dir, &source)?;
    if source.point.is_none()
        && let Some(init) = &recipe.model.init
    {
        pretrained::check_fetched(init)?;
    }
    recipe.run = if continues || source.is_begun {
        loaded.run.clone()
    } else {
        RunRecord::default()
    };
    let resume = source.point.map(|point| point.checkpoint);
    if let (Some(checkpoint), false) = (&resume, continues) {
        // A run killed before its first checkpoint continues from this one.
        let path = checkpoint.canonicalize().unwrap_or_else(|_| checkpoint.clone());
        recipe.run.branched_from = Some(path);
    }
    let before = continues.then_some(loaded);
    Ok(Config { recipe, before, run_dir, resume, device, max_time: args.max_time })
}

/// The files that options name. The run must not overwrite them.
fn input_files(args: &Args) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = args.recipe.iter().map(PathBuf::from).collect();
    files.extend(args.init.clone());
    files
}

/// Locks the run's folder, in the process that writes it.
fn lock(run_dir: &mut RunDir, processes: &Processes) -> Result<()> {
    if processes.is_first() { run_dir.lock() } else { Ok(()) }
}

/// The command line for processes that torchrun has restarted: they continue their run.
pub fn restarted(mut args: Args) -> Result<Args> {
    if args.resume.is_some() {
        return Ok(args);
    }
    if args.run.is_none() {
        let recipe = args.override_recipe(&recipe::load(args.recipe())?)?;
        args.run = Some(default_run_dir(&recipe));
    }
    args.resume = Some(PathBuf::from(resume_point::LAST));
    Ok(args)
}

/// Where the recipe and the initial weights come from.
struct Source {
    /// The checkpoint to continue from.
    point: Option<ResumePoint>,
    /// The config.toml that replaces `--recipe`.
    config: Option<PathBuf>,
    /// Whether the run has started but was killed before its first checkpoint.
    is_begun: bool,
}

impl Source {
    fn of(args: &Args, known: Option<&RunDir>) -> Result<Self> {
        let Some(given) = &args.resume else {
            return Ok(Self { point: None, config: None, is_begun: false });
        };
        let found = resume_point::find(given, args.run.as_deref())?;
        let begun = known.filter(|run_dir| run_dir.config().exists());
        if let Some(point) = found {
            let own = begun.map(RunDir::config);
            let other = RunDir::new(point.run.clone()).config();
            // A branch that was killed has its own recipe.
            let is_begun = match (&own, begun) {
                (Some(own), Some(run_dir)) => {
                    *own != other && branches_from(run_dir, &point.checkpoint)?
                }
                _ => false,
            };
            let config = own.filter(|_| is_begun).unwrap_or(other);
            return Ok(Self { point: Some(point), config: Some(config), is_begun });
        }
        let Some(run_dir) = begun else {
            say_from_the_beginning(known);
            return Ok(Self { point: None, config: None, is_begun: false });
        };
        // A branch that was killed before its first checkpoint.
        let branched_from = recipe::read(&run_dir.config())?.run.branched_from;
        let point = branched_from.map(branch_point).transpose()?;
        if point.is_none() {
            say_from_the_beginning(known);
        }
        let config = run_dir.config();
        let keeps_recipe = args.recipe.is_none() || point.is_some();
        Ok(Self { point, config: keeps_recipe.then_some(config), is_begun: true })
    }

    /// Loads the recipe. Returns it as written, and resolved with the command line's
    /// options.
    fn load(&self, args: &Args) -> Result<(Recipe, Recipe)> {
        let loaded = match &self.config {
            Some(config) => recipe::read(config)?,
            None => recipe::load(args.recipe())?,
        };
        let resolved = torchmill_nn::recipe::resolve(&args.override_recipe(&loaded)?)?;
        if let (Some(_), Some(config)) = (&self.point, &self.config) {
            check_same_start(&loaded.model, &resolved.model)?;
            if let Some(name) = &args.recipe {
                let asked = args.override_recipe(&recipe::load(name)?)?;
                let asked = torchmill_nn::recipe::resolve(&asked)?;
                check_same_recipe(&asked, &resolved, name, config)?;
            }
        }
        Ok((loaded, resolved))
    }
}

fn say_from_the_beginning(run_dir: Option<&RunDir>) {
    if let Some(run_dir) = run_dir {
        progress::note(format_args!(
            "{} has no checkpoint yet: starting from the beginning",
            run_dir.path().display()
        ));
    }
}

/// The checkpoint that a killed branch started from.
fn branch_point(checkpoint: PathBuf) -> Result<ResumePoint> {
    resume_point::find(&checkpoint, None)?.ok_or_else(|| {
        Error::failed(format_args!(
            "{}, which the run branches off from, is no longer there",
            checkpoint.display()
        ))
    })
}

/// Whether a run branched off from this checkpoint and has no checkpoint of its own.
fn branches_from(run_dir: &RunDir, checkpoint: &Path) -> Result<bool> {
    if resume_point::last_checkpoint(run_dir.path())?.is_some() {
        return Ok(false);
    }
    let branched_from = recipe::read(&run_dir.config())?.run.branched_from;
    Ok(branched_from.is_some_and(|path| is_same(&path, checkpoint)))
}

/// The default folder, `runs/RECIPE-DATASET`.
fn default_run_dir(recipe: &Recipe) -> PathBuf {
    let shards = recipe.data.shards.as_deref().and_then(Path::file_name);
    let shards = shards.map(|name| name.to_string_lossy()).unwrap_or_default();
    Path::new("runs").join(format!("{}-{shards}", recipe.name))
}

/// Finds the device, sets the number of threads and resolves the precision.
pub fn prepare_device(
    args: &Args,
    recipe: &mut Recipe,
    processes: &Processes,
) -> Result<Device> {
    let asked = recipe.train.precision;
    precision::prepare(asked);
    let device = device::resolve(args.device)?;
    let device = own_gpu(device, processes.local_rank(), tch::Cuda::device_count);
    processes.use_nccl(device)?;
    if let Some(threads) = args.threads {
        tch::set_num_threads(threads);
    }
    recipe.train.precision = precision::resolve(asked, device)?;
    if asked == Precision::Auto {
        let reason = precision::reason(recipe.train.precision, device);
        progress::note(format_args!("precision {reason}"));
    }
    Ok(device)
}

/// The GPU of this process. The processes on a machine use one GPU each, starting with
/// the first. If the launcher shows each process only its own GPU, that is the first for
/// all. If the command line names any GPU but the first, all processes use it.
fn own_gpu(found: Device, local_rank: Option<u32>, count: impl Fn() -> i64) -> Device {
    match (found, local_rank) {
        (Device::Cuda(0), Some(local_rank)) => {
            Device::Cuda(local_rank as usize % count().max(1) as usize)
        }
        _ => found,
    }
}

/// Fails if the folder holds another run, or if the run would continue from an earlier
/// checkpoint than its last. Returns whether the run continues in its own folder.
fn check_run_dir(args: &Args, run_dir: &RunDir, source: &Source) -> Result<bool> {
    let Some(point) = &source.point else {
        // With `--resume` but no checkpoint, the run was killed before its first one and
        // starts again.
        if args.resume.is_none() {
            run_dir.check_free()?;
        }
        return Ok(false);
    };
    if !is_same(&point.run, run_dir.path()) {
        if !source.is_begun {
            run_dir.check_free()?;
        }
        return Ok(false);
    }
    if point.is_named {
        // Continuing from an earlier one would overwrite the later ones.
        let last = resume_point::last_checkpoint(&point.run)?;
        if last.is_some_and(|last| last.file_name() != point.checkpoint.file_name()) {
            return Err(Error::usage(format_args!(
                "{} is not its run's last checkpoint: give a new --run to branch off \
                 there",
                point.checkpoint.display()
            )));
        }
    }
    Ok(true)
}

/// Whether two paths lead to the same file or folder.
fn is_same(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_on_a_machine_has_its_own_gpu() {
        let of = |found, local_rank, count| own_gpu(found, local_rank, || count);
        assert_eq!(of(Device::Cuda(0), Some(3), 8), Device::Cuda(3));
        // The launcher shows each process only its own GPU, or there are too few.
        assert_eq!(of(Device::Cuda(0), Some(3), 1), Device::Cuda(0));
        assert_eq!(of(Device::Cuda(0), Some(3), 2), Device::Cuda(1));
        assert_eq!(of(Device::Cuda(2), Some(3), 8), Device::Cuda(2));
        assert_eq!(of(Device::Cuda(0), None, 8), Device::Cuda(0));
        assert_eq!(of(Device::Cpu, Some(3), 8), Device::Cpu);
    }
}
