//! The checked settings from the command line. Code after this does not use [`Args`].

use std::path::{Path, PathBuf};

use torchmill::dataset::{Dataset, OpenOptions};
use torchmill::shard::DType;
use torchmill::{Error, Result, output};

use crate::args::{Args, Duplicates, Part};
use crate::file_names;
use crate::format::{self, Format};
use crate::pipelines::Pipelines;
use crate::storage::Store;

/// What the program is to do.
pub enum Command {
    /// `--inspect`: check shards and print what they hold.
    Inspect(InspectConfig),
    /// Read images and write them or describe them.
    Prepare(Box<Config>),
}

/// The settings of `--inspect`.
pub struct InspectConfig {
    /// The shards; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// Whether to print JSON.
    pub as_json: bool,
}

/// Where the images go.
pub enum Output {
    /// Nowhere: only `--preview` or `--show` is wanted.
    None,
    /// `--stats`: nowhere; their statistics are printed.
    Statistics {
        /// Whether as JSON.
        as_json: bool,
    },
    /// Into files in this folder.
    Folder(PathBuf),
    /// `-o -`: to standard output.
    Stream,
}

/// How data without a test split is divided.
pub enum TestSplit {
    /// As it is: all of it is the train split.
    AsFound,
    /// This share of each class becomes the test split.
    Fraction(f64),
    /// The images that this file lists become the test split.
    List(PathBuf),
}

/// The settings of every verb but `--inspect`.
pub struct Config {
    /// Folders and lists; `-` is standard input.
    pub inputs: Vec<PathBuf>,
    /// How folders are read.
    pub open: OpenOptions,
    /// The test split of data without one.
    pub test_split: TestSplit,
    /// The splits to write; empty for all.
    pub splits: Vec<String>,
    /// The classes to keep, in the order of their labels; empty for all.
    pub classes: Vec<String>,
    /// The maximum number of images in a split.
    pub limit: Option<usize>,
    /// The file that lists bad images. `None` if a bad image is an error.
    pub skip_bad: Option<PathBuf>,
    /// Whether an image whose decoder warns is bad.
    pub strict: bool,
    /// What to do about copies of an image.
    pub duplicates: Duplicates,
    /// The seed for everything random.
    pub seed: u64,
    /// The pipelines of the splits.
    pub pipelines: Pipelines,
    /// How many randomly drawn copies of each train image are baked, if any.
    pub augment: Option<usize>,
    /// The type of the written elements.
    pub dtype: DType,
    /// The format of the files.
    pub format: Box<dyn Format>,
    /// How shards store images of different sizes.
    pub store: Store,
    /// The maximum bytes of images in a file.
    pub shard_size: u64,
    /// The part of the files to write; `None` for all.
    pub part: Option<Part>,
    /// `--preview`: the file of the contact sheet; `-` is standard output.
    pub preview: Option<PathBuf>,
    /// `--show`: the only image of the first split that is looked at.
    pub show: Option<usize>,
    /// Where the images go.
    pub output: Output,
    /// The file of `--recipe`, or the name of a built-in one.
    recipe: Option<String>,
}

impl Command {
    /// Checks the arguments.
    ///
    /// # Errors
    /// If options do not fit together, or a pipeline or a recipe cannot be read.
    pub fn new(args: Args) -> Result<Self> {
        if !args.inspect.is_empty() {
            let config = InspectConfig { files: args.inspect, as_json: args.json };
            return Ok(Self::Inspect(config));
        }
        let config = Config::new(args)?;
        config.check()?;
        Ok(Self::Prepare(Box::new(config)))
    }
}

impl Config {
    fn new(args: Args) -> Result<Self> {
        let Args { select, pipeline, output, .. } = args;
        let open = OpenOptions {
            split_dirs: select.split_dirs.unwrap_or_default(),
            extensions: select.extensions.unwrap_or_default(),
            columns: select.columns.unwrap_or_default(),
        };
        let test_split = match (select.test_fraction, select.test_list) {
            (_, Some(list)) => TestSplit::List(list),
            (Some(fraction), None) => TestSplit::Fraction(fraction),
            (None, None) => TestSplit::AsFound,
        };
        let pipelines = Pipelines::new(&pipeline)?;
        let augment = pipeline.augment.map(usize::try_from).transpose();
        let to = match args.out {
            _ if args.stats => Output::Statistics { as_json: args.json },
            Some(out) if out == Path::new("-") => Output::Stream,
            Some(out) => Output::Folder(out),
            None => Output::None,
        };
        Ok(Self {
            inputs: args.inputs,
            open,
            test_split,
            splits: select.split,
            classes: select.classes,
            limit: select.limit.map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
            skip_bad: select.skip_bad,
            strict: select.strict,
            duplicates: select.duplicates,
            seed: select.seed,
            pipelines,
            augment: augment.map_err(|_| Error::usage("--augment is too large"))?,
            dtype: pipeline.dtype.dtype(),
            format: format::new(&output.format, output.tar_image),
            store: output.store,
            shard_size: output.shard_size,
            part: output.part,
            preview: args.preview,
            show: args.show,
            output: to,
            recipe: pipeline.recipe,
        })
    }

    /// Refuses options that do not fit together.
    fn check(&self) -> Result<()> {
        self.format.check_dtype(self.dtype)?;
        self.store.check(self)?;
        if let Some(path) = self.preview.as_deref().filter(|path| !is_stdout(path)) {
            let is_png = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("png"));
            if !is_png {
                return Err(Error::usage(format_args!(
                    "--preview {}: the file's name must end in .png",
                    path.display()
                )));
            }
        }
        if !matches!(self.output, Output::Stream) {
            return Ok(());
        }
        if self.preview.as_deref().is_some_and(is_stdout) {
            return Err(Error::usage(
                "--preview and -o cannot both go to standard output (-)",
            ));
        }
        if self.format.begins_with_count() && self.skip_bad.is_some() {
            return Err(Error::usage(format_args!(
                "a stream of {} begins with the number of images, which is not known \
                 with --skip-bad: write files, or another format",
                self.format.name()
            )));
        }
        Ok(())
    }

    /// Refuses outputs that are also inputs: the lists, the recipe and the files of the
    /// data set.
    pub fn check_outputs(&self, set: &Dataset) -> Result<()> {
        let inputs = self.input_files();
        let files = [("--skip-bad", &self.skip_bad), ("--preview", &self.preview)];
        for (option, path) in files {
            if let Some(path) = path {
                output::check_not_input(option, path, &inputs)?;
                output::check_not_input(option, path, set.files())?;
            }
        }
        if let (Some(list), Some(preview)) = (&self.skip_bad, &self.preview) {
            output::check_not_input("--preview", preview, [list])?;
        }
        let Output::Folder(folder) = &self.output else { return Ok(()) };
        if !folder.is_dir() {
            return Ok(());
        }
        // Only files with prep's names are replaced or removed, and no image has such a
        // name.
        for name in file_names::in_folder(folder)? {
            if file_names::split_of(&name, self.format.as_ref()).is_some() {
                output::check_not_input("-o", &folder.join(name), &inputs)?;
            }
        }
        Ok(())
    }

    /// The files that the command line names, and those that describe its folders.
    fn input_files(&self) -> Vec<PathBuf> {
        let mut files = self.inputs.clone();
        files.extend(self.inputs.iter().map(|input| input.join("dataset.toml")));
        if let TestSplit::List(list) = &self.test_split {
            files.push(list.clone());
        }
        files.extend(self.recipe.iter().map(PathBuf::from));
        files
    }
}

fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}
