//! What is to be done, put together from the recipe, the command line and, on `--resume`, the run folder.

use std::path::{Path, PathBuf};

use tch::Device;
use torchmill::recipe::{Precision, Recipe};
use torchmill::{Error, Result, progress, recipe};
use torchmill_nn::loader::Dataset;
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
    /// Save in the middle of epochs, too, every so many steps.
    pub save_every: Option<u64>,
    /// Whether checkpoints leave out the network's structure.
    pub weights_only: bool,
}

/// The images of a run.
pub struct Data {
    /// To train on.
    pub train: Dataset,
    /// To evaluate on after each epoch.
    pub test: Dataset,
}

/// Puts the plan together. Nothing is written yet.
pub fn resolve(args: &Args) -> Result<Plan> {
    let resume =
        args.resume.as_deref().map(|c| find_checkpoint(c, args.run.as_deref())).transpose()?.flatten();
    let mut recipe = match &resume {
        Some((run, _)) => recipe::load(&run.join(CONFIG).to_string_lossy())?,
        None => recipe::load(&args.recipe)?,
    };
    args.override_recipe(&mut recipe)?;
    precision::prepare(recipe.train.precision);
    let device = device::resolve(&args.device)?;
    if let Some(threads) = args.threads {
        tch::set_num_threads(threads);
    }
    let precision = precision::resolve(recipe.train.precision, device)?;
    if std::mem::replace(&mut recipe.train.precision, precision) == Precision::Auto {
        progress::note(
            format_args!("precision: {:?} is the fastest here", recipe.train.precision)
                .to_string()
                .to_lowercase(),
        );
    }
    let folder = match (&args.run, &resume) {
        (Some(run), _) => run.clone(),
        (None, Some((run, _))) => run.clone(),
        (None, None) => {
            let data = recipe.data.shards.as_deref().and_then(Path::file_name).map(|n| n.to_string_lossy());
            Path::new("runs").join(format!("{}-{}", recipe.name, data.unwrap_or_default()))
        }
    };
    let resumes_elsewhere = resume.as_ref().is_some_and(|(run, _)| !is_same(run, &folder));
    let folder = RunFolder::new(folder);
    // `--resume` without a checkpoint is a run that was killed before its first: it begins again.
    if (args.resume.is_none() || resumes_elsewhere) && folder.is_taken() {
        return Err(Error::usage(format_args!(
            "{} already holds a run: give another --run, or go on with it by --resume",
            folder.path().display()
        )));
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
        save_every: args.save_every,
        weights_only: args.weights_only,
    })
}

/// Whether two paths lead to one folder.
fn is_same(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

/// The run folder and checkpoint that `--resume` means; `None` where the run has none yet, so that the same
/// command line starts a run and, after a crash, goes on with it.
fn find_checkpoint(given: &Path, run: Option<&Path>) -> Result<Option<(PathBuf, PathBuf)>> {
    if given != Path::new("last") {
        let run = given.parent().and_then(Path::parent).map(Path::to_path_buf).unwrap_or_default();
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

impl Plan {
    /// Opens and checks the shards, and settles on their pipeline: it is what has been done to the images.
    pub fn open_data(&self) -> Result<Data> {
        let folder = self.recipe.data.shards.as_deref();
        let folder =
            folder.ok_or_else(|| Error::usage("where are the shards? give --data DIR (prep writes them)"))?;
        let open = |split: &str, asked: &str| {
            let dataset = Dataset::open(folder, split)?;
            let done = &dataset.set().meta().pipeline;
            if done != asked {
                progress::note(format_args!(
                    "note: the {split} shards were prepared with `{done}`, not the recipe's `{asked}`; that is what is used"
                ));
            }
            Ok(dataset)
        };
        let transforms = &self.recipe.transforms;
        let data = Data { train: open("train", &transforms.train)?, test: open("test", &transforms.test)? };
        let (train, test) = (data.train.set().meta(), data.test.set().meta());
        if train.classes != test.classes {
            return Err(Error::failed(format_args!(
                "{}: the train and test shards differ in classes",
                folder.display()
            )));
        }
        let (train, test) = (data.train.image_shape()?, data.test.image_shape()?);
        if train != test {
            return Err(Error::failed(format_args!(
                "{}: training images are {train:?}, test images {test:?}",
                folder.display()
            )));
        }
        Ok(data)
    }
}
