//! What a run's folder records about its checkpoints, in config.toml and run.jsonl.

use std::path::{Path, PathBuf};

use torchmill::recipe::{Recipe, recorded_shards_are_there};
use torchmill::run::RunDir;
use torchmill::run::log::{self, Event, Start};
use torchmill::{Result, recipe};
use torchmill_nn::loader::ShardData;

/// The run that a checkpoint belongs to.
pub struct RunFolder {
    path: PathBuf,
    /// config.toml.
    pub recipe: Recipe,
    /// The last start of `train`; empty if run.jsonl has none.
    start: Start,
}

impl RunFolder {
    /// The run of a checkpoint, if the checkpoint is in the `checkpoints` folder of a
    /// folder with a config.toml.
    pub fn of(checkpoint: &Path) -> Result<Option<Self>> {
        let Some(run) = RunDir::of_checkpoint(checkpoint) else { return Ok(None) };
        if !run.config().exists() {
            return Ok(None);
        }
        let recipe = recipe::read(&run.config())?;
        let start = last_start(&run);
        Ok(Some(Self { path: run.path().to_path_buf(), recipe, start }))
    }

    /// The folder of the shards that the run used, if it records one.
    ///
    /// A relative path is relative to the folder that `train` ran in. It is looked up in
    /// the current folder, in the recorded one, and in the folders around the run, which
    /// may have been moved together with the shards.
    pub fn shards(&self) -> Result<Option<PathBuf>> {
        let Some(shards) = &self.recipe.data.shards else { return Ok(None) };
        let mut folders = vec![PathBuf::new()];
        folders.extend(self.start.folder.as_ref().map(PathBuf::from));
        // The path is empty if the checkpoint was given as `checkpoints/...`.
        if let Ok(path) = Path::new(".").join(&self.path).canonicalize() {
            folders.extend(path.ancestors().map(Path::to_path_buf));
        }
        for folder in folders {
            let candidate = folder.join(shards);
            if candidate.exists() {
                return Ok(Some(candidate));
            }
        }
        recorded_shards_are_there(shards)?;
        Ok(Some(shards.clone()))
    }

    /// The class names that the run was trained with, if it records them.
    pub fn classes(&self) -> Option<&[String]> {
        Some(self.start.classes.as_slice()).filter(|classes| !classes.is_empty())
    }

    /// Whether the run used different images in this split. `false` if it records none.
    pub fn used_other_images(&self, dataset: &ShardData) -> bool {
        let meta = dataset.set().meta();
        let used = self.start.splits.iter().find(|split| split.split == meta.split);
        used.is_some_and(|split| split.digest != meta.digest)
    }
}

/// The last start in run.jsonl. Without it, the checkpoint and config.toml are enough.
fn last_start(run: &RunDir) -> Start {
    let events = log::read(&run.log()).unwrap_or_default();
    for event in events.into_iter().rev() {
        if let Event::Start(start) = event {
            return *start;
        }
    }
    Start::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_start_counts() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::new(folder.path());
        assert_eq!(last_start(&run), Start::default());
        let lines = [
            r#"{"event":"start","folder":"/old","splits":[]}"#,
            r#"{"event":"start","folder":"/new","classes":["a","b"],"seed":3}"#,
            r#"{"event":"end","outcome":"done"}"#,
            r#"{"event":"start","fol"#,
        ];
        std::fs::write(run.log(), lines.join("\n")).unwrap();
        let start = last_start(&run);
        assert_eq!(start.folder.as_deref(), Some("/new"));
        assert_eq!(start.classes, ["a", "b"]);
    }
}
