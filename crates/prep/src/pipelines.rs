//! Which pipeline each split goes through, and how much of it is baked into what is written.

use torchmill::shard::DType;
use torchmill::transform::Pipeline;
use torchmill::{Error, Result, recipe};

use crate::args::PipelineArgs;

/// The pipelines asked for: the train split's, and every other's.
pub struct Pipelines {
    train: Pipeline,
    test: Pipeline,
}

/// A split's pipeline, cut in two.
#[derive(Debug, Clone, PartialEq)]
pub struct Cut {
    /// All of it.
    pub whole: Pipeline,
    /// What is done now.
    pub baked: Pipeline,
    /// What is left to whoever reads the images.
    pub deferred: Pipeline,
}

impl Pipelines {
    /// Reads them from the options: a split's own, then `--transform`, then the recipe's, then `ToTensor`.
    pub fn new(args: &PipelineArgs) -> Result<Self> {
        let recipe = args.recipe.as_deref().map(recipe::load).transpose()?;
        let choose = |own: &Option<String>, option: &str, of_recipe: Option<&String>| {
            let (text, option) = match (own, &args.transform, of_recipe) {
                (Some(own), ..) => (own.as_str(), option),
                (None, Some(all), _) => (all.as_str(), "--transform"),
                (None, None, Some(text)) => (text.as_str(), "--recipe"),
                (None, None, None) => ("ToTensor", ""),
            };
            Pipeline::parse(text).map_err(|e| e.within(option))
        };
        let of = recipe.as_ref().map(|r| &r.transforms);
        Ok(Self {
            train: choose(&args.train_transform, "--train-transform", of.map(|t| &t.train))?,
            test: choose(&args.test_transform, "--test-transform", of.map(|t| &t.test))?,
        })
    }

    /// The pipeline of a split, cut where `dtype` asks for it.
    pub fn cut(&self, split: &str, dtype: DType) -> Result<Cut> {
        let whole = if split == "train" { &self.train } else { &self.test };
        cut(whole, dtype)
    }
}

/// uint8: everything up to the first step that is random or makes floating-point numbers is baked. Floats:
/// everything up to the first random step after ToTensor, which is added where the pipeline has none.
fn cut(whole: &Pipeline, dtype: DType) -> Result<Cut> {
    if dtype == DType::Uint8 {
        let (baked, deferred) = whole.split();
        return Ok(Cut { whole: whole.clone(), baked, deferred });
    }
    let whole = if whole.makes_tensors() { whole.clone() } else { with_to_tensor(whole)? };
    let deterministic = (1..=whole.steps().len()).take_while(|&n| !whole.split_at(n).0.is_random()).count();
    let (baked, deferred) = whole.split_at(deterministic);
    if !baked.makes_tensors() {
        return Err(Error::usage(format_args!(
            "--dtype {} bakes ToTensor, but what is random comes before it in `{whole}`: leave out --dtype, so \
             that train draws it anew each epoch",
            dtype.name()
        )));
    }
    Ok(Cut { whole, baked, deferred })
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

    fn cut_text(text: &str, dtype: DType) -> Result<[String; 3]> {
        let Cut { whole, baked, deferred } = cut(&Pipeline::parse(text)?, dtype)?;
        Ok([whole, baked, deferred].map(|p| p.to_string()))
    }

    #[test]
    fn uint8_leaves_floats_and_chance_to_train() {
        let text = "CenterCrop(8) | RandomHorizontalFlip | ToTensor";
        let [_, baked, deferred] = cut_text(text, DType::Uint8).unwrap();
        assert_eq!((baked.as_str(), deferred.as_str()), ("CenterCrop(8)", "RandomHorizontalFlip | ToTensor"));
    }

    #[test]
    fn floats_are_baked_with_to_tensor() {
        let [whole, baked, deferred] = cut_text("CenterCrop(8)", DType::Float32).unwrap();
        assert_eq!((whole.as_str(), deferred.as_str()), ("CenterCrop(8) | ToTensor", ""));
        assert_eq!(baked, whole);
        let [_, baked, deferred] = cut_text("ToTensor | RandomHorizontalFlip", DType::Float16).unwrap();
        assert_eq!((baked.as_str(), deferred.as_str()), ("ToTensor", "RandomHorizontalFlip"));
        let error = cut_text("RandomHorizontalFlip | ToTensor", DType::Float32).unwrap_err().to_string();
        assert!(
            error.contains("--dtype float32 bakes ToTensor, but what is random comes before it"),
            "{error}"
        );
    }
}
