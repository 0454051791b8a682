//! What a run prints on standard error, apart from its losses and its table.

use torchmill::progress::{self, counted};
use torchmill_nn::device;

use super::{EpochRun, Trainer};
use crate::data::Data;

impl Trainer<'_> {
    /// Describes the training images, the evaluated images, and the checkpoint to
    /// continue from.
    pub(super) fn say_what_starts(&self, data: &Data) {
        progress::note(format_args!("train set size: {}", data.train.len()));
        let (split, size) = (data.eval_name, data.eval.len());
        progress::note(format_args!("{split} set size: {size}"));
        if let Some(test) = &data.test {
            progress::note(format_args!(
                "test set size: {} (tested on once, at the end)",
                test.len()
            ));
        }
        progress::note(format_args!(
            "{}: {} parameters on {}{}",
            self.config.recipe.name,
            progress::count(self.model.network.parameter_count() as u64),
            device::name(self.model.network.device()),
            self.resume_point(),
        ));
        self.say_processes();
    }

    /// Prints the number of processes and the size of their batches together.
    fn say_processes(&self) {
        let size = self.processes.size() as usize;
        if size > 1 {
            let own = self.config.recipe.train.batch_size;
            progress::note(format_args!(
                "{size} processes: batches of {own} images in each, {} together",
                own * size
            ));
        }
    }

    fn resume_point(&self) -> String {
        let Some(path) = &self.config.resume else { return String::new() };
        let path = path.display();
        let epochs = self.completed.epochs;
        match self.completed.batches {
            0 => format!(", going on from {path} after epoch {epochs}"),
            n => {
                format!(", going on from {path} in epoch {} after batch {n}", epochs + 1)
            }
        }
    }

    /// Says that a resumed run has nothing left to do.
    pub(super) fn say_what_is_done(&self) {
        if !self.budget.is_reached(self.completed) {
            return;
        }
        let train = &self.config.recipe.train;
        let (amount, option, done) = match train.steps {
            Some(steps) => {
                (counted(steps, "step", "steps"), "--steps", self.completed.steps)
            }
            None => {
                let epochs = counted(train.epochs, "epoch", "epochs");
                (epochs, "--epochs", self.completed.epochs)
            }
        };
        let is_changed = self.config.before.as_ref().is_some_and(|before| {
            before.train.epochs != train.epochs || before.train.steps != train.steps
        });
        progress::note(if is_changed {
            format!(
                "{amount} requested, {done} done already: nothing to do; {option} makes \
                 it more"
            )
        } else {
            format!(
                "this run's config.toml has {amount}, and they are done; {option} makes \
                 it more"
            )
        });
    }

    pub(super) fn say_time_is_up(&self) {
        progress::note(format_args!(
            "the time is up after step {}; go on with: train --run {} --resume",
            self.completed.steps,
            self.config.run_dir.path().display()
        ));
    }

    pub(super) fn say_why_stopped(&self) {
        if let Some(why) = self.best.should_stop() {
            let epoch = self.completed.epochs;
            progress::note(format_args!("stopped early after epoch {epoch}: {why}"));
        }
    }

    pub(super) fn say_how_long(&self, epoch: &EpochRun, speed: f64) {
        progress::detail(format_args!(
            "epoch {}: {} training ({speed:.0} images/s), {} in all",
            self.completed.epochs,
            progress::duration(epoch.trained),
            progress::duration(epoch.started.elapsed())
        ));
    }
}
