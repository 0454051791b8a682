//! The pipeline of each split, and how much of it is baked into the output.

use torchmill::shard::DType;
use torchmill::transform::{Pipeline, Transform};
use torchmill::{Error, Result, recipe};

use crate::args::PipelineArgs;

/// The pipeline of the train split, and the one of all other splits.
pub struct Pipelines {
    train: Pipeline,
    test: Pipeline,
}

/// A split's pipeline, divided in two.
#[derive(Debug, Clone, PartialEq)]
pub struct SplitPipeline {
    /// All of it.
    pub whole: Pipeline,
    /// The steps that are applied now.
    pub baked: Pipeline,
    /// The steps that are left to the program that reads the images.
    pub deferred: Pipeline,
}

impl Pipelines {
    /// Reads them from the options. In order of precedence: the split's own option,
    /// `--transform`, the recipe, `ToTensor`.
    pub fn new(args: &PipelineArgs) -> Result<Self> {
        let recipe = args.recipe.as_deref().map(recipe::load).transpose()?;
        let choose = |own: &Option<String>, option: &str, of_recipe: Option<&String>| {
            let (text, option) = match (own, &args.transform, of_recipe) {
                (Some(own), ..) => (own.as_str(), option),
                (None, Some(all), _) => (all.as_str(), "--transform"),
                (None, None, Some(text)) => (text.as_str(), "--recipe"),
                (None, None, None) => ("ToTensor", ""),
            };
            let pipeline = Pipeline::parse(text).map_err(|e| e.within(option))?;
            pipeline.check_statistics().map_err(|e| e.within(option))?;
            Ok(pipeline)
        };
        let of = recipe.as_ref().map(|r| &r.transforms);
        Ok(Self {
            train: choose(
                &args.train_transform,
                "--train-transform",
                of.map(|t| &t.train),
            )?,
            test: choose(&args.test_transform, "--test-transform", of.map(|t| &t.test))?,
        })
    }

    /// Warnings about probable mistakes, if both pipelines are used.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let is_random =
            |step: &&Transform| Pipeline::from(vec![(*step).clone()]).is_random();
        if let Some(step) = self.test.steps().iter().find(is_random) {
            warnings.push(format!(
                "the test pipeline has a random step, {step}: evaluation sees images that \
                 are changed at random; --test-transform sets a separate test pipeline"
            ));
        }
        let train = normalization(&self.train);
        let test = normalization(&self.test);
        if train != test {
            warnings.push(format!(
                "training images go through {train} and test images through {test}: \
                 evaluation sees other values than training"
            ));
        }
        warnings
    }

    /// The pipeline of a split, divided for elements of `dtype`. With `augment` random
    /// steps are baked too.
    pub fn of_split(
        &self,
        split: &str,
        dtype: DType,
        augment: bool,
    ) -> Result<SplitPipeline> {
        let whole = if split == "train" { &self.train } else { &self.test };
        divide(whole, dtype, augment)
    }
}

impl SplitPipeline {
    /// Whether a `Normalize(auto)` still needs the train split's statistics.
    pub fn needs_statistics(&self) -> bool {
        self.whole.needs_statistics()
    }

    /// The same pipelines, with these values in every `Normalize(auto)`.
    pub fn with_statistics(&self, mean: &[f32], std: &[f32]) -> Self {
        Self {
            whole: self.whole.with_statistics(mean, std),
            baked: self.baked.with_statistics(mean, std),
            deferred: self.deferred.with_statistics(mean, std),
        }
    }
}

/// The steps that normalise, as text.
fn normalization(pipeline: &Pipeline) -> String {
    let steps = pipeline.steps().iter();
    let names: Vec<String> = steps
        .filter(|step| matches!(step, Transform::Normalize(_)))
        .map(Transform::to_string)
        .collect();
    if names.is_empty() { "no Normalize".to_owned() } else { names.join(" | ") }
}

/// For uint8, the steps before the first one that is random or makes floating-point
/// numbers are baked. For floats, the steps before the first random one after ToTensor,
/// which is added if the pipeline has none. With `augment` random steps are baked too.
fn divide(whole: &Pipeline, dtype: DType, augment: bool) -> Result<SplitPipeline> {
    let floats = dtype != DType::Uint8;
    let whole = if floats && !whole.makes_tensors() {
        with_to_tensor(whole)?
    } else {
        whole.clone()
    };
    let can_be_baked = |n: usize| {
        let before = whole.split_at(n).0;
        (augment || !before.is_random()) && (floats || !before.makes_tensors())
    };
    let mut steps = 0;
    while steps < whole.steps().len() && can_be_baked(steps + 1) {
        steps += 1;
    }
    let (baked, deferred) = whole.split_at(steps);
    if !floats {
        return Ok(SplitPipeline { whole, baked, deferred });
    }
    if !baked.makes_tensors() {
        return Err(Error::usage(format_args!(
            "--dtype {} bakes ToTensor, but a random step comes before it in `{whole}`: \
             leave out --dtype, so that train draws it anew each epoch, or bake random \
             copies with --augment N",
            dtype.name()
        )));
    }
    Ok(SplitPipeline { whole, baked, deferred })
}

/// The pipeline with ToTensor after its last step.
fn with_to_tensor(pipeline: &Pipeline) -> Result<Pipeline> {
    Pipeline::parse(&if pipeline.is_empty() {
        "ToTensor".to_owned()
    } else {
        format!("{pipeline} | ToTensor")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divide_text(text: &str, dtype: DType) -> Result<[String; 3]> {
        let SplitPipeline { whole, baked, deferred } =
            divide(&Pipeline::parse(text)?, dtype, false)?;
        Ok([whole, baked, deferred].map(|p| p.to_string()))
    }

    #[test]
    fn uint8_leaves_floats_and_chance_to_train() {
        let text = "CenterCrop(8) | RandomHorizontalFlip | ToTensor";
        let [_, baked, deferred] = divide_text(text, DType::Uint8).unwrap();
        assert_eq!(
            (baked.as_str(), deferred.as_str()),
            ("CenterCrop(8)", "RandomHorizontalFlip | ToTensor")
        );
    }

    #[test]
    fn floats_are_baked_with_to_tensor() {
        let [whole, baked, deferred] =
            divide_text("CenterCrop(8)", DType::Float32).unwrap();
        assert_eq!((whole.as_str(), deferred.as_str()), ("CenterCrop(8) | ToTensor", ""));
        assert_eq!(baked, whole);
        let [_, baked, deferred] =
            divide_text("ToTensor | RandomHorizontalFlip", DType::Float16).unwrap();
        assert_eq!(
            (baked.as_str(), deferred.as_str()),
            ("ToTensor", "RandomHorizontalFlip")
        );
        let error = divide_text("RandomHorizontalFlip | ToTensor", DType::Float32)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(
                "--dtype float32 bakes ToTensor, but a random step comes before it"
            ),
            "{error}"
        );
    }
}
