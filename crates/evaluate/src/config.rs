//! The checked command line. Nothing after this uses [`Args`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use torchmill::device::Device;
use torchmill::output::Outputs;
use torchmill::recipe::{Precision, Tta};
use torchmill::run::{self, RunDir};
use torchmill::{Error, Result};

use crate::args::{Args, Format};
use crate::inputs::{ImageSource, Inputs};

/// The task of the program.
#[derive(Debug)]
pub enum Command {
    /// `--compare`: print a table of runs.
    Compare(CompareConfig),
    /// Evaluate checkpoints on shards or images.
    Evaluate(Box<Config>),
}

/// The settings of `--compare`.
#[derive(Debug)]
pub struct CompareConfig {
    /// Folders of runs, or folders that contain runs.
    pub folders: Vec<PathBuf>,
    /// The metric to sort by, if given.
    pub sort: Option<String>,
    /// The output format of the table.
    pub format: Format,
    /// `--html`: the file for a page with the table and the curves.
    pub html: Option<PathBuf>,
}

/// The settings of an evaluation.
#[derive(Debug)]
pub struct Config {
    /// Checkpoint files, at least one.
    pub checkpoints: Vec<PathBuf>,
    /// Where images come from; empty if checkpoints are evaluated on shards.
    pub images: Vec<ImageSource>,
    /// `--data`: the folder of shards, if not the run's.
    pub data: Option<PathBuf>,
    /// The split to evaluate on.
    pub split: String,
    /// The recipe or architecture of a state dict.
    pub model: Option<String>,
    /// Patterns for state dict names to ignore.
    pub except: Vec<String>,
    /// A file with the class names for a state dict.
    pub classes: Option<PathBuf>,
    /// The batch size for the total loss, if not the training's.
    pub batch_size: Option<usize>,
    /// The arithmetic that the layers compute in.
    pub precision: Precision,
    /// The device that the layers compute on.
    pub device: Device,
    /// Test-time augmentation: the copies of each image whose outputs are averaged.
    pub tta: Option<Tta>,
    /// The pipeline for images, if not the checkpoint's.
    pub transform: Option<String>,
    /// Whether images that cannot be read are skipped.
    pub skip_bad: bool,
    /// The `k`s of top-k accuracy. On images, the largest is the number of classes shown.
    pub top_k: Vec<usize>,
    /// The output format of the results.
    pub format: Format,
    /// Whether the results include each class's scores and the confusion matrix.
    pub report: bool,
    /// `--predictions`: the file for each image's probabilities.
    pub predictions: Option<PathBuf>,
    /// `--html`: the file for the page.
    pub html: Option<PathBuf>,
    /// `--samples`: the folder for pictures of sample images.
    pub samples: Option<PathBuf>,
    /// `--export`: the file for the exported network.
    pub export: Option<Export>,
}

/// A network exported for other programs.
#[derive(Debug)]
pub struct Export {
    /// The file.
    pub file: PathBuf,
    /// The format of the file.
    pub format: ExportFormat,
}

/// The format that `--export` writes, determined by the file extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// An ONNX network whose input is the output of the pipeline.
    Onnx,
    /// An ONNX network whose input is bytes: `--preprocess`.
    OnnxOfBytes,
    /// A state dict in the format of torch.save.
    TorchSave,
}

impl Command {
    /// Sorts and checks the arguments.
    ///
    /// # Errors
    /// If options and arguments do not fit together, or a checkpoint does not exist.
    pub fn new(args: Args) -> Result<Self> {
        if args.compare {
            return Ok(Self::Compare(CompareConfig {
                folders: args.inputs,
                sort: args.sort,
                format: args.format,
                html: args.html,
            }));
        }
        let Inputs { checkpoints, images } = Inputs::sort(&args.inputs)?;
        let config = Config {
            checkpoints,
            images,
            data: args.data,
            split: args.split,
            model: args.model,
            except: args.except,
            classes: args.classes,
            batch_size: args.batch_size.map(|n| n as usize),
            precision: args.precision,
            device: args.device,
            tta: args.tta,
            transform: args.transform,
            skip_bad: args.skip_bad,
            top_k: args.top_k.iter().map(|&k| k as usize).collect(),
            format: args.format,
            report: args.report,
            predictions: args.predictions,
            html: args.html,
            samples: args.samples,
            export: args
                .export
                .map(|file| Export::new(file, args.preprocess))
                .transpose()?,
        };
        config.check()?;
        Ok(Self::Evaluate(Box::new(config)))
    }
}

impl Config {
    /// Whether the predictions or the page are written to standard output.
    pub fn writes_to_stdout(&self) -> bool {
        is_stdout(self.predictions.as_deref()) || is_stdout(self.html.as_deref())
    }

    /// The files to be written. Shards and images are checked against them as they are
    /// found.
    ///
    /// # Errors
    /// If two of them are the same file.
    pub fn outputs(&self) -> Result<Outputs> {
        let mut outputs = Outputs::default();
        for (option, file) in
            [("--predictions", &self.predictions), ("--html", &self.html)]
        {
            let Some(file) = file else { continue };
            if !is_stdout(Some(file)) {
                outputs.add(option, file)?;
            }
        }
        if let Some(export) = &self.export {
            outputs.add("--export", &export.file)?;
        }
        if let Some(folder) = &self.samples {
            let pictures: BTreeSet<PathBuf> = self
                .checkpoints
                .iter()
                .map(|checkpoint| sample_picture(folder, checkpoint))
                .collect();
            for picture in pictures {
                outputs.add("--samples:", &picture)?;
            }
        }
        Ok(outputs)
    }

    /// The inputs known in advance: checkpoints, the files of their runs, and the files
    /// that options name.
    fn input_files(&self) -> Vec<PathBuf> {
        let mut files = self.checkpoints.clone();
        for checkpoint in &self.checkpoints {
            files.push(run::state_path(checkpoint));
            if let Some(run_dir) = RunDir::of_checkpoint(checkpoint) {
                files.extend([run_dir.config(), run_dir.metrics(), run_dir.log()]);
            }
        }
        files.extend(self.classes.clone());
        files.extend(self.model.as_ref().map(PathBuf::from));
        files
    }

    fn check_outputs(&self) -> Result<()> {
        let outputs = self.outputs()?;
        for file in self.input_files() {
            outputs.check_input(&file)?;
        }
        for image in &self.images {
            match image {
                ImageSource::File(path) => outputs.check_input(path)?,
                // These are checked as they are found.
                ImageSource::Folder(_) | ImageSource::Stdin => {}
            }
        }
        Ok(())
    }

    fn check_export(&self, export: &Export) -> Result<()> {
        if !self.images.is_empty() {
            return Err(Error::usage("--export is for a checkpoint, without images"));
        }
        if self.checkpoints.len() > 1 {
            return Err(Error::usage(format_args!(
                "--export {}: takes one checkpoint at a time",
                export.file.display()
            )));
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        self.check_outputs()?;
        if is_stdout(self.predictions.as_deref()) && is_stdout(self.html.as_deref()) {
            return Err(Error::usage(
                "--predictions and --html cannot both go to standard output (-)",
            ));
        }
        if let Some(export) = &self.export {
            self.check_export(export)?;
        }
        // A state dict's network is exported with its pipeline.
        let is_transformed = self.transform.is_some() && self.export.is_none();
        for (option, is_given) in
            [("--transform", is_transformed), ("--skip-bad", self.skip_bad)]
        {
            if is_given && self.images.is_empty() {
                return Err(Error::usage(format_args!(
                    "{option} is for images, and none are given: shards are as prep made \
                     them"
                )));
            }
        }
        for (option, file) in
            [("--predictions", &self.predictions), ("--html", &self.html)]
        {
            if file.is_some() && self.checkpoints.len() > 1 {
                return Err(Error::usage(format_args!(
                    "{option} takes one checkpoint at a time"
                )));
            }
        }
        Ok(())
    }
}

/// The picture that `--samples` draws for a checkpoint. It is named after the target if
/// the checkpoint is a link, such as `last.safetensors`.
pub fn sample_picture(folder: &Path, checkpoint: &Path) -> PathBuf {
    folder.join(format!("{}.png", sample_name(checkpoint)))
}

/// The picture's file name without its extension.
pub fn sample_name(checkpoint: &Path) -> String {
    // A checkpoint that does not exist is an error when it is read.
    let file = checkpoint.canonicalize().unwrap_or_else(|_| checkpoint.to_owned());
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

impl Export {
    fn new(file: PathBuf, preprocess: bool) -> Result<Self> {
        let ending = file.extension().and_then(|ending| ending.to_str());
        let format = match ending {
            Some("onnx") if preprocess => ExportFormat::OnnxOfBytes,
            Some("onnx") => ExportFormat::Onnx,
            Some("pt" | "pth") if preprocess => {
                return Err(Error::usage(
                    "--preprocess is for .onnx: a state dict holds no pipeline",
                ));
            }
            Some("pt" | "pth") => ExportFormat::TorchSave,
            _ => {
                return Err(Error::usage(format_args!(
                    "--export {}: the extension must be .onnx or .pt",
                    file.display()
                )));
            }
        };
        Ok(Self { file, format })
    }
}

fn is_stdout(file: Option<&Path>) -> bool {
    file == Some(Path::new("-"))
}
