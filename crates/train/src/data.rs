//! The images of a run: those for training, for the evaluation after each epoch, and for
//! the test at the end.

mod pipelines;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use tch::Device;
use torchmill::recipe::{Precision, Recipe, Validation, recorded_shards_are_there};
use torchmill::shard::ShardSet;
use torchmill::{Error, Result, progress};
use torchmill_nn::loader::ShardData;
use torchmill_nn::precision;
use torchmill_nn::state::SplitDigest;

use crate::validation;

/// The split used for validation if the shards have it.
pub const VAL: &str = "val";
pub const TEST: &str = "test";

/// The images of a run.
pub struct Data {
    /// The training images.
    pub train: ShardData,
    /// The images to evaluate on after each epoch.
    pub eval: ShardData,
    /// The name of `eval` in the metrics: `test`, or `val` if there is validation.
    pub eval_name: &'static str,
    /// With validation, the test split. It is evaluated once, at the end.
    pub test: Option<ShardData>,
    /// Identifies the images, so that a resumed run continues with the same.
    pub splits: Vec<SplitDigest>,
    /// Each class and its number of training images.
    pub class_counts: Vec<(String, u64)>,
    /// The labels of the training images.
    pub labels: Vec<i64>,
}

/// The shards of a folder, by split.
struct Shards {
    folder: PathBuf,
    splits: BTreeSet<String>,
}

impl Shards {
    /// The shards that the recipe names. `is_given`: whether their folder comes from the
    /// command line.
    fn of(recipe: &Recipe, is_given: bool) -> Result<Self> {
        let folder = recipe.data.shards.clone().ok_or_else(|| {
            Error::usage("no shards are given: use --data DIR (prep writes them)")
        })?;
        if !is_given {
            recorded_shards_are_there(&folder)?;
        }
        Ok(Self { splits: ShardSet::splits(&folder)?, folder })
    }

    fn open(&self, split: &str) -> Result<ShardData> {
        ShardData::open(&self.folder, split)
    }

    /// Opens the test split, if there is one. Without validation it is required.
    fn open_test(&self, is_validated: bool) -> Result<Option<ShardData>> {
        if is_validated && !self.splits.contains(TEST) {
            return Ok(None);
        }
        let opened = self.open(TEST).map_err(|e| {
            if self.splits.contains(TEST) {
                return e;
            }
            Error::failed(format_args!(
                "{e}; --val-fraction 0.1 would evaluate on a part of the training images"
            ))
        })?;
        Ok(Some(opened))
    }
}

impl Data {
    /// Opens and verifies the shards. Then sets the recipe's pipelines to those in use,
    /// which the shards determine. `is_given`: whether the shards' folder comes from the
    /// command line.
    pub fn open(recipe: &mut Recipe, is_given: bool) -> Result<Self> {
        let shards = Shards::of(recipe, is_given)?;
        if recipe.data.validation.is_none() && shards.splits.contains(VAL) {
            recipe.data.validation = Some(Validation::Split(VAL.to_owned()));
        }
        let validation =
            recipe.data.validation.clone().filter(|v| *v != Validation::Fraction(0.0));
        let train = shards.open("train")?;
        let test = shards.open_test(validation.is_some())?;
        let val = match &validation {
            Some(Validation::Split(name)) => Some(shards.open(name)?),
            _ => None,
        };
        pipelines::settle(recipe, &train, val.as_ref(), test.as_ref())?;
        for other in [&val, &test].into_iter().flatten() {
            check_fits(&shards.folder, &train, other)?;
        }
        let mut data = match (validation, val, test) {
            (Some(Validation::Fraction(fraction)), _, test) => {
                let seed = recipe.data.validation_seed;
                let pipeline = &recipe.transforms.test;
                Self::with_fraction(train, test, pipeline, fraction, seed)?
            }
            (Some(Validation::Split(_)), Some(val), test) => {
                Self::with_splits(train, val, VAL, test)?
            }
            (_, _, Some(test)) => Self::with_splits(train, test, TEST, None)?,
            _ => return Err(Error::failed("there is no test split")),
        };
        check_fits(&shards.folder, &data.train, &data.eval)?;
        check_evaluated(&shards.folder, &data)?;
        data.train = data.train.with_scaled_decoding(recipe.data.scaled_decoding);
        data.limit_evaluation(recipe);
        data.say_about_classes();
        Ok(data)
    }

    fn with_splits(
        train: ShardData,
        eval: ShardData,
        eval_name: &'static str,
        test: Option<ShardData>,
    ) -> Result<Self> {
        let mut splits = vec![digest("train", &train), digest(eval_name, &eval)];
        splits.extend(test.as_ref().map(|test| digest(TEST, test)));
        let labels = labels(&train)?;
        let class_counts = class_counts(&train.set().meta().classes, &labels);
        Ok(Self { train, eval, eval_name, test, splits, class_counts, labels })
    }

    /// Sets aside a fraction of each class of the training images for validation.
    fn with_fraction(
        train: ShardData,
        test: Option<ShardData>,
        pipeline: &str,
        fraction: f64,
        seed: u64,
    ) -> Result<Self> {
        let classes = train.set().meta().classes.len();
        let (kept, taken) = validation::cut(
            &labels(&train)?,
            &originals(&train)?,
            classes,
            fraction,
            seed,
        )?;
        // Validation images go through the test pipeline, without random crops or flips.
        let as_test = train.prepared_by(pipeline).map_err(|e| {
            e.within(
                "a validation split cannot be cut from these shards (have prep make one)",
            )
        })?;
        let mut data =
            Self::with_splits(train.subset(&kept), as_test.subset(&taken), VAL, test)?;
        for split in data.splits.iter_mut().filter(|split| split.purpose != TEST) {
            split.digest = format!("{} but {fraction} by seed {seed}", split.digest);
        }
        Ok(data)
    }

    /// Applies `limit_eval_batches` and `overfit_batches`: evaluates only the first
    /// images.
    fn limit_evaluation(&mut self, recipe: &Recipe) {
        let train = &recipe.train;
        let limits = [train.limit_eval_batches, train.overfit_batches];
        let Some(batches) = limits.into_iter().flatten().min() else { return };
        let images = batches.saturating_mul(train.batch_size);
        let all = self.eval.len();
        if images < all {
            progress::note(format_args!(
                "note: only {images} of {all} {} images are evaluated (--limit-batches or \
                 --overfit-batches)",
                self.eval_name
            ));
        }
        self.eval = first(&self.eval, images);
        self.test = self.test.as_ref().map(|test| first(test, images));
    }

    /// Notes what cannot be learned from these images.
    fn say_about_classes(&self) {
        if let [(class, _)] = &self.class_counts[..] {
            progress::note(format_args!(
                "note: there is only one class, {class}: there is nothing to learn, \
                 and every accuracy is 1"
            ));
        }
        let empty: Vec<&str> = self
            .class_counts
            .iter()
            .filter(|(_, count)| *count == 0)
            .map(|(class, _)| class.as_str())
            .collect();
        if !empty.is_empty() {
            progress::note(format_args!(
                "note: no training images are of class {}: it cannot be learned",
                listed(&empty)
            ));
        }
    }

    /// Copies the images that are used in every epoch to the device, if they fit there.
    pub fn on(self, device: Device, precision: Precision) -> Result<Self> {
        let kind = precision::kind(precision);
        Ok(Self {
            train: self.train.on(device, kind)?,
            eval: self.eval.on(device, kind)?,
            ..self
        })
    }
}

/// The first images of a data set.
fn first(dataset: &ShardData, images: usize) -> ShardData {
    let count = dataset.len().min(images) as u32;
    dataset.subset(&(0..count).collect::<Vec<_>>())
}

fn digest(purpose: &str, dataset: &ShardData) -> SplitDigest {
    let digest = dataset.set().meta().digest.clone();
    SplitDigest { purpose: purpose.to_owned(), digest }
}

fn labels(dataset: &ShardData) -> Result<Vec<i64>> {
    (0..dataset.len() as u32).map(|i| dataset.label(i)).collect()
}

/// For each image, the index of the first one made from the same file.
fn originals(dataset: &ShardData) -> Result<Vec<u32>> {
    let mut first = HashMap::new();
    let mut originals = Vec::with_capacity(dataset.len());
    for i in 0..dataset.len() as u32 {
        let source = dataset.source(i)?;
        originals.push(*first.entry(source).or_insert(i));
    }
    Ok(originals)
}

/// Each class and its number of images.
fn class_counts(classes: &[String], labels: &[i64]) -> Vec<(String, u64)> {
    let mut counts: Vec<_> = classes.iter().map(|class| (class.clone(), 0)).collect();
    for &label in labels {
        // Labels were checked to be valid classes when the shards were read.
        counts[label as usize].1 += 1;
    }
    counts
}

/// The first few names, and the number of the others.
fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 5;
    let first = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// `3x32x32`.
pub fn by_sides(shape: [usize; 3]) -> String {
    shape.map(|side| side.to_string()).join("x")
}

/// Fails unless both data sets have the same classes and channels. Training images may have
/// another size than those of evaluations.
fn check_fits(folder: &Path, train: &ShardData, other: &ShardData) -> Result<()> {
    let split = &other.set().meta().split;
    if train.set().meta().classes != other.set().meta().classes {
        return Err(Error::failed(format_args!(
            "{}: the train and {split} shards differ in classes",
            folder.display()
        )));
    }
    let train = train.image_shape()?;
    let other = other.image_shape()?;
    if train[0] != other[0] {
        return Err(Error::failed(format_args!(
            "{}: training images are {}, {split} images {}: the two pipelines must end \
             with the same number of channels; prepare the shards again with such pipelines",
            folder.display(),
            by_sides(train),
            by_sides(other)
        )));
    }
    Ok(())
}

/// Fails unless the images that are evaluated have one size.
fn check_evaluated(folder: &Path, data: &Data) -> Result<()> {
    let Some(test) = &data.test else { return Ok(()) };
    let [eval, test] = [data.eval.image_shape()?, test.image_shape()?];
    if eval == test {
        return Ok(());
    }
    Err(Error::failed(format_args!(
        "{}: {} images are {}, {TEST} images {}: both must be prepared by the pipeline of \
         [transforms] test; prepare the shards again with that",
        folder.display(),
        data.eval_name,
        by_sides(eval),
        by_sides(test)
    )))
}
