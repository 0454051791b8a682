//! Recipes: the TOML that describes a run, and the built-in recipes.
//!
//! A recipe has five tables: `[data]`, `[transforms]`, `[model]`, `[train]` and
//! `[checkpoints]`; a run's config.toml also has `[run]`. Unknown keys are errors, so
//! that a misspelt key is not ignored. docs/recipes.md describes each key.

mod architecture;
mod checkpoints;
mod groups;
mod initialise;
mod integers;
mod layer;
mod model;
mod overrides;
mod progressive_resizing;
mod run_record;
mod sampler;
mod settings;
mod training;
mod tta;
mod typed;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Context, Error, Result, suggest, text_file};
pub use architecture::{ARCHITECTURES, Options, Stem};
pub use checkpoints::{Checkpoints, EarlyStopping};
pub use groups::{Group, NoDecay};
pub use initialise::{FanMode, Init, Initialise, Nonlinearity};
pub use layer::{ARGS, Layer};
pub use model::Model;
pub use progressive_resizing::{ProgressiveResizing, ResizeMode};
pub use run_record::{EarlierValue, RunRecord};
pub use sampler::{Sampler, SamplerRule, SamplerWeights};
pub use settings::{Setting, settings};
pub use training::{Ema, Precision, Train, default_loss, refuse};
pub use tta::Tta;
pub use typed::{ReadType, Typed};

/// Everything that makes a run what it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The recipe's name. The run's folder is named after it, unless `--run` gives
    /// another name. In a file it may be left out: it is then the file's name without
    /// `.toml`.
    #[serde(default)]
    pub name: String,
    /// One line on what it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where the images are.
    #[serde(default)]
    pub data: Data,
    /// How they are transformed.
    #[serde(default)]
    pub transforms: Transforms,
    /// The network.
    pub model: Model,
    /// How it is trained.
    #[serde(default)]
    pub train: Train,
    /// Which checkpoints are kept.
    #[serde(default)]
    pub checkpoints: Checkpoints,
    /// What `train` records about a run in its config.toml.
    #[serde(default, skip_serializing_if = "RunRecord::is_empty")]
    pub run: RunRecord,
}

/// `[data]`: where the shards are, and which images the run is evaluated on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// The folder of shards; `train --data` overrides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<PathBuf>,
    /// What is evaluated after each epoch in place of the test split, which is then used
    /// only at the end. If it is left out, the shards' `val` split is used, if they have
    /// one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
    /// The seed that chooses the images of a fraction. It is not `train.seed`, so that
    /// runs with different seeds can be compared.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub validation_seed: u64,
    /// Whether to decode JPEG files at 1/2, 1/4 or 1/8 of their size for training, if a
    /// RandomResizedCrop needs no more: faster, but with slightly different pixels.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub scaled_decoding: bool,
}

/// `[data] validation`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a fraction, such as 0.1, or the name of a split")]
pub enum Validation {
    /// This share of each class of the training images, which are then not trained on; 0
    /// means no validation.
    Fraction(f64),
    /// The split of this name.
    Split(String),
}

/// Fails if the folder of shards that a recipe names does not exist. A relative path is
/// relative to the working folder.
pub fn recorded_shards_are_there(folder: &Path) -> Result<()> {
    if folder.exists() {
        return Ok(());
    }
    let mut place = String::new();
    if folder.is_relative()
        && let Ok(here) = std::env::current_dir()
    {
        place = format!(" in {}", here.display());
    }
    Err(Error::failed(format_args!(
        "there is no folder {}{place}, which [data] shards of the recipe names: give \
         --data DIR",
        folder.display()
    )))
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// `[transforms]`: the pipelines, as text (see [`crate::transform`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transforms {
    /// For the images trained on.
    #[serde(default = "to_tensor")]
    pub train: String,
    /// For all others.
    #[serde(default = "to_tensor")]
    pub test: String,
}

fn to_tensor() -> String {
    "ToTensor".to_owned()
}

impl Default for Transforms {
    fn default() -> Self {
        Self { train: to_tensor(), test: to_tensor() }
    }
}

/// The recipes that come with the programs: name and text.
const BUILT_IN: &[(&str, &str)] = &[
    ("article", include_str!("recipe/builtin/article.toml")),
    ("cifar10-fast", include_str!("recipe/builtin/cifar10-fast.toml")),
    ("finetune", include_str!("recipe/builtin/finetune.toml")),
    ("imagenet", include_str!("recipe/builtin/imagenet.toml")),
    ("mnist-fast", include_str!("recipe/builtin/mnist-fast.toml")),
];

/// The names of the built-in recipes.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}

/// The text of a built-in recipe, comments included.
pub fn text(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(n, _)| *n == name).map(|(_, text)| *text)
}

/// Loads a built-in recipe by name, or one from a TOML file.
pub fn load(name_or_path: &str) -> Result<Recipe> {
    if let Some(text) = text(name_or_path) {
        return Recipe::parse(text).map_err(|e| e.within(name_or_path));
    }
    let path = Path::new(name_or_path);
    if path.extension().is_none() && !path.exists() {
        return Err(unknown(name_or_path));
    }
    read(path)
}

/// Reads a recipe from a TOML file, such as a run's config.toml.
pub fn read(path: &Path) -> Result<Recipe> {
    let text = text_file::read(path).doing("read", path)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    Recipe::parse_called(&text, &name).map_err(|e| e.within(path.display()))
}

/// The error for an unknown recipe name.
pub fn unknown(name: &str) -> Error {
    Error::usage(format_args!(
        "no recipe is called `{name}`{}: there are {}, or give the path of a TOML file",
        suggest::did_you_mean(name, names()),
        names().collect::<Vec<_>>().join(", ")
    ))
}

/// A recipe's name, if it has one.
#[derive(Deserialize)]
struct GivenName {
    name: Option<String>,
}

impl Recipe {
    /// Parses a recipe; an error names the line and the key.
    pub fn parse(text: &str) -> Result<Self> {
        Self::parse_called(text, "")
    }

    /// Like [`Recipe::parse`]; a recipe without a name is called `name`.
    fn parse_called(text: &str, name: &str) -> Result<Self> {
        let mut recipe: Self = text_file::from_toml(text)?;
        // An empty name that is given is refused, not replaced.
        let given: GivenName = text_file::from_toml(text)?;
        if given.name.is_none() {
            name.clone_into(&mut recipe.name);
        }
        recipe.check()?;
        Ok(recipe)
    }

    /// Checks what the types do not: values out of range are usage errors.
    pub fn check(&self) -> Result<()> {
        if let Some(Validation::Fraction(f)) = self.data.validation
            && !(0.0..1.0).contains(&f)
        {
            return Err(Error::usage(
                "[data] validation must be a fraction from 0 to below 1, such as 0.1",
            ));
        }
        self.check_name()?;
        integers::check(self)?;
        self.train.check()?;
        self.checkpoints.check()?;
        self.model.check()
    }

    /// The run's folder is named after the recipe, so the name must be one part of a
    /// path.
    fn check_name(&self) -> Result<()> {
        let name = &self.name;
        let is_plain = !name.contains(['/', '\\']) && !name.contains(char::is_control);
        if is_plain && !name.is_empty() && name != "." && name != ".." {
            return Ok(());
        }
        Err(Error::usage(format_args!(
            "name = {name:?} cannot be a folder's name, which the run's is made of: give \
             one without slashes"
        )))
    }

    /// The recipe as TOML, which parses back to the same recipe.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self)
            .map_err(|e| Error::failed(format_args!("the recipe cannot be written: {e}")))
    }

    /// Like [`Recipe::to_toml`] without `[run]`: the run's settings without its history.
    pub fn to_toml_without_run(&self) -> Result<String> {
        Self { run: RunRecord::default(), ..self.clone() }.to_toml()
    }
}

#[cfg(test)]
mod tests;
