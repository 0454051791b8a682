//! Initial weights of a new run that are not random.

use std::path::Path;

use tch::{Device, Kind};
use torchmill::recipe::Recipe;
use torchmill::{Result, progress};
use torchmill_nn::checkpoint;
use torchmill_nn::loader::{BatchOptions, ShardData};
use torchmill_nn::model::Model;
use torchmill_nn::spec::Spec;

/// Computes weights that depend on the training images, and loads those of `init`.
pub fn set(
    model: &mut Model,
    spec: &Spec,
    recipe: &Recipe,
    train: &ShardData,
) -> Result<()> {
    compute_from_images(model, recipe, train)?;
    match &recipe.model.init {
        Some(path) => load(model, path, spec, &recipe.model.init_except),
        None => Ok(()),
    }
}

/// Uses the first training images, without random transforms.
fn compute_from_images(
    model: &mut Model,
    recipe: &Recipe,
    train: &ShardData,
) -> Result<()> {
    let count = model.images_to_start_from().min(train.len());
    if count == 0 {
        return Ok(());
    }
    let images = train.prepared_by(&recipe.transforms.test)?;
    let indices: Vec<u32> = (0..count as u32).collect();
    let target =
        BatchOptions { kind: Kind::Float, device: Device::Cpu, seed: 0, epoch: 0 };
    model.start_from(&images.batch(&indices, target)?.images)
}

fn load(model: &mut Model, path: &Path, spec: &Spec, except: &[String]) -> Result<()> {
    let file = checkpoint::read(path)?;
    let loaded = model.load_initial(&file.tensors, except);
    let loaded = loaded.map_err(|e| e.within(path.display()))?;
    progress::note(format_args!("{}: {loaded}", path.display()));
    if let Some(theirs) = file.spec
        && let Some(note) = loaded.other_classes(&theirs.classes, &spec.classes)
    {
        progress::note(note);
    }
    Ok(())
}
