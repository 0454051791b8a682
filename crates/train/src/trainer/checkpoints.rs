//! Saves checkpoints, their training states, and the links `last` and `best`.

use std::path::{Path, PathBuf};

use tch::Tensor;
use torchmill::run::state_path;
use torchmill::{Context, Error, ErrorKind, Result, progress};
use torchmill_nn::checkpoint;
use torchmill_nn::generator::Generator;
use torchmill_nn::state::{BatchOrder, State};
use torchmill_nn::torch_error;

use super::Trainer;

impl Trainer<'_> {
    /// Saves the weights before any step.
    pub(super) fn save_initial(&mut self) -> Result<PathBuf> {
        let path = self.config.run_dir.epoch_checkpoint(0);
        let generator = self.generator.clone();
        self.save(&path, &generator)?;
        Ok(path)
    }

    /// Saves at the end of an epoch, then deletes the checkpoints that are no longer
    /// needed.
    pub(super) fn save_epoch(&mut self) -> Result<()> {
        let path = self.config.run_dir.epoch_checkpoint(self.completed.epochs);
        let generator = self.generator.clone();
        self.save(&path, &generator)?;
        if !self.processes.is_first() {
            return Ok(());
        }
        self.config.run_dir.remove_step_checkpoints(None)?;
        match self.config.recipe.checkpoints.keep {
            Some(keep) => self.config.run_dir.prune(keep),
            None => Ok(()),
        }
    }

    /// Saves in the middle of an epoch. `generator` is the default generator's state at
    /// the start of the epoch.
    pub(super) fn save_step(&mut self, generator: &Generator) -> Result<()> {
        self.flush_losses()?;
        let path = self.config.run_dir.step_checkpoint(self.completed.steps);
        self.save(&path, generator)?;
        if !self.processes.is_first() {
            return Ok(());
        }
        self.config.run_dir.remove_step_checkpoints(Some(&path))
    }

    /// Writes a checkpoint and its training state, then points `last` at it.
    fn save(&mut self, path: &Path, generator: &Generator) -> Result<()> {
        // The weights after the last step may not be finite, even if its loss is.
        if !self.model.network.is_finite()? {
            let steps = self.completed.steps;
            return Err(self.diverged(f64::NAN, format_args!("after step {steps}")));
        }
        self.compare_weights()?;
        if !self.processes.is_first() {
            self.last = Some(path.to_path_buf());
            return Ok(());
        }
        let weights_only = self.config.recipe.checkpoints.weights_only;
        let spec = (!weights_only).then_some(&self.spec);
        self.model.swap_average()?;
        let weights = checkpoint::write(path, &self.model.network, spec);
        self.model.swap_average()?;
        self.state(weights?, generator)?.write(&state_path(path))?;
        // `last` is updated at the end: a run killed before that continues from the
        // previous checkpoint.
        let is_best = self.best.best().is_some_and(|b| b.epoch == self.completed.epochs);
        if is_best && self.completed.batches == 0 {
            self.config.run_dir.point("best", path)?;
        }
        self.config.run_dir.point("last", path)?;
        progress::detail(format_args!("saved {}", path.display()));
        self.last = Some(path.to_path_buf());
        Ok(())
    }

    /// Notes if the processes' weights differ. On different kinds of processors they may
    /// drift apart. The first process's weights are saved.
    fn compare_weights(&self) -> Result<()> {
        let Some(group) = self.processes.group() else { return Ok(()) };
        let checksum = [i64::from(self.model.network.checksum()?)];
        let own = Tensor::f_from_slice(&checksum).map_err(|e| torch_error(&e))?;
        let all = group.all_gather(&own)?;
        let value = |t: &Tensor| t.f_int64_value(&[0]).map_err(|e| torch_error(&e));
        let first = value(&all[0])?;
        let step = self.completed.steps;
        for (rank, checksum) in all.iter().enumerate() {
            if value(checksum)? != first {
                progress::note(format_args!(
                    "note: the weights of rank {rank} after step {step} are not those \
                     of rank 0, which are saved"
                ));
                return Ok(());
            }
        }
        progress::detail(format_args!(
            "all processes have the same weights: step {step}"
        ));
        Ok(())
    }

    fn state(&self, weights: u32, generator: &Generator) -> Result<State> {
        let metrics = self.config.run_dir.metrics();
        Ok(State {
            weights,
            splits: self.splits.clone(),
            evaluated: self.evaluated,
            epoch: self.completed.epochs,
            batch: self.completed.batches,
            order: BatchOrder::of(&self.config.recipe.train, self.processes.size()),
            step: self.completed.steps,
            generator: generator.clone(),
            train: self.model.state()?,
            metrics: std::fs::metadata(&metrics).doing("read", &metrics)?.len(),
            lr: self.lr,
        })
    }

    /// The error for an interruption after the last checkpoint was saved.
    pub(super) fn interrupted_after_saving(&self, error: Error) -> Error {
        if error.kind() == ErrorKind::Interrupted { self.interrupted() } else { error }
    }

    /// The error for an interruption. It says what is saved and how to continue.
    pub(super) fn interrupted(&self) -> Error {
        let saved = match &self.last {
            Some(path) => format!("saved as {}", path.display()),
            None => "nothing is saved yet".to_owned(),
        };
        Error::interrupted(format_args!(
            "interrupted after step {}; {saved}; go on with: train --run {} --resume",
            self.completed.steps,
            self.config.run_dir.path().display()
        ))
    }

    /// The error for a loss or weights that are not finite.
    pub(super) fn diverged(&self, loss: f64, place: std::fmt::Arguments) -> Error {
        let good = match &self.last {
            Some(path) => path.display().to_string(),
            None => "none yet".to_owned(),
        };
        Error::failed(format_args!(
            "the loss is {loss} {place}: try a lower learning rate (--lr); the last good \
             checkpoint: {good}"
        ))
    }
}
