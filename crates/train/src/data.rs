//! The images of a run: what is trained on, what is evaluated after each epoch, and what
//! is left alone.

use std::path::Path;

use tch::Device;
use torchmill::recipe::{Precision, Recipe, Validation, recorded_shards_are_there};
use torchmill::shard::ShardSet;
use torchmill::transform::Pipeline;
use torchmill::{Error, Result, progress};
use torchmill_nn::loader::Dataset;
use torchmill_nn::precision;

use crate::validation;

/// The split that validation is on where the shards have it.
const VAL: &str = "val";

/// The images of a run.
pub struct Data {
    /// To train on.
    pub train: Dataset,
    /// To evaluate on after each epoch.
    pub eval: Dataset,
    /// What `eval` is called in the metrics: `test`, or `val` where there is validation.
    pub eval_name: &'static str,
    /// With validation, the test split: it is evaluated once, at the end.
    pub test: Option<Dataset>,
    /// By which a resumed run knows that it goes on with the same images.
    pub digest: String,
}

impl Data {
    /// Opens and checks the shards, and settles on their pipelines: they are what has
    /// been done to the images. `given`: whether the command line says where the shards
    /// are.
    pub fn open(recipe: &mut Recipe, given: bool) -> Result<Self> {
        let folder = recipe.data.shards.clone();
        let folder = folder.ok_or_else(|| {
            Error::usage("where are the shards? give --data DIR (prep writes them)")
        })?;
        if !given {
            recorded_shards_are_there(&folder)?;
        }
        let splits = ShardSet::splits(&folder)?;
        if recipe.data.validation.is_none() && splits.contains(VAL) {
            recipe.data.validation = Some(Validation::Split(VAL.to_owned()));
        }
        let validation =
            recipe.data.validation.clone().filter(|v| *v != Validation::Fraction(0.0));
        let train = open(&folder, "train", &recipe.transforms.train)?;
        recipe.transforms.train.clone_from(&train.set().meta().pipeline);
        let mut test = None;
        // Without validation there must be a test split, and opening it says so.
        if validation.is_none() || splits.contains("test") {
            let opened = open(&folder, "test", &recipe.transforms.test).map_err(|e| match validation {
                None if !splits.contains("test") => Error::failed(format_args!(
                    "{e}; --val-fraction 0.1 would evaluate on a part of the training images"
                )),
                _ => e,
            })?;
            recipe.transforms.test.clone_from(&opened.set().meta().pipeline);
            fits(&folder, &train, &opened)?;
            test = Some(opened);
        }
        let mut digest = train.set().meta().digest.clone();
        let seed = recipe.data.validation_seed;
        let mut data = match (validation, test) {
            (None, Some(test)) => {
                Self { train, eval: test, eval_name: "test", test: None, digest }
            }
            (None, None) => return Err(Error::failed("there is no test split")),
            (Some(Validation::Split(name)), test) => {
                let eval = open(&folder, &name, &recipe.transforms.test)?;
                fits(&folder, &train, &eval)?;
                Self { train, eval, eval_name: VAL, test, digest }
            }
            (Some(Validation::Fraction(fraction)), test) => {
                let labels = (0..train.len() as u32)
                    .map(|i| train.label(i))
                    .collect::<Result<Vec<_>>>()?;
                let classes = train.set().meta().classes.len();
                let (kept, taken) = validation::cut(&labels, classes, fraction, seed)?;
                // What is validated on goes the way of the test images: not cropped or
                // flipped at random.
                let as_test = train.prepared_by(&recipe.transforms.test).map_err(|e| {
                    e.within("a validation split cannot be cut from these shards (have prep make one)")
                })?;
                let (eval, train) = (as_test.subset(&taken), train.subset(&kept));
                digest = format!("{digest} but {fraction} by seed {seed}");
                let data = Self { train, eval, eval_name: VAL, test, digest };
                fits(&folder, &data.train, &data.eval)?;
                data
            }
        };
        let limits = [recipe.train.limit_eval_batches, recipe.train.overfit_batches];
        if let Some(batches) = limits.into_iter().flatten().min() {
            let first = |d: &Dataset| {
                let n = d.len().min(batches.saturating_mul(recipe.train.batch_size));
                d.subset(&(0..n as u32).collect::<Vec<_>>())
            };
            (data.eval, data.test) = (first(&data.eval), data.test.as_ref().map(first));
        }
        Ok(data)
    }

    /// The same; what every epoch goes through lies on the device where it can.
    pub fn on(self, device: Device, precision: Precision) -> Result<Self> {
        let kind = precision::kind(precision);
        Ok(Self {
            train: self.train.on(device, kind)?,
            eval: self.eval.on(device, kind)?,
            ..self
        })
    }
}

/// Opens a split and says where it was prepared otherwise than `asked`.
fn open(folder: &Path, split: &str, asked: &str) -> Result<Dataset> {
    let dataset = Dataset::open(folder, split)?;
    let done = &dataset.set().meta().pipeline;
    let wanted = Pipeline::parse(asked)
        .map_err(|e| e.within(format_args!("[transforms], for {split}")))?;
    // The texts may differ and mean the same: shards have the canonical one.
    if !Pipeline::parse(done)?.satisfies(&wanted) {
        progress::note(format_args!(
            "note: the {split} shards were prepared with `{done}`, not the recipe's `{asked}`; that is what is used"
        ));
    }
    Ok(dataset)
}

/// `3x32x32`.
fn by_sides(shape: [usize; 3]) -> String {
    shape.map(|side| side.to_string()).join("x")
}

/// What is trained on and what is evaluated must have the same classes and image size.
fn fits(folder: &Path, train: &Dataset, other: &Dataset) -> Result<()> {
    let split = &other.set().meta().split;
    if train.set().meta().classes != other.set().meta().classes {
        return Err(Error::failed(format_args!(
            "{}: the train and {split} shards differ in classes",
            folder.display()
        )));
    }
    let (train, other) = (train.image_shape()?, other.image_shape()?);
    if train != other {
        return Err(Error::failed(format_args!(
            "{}: training images are {}, {split} images {}: the two pipelines must end with one size (a RandomCrop in [transforms] train, say, has that of the images); prepare the shards again with those",
            folder.display(),
            by_sides(train),
            by_sides(other)
        )));
    }
    Ok(())
}
