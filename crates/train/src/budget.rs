//! When a run ends: after a number of epochs or steps, or when its time is up.

use std::time::{Duration, Instant};

use torchmill::recipe::Train;
use torchmill_nn::sampler;

/// How much of a run has been done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Completed {
    /// Completed epochs.
    pub epochs: u64,
    /// Batches of the current epoch.
    pub batches: u64,
    /// Optimizer steps.
    pub steps: u64,
}

/// When a run ends.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Batches per epoch.
    pub batches: u64,
    /// Epochs of the whole run. [`Budget::steps`] may end the last one early.
    pub epochs: u64,
    /// Optimizer steps of the whole run.
    pub steps: u64,
    /// Whether the recipe gives the number of steps rather than of epochs.
    is_by_steps: bool,
    deadline: Option<Instant>,
}

impl Budget {
    /// The budget in the recipe for this number of images per epoch and process, and the
    /// time limit from the command line.
    pub fn new(train: &Train, images: usize, max_time: Option<Duration>) -> Self {
        let mut batches = sampler::batches(images, train.batch_size, train.drop_last);
        for limit in [train.limit_train_batches, train.overfit_batches] {
            batches = batches.min(limit.unwrap_or(usize::MAX));
        }
        let batches = batches as u64;
        let (epochs, steps) = match train.steps {
            Some(steps) => (steps.div_ceil(batches.max(1)), steps),
            None => (train.epochs, batches.saturating_mul(train.epochs)),
        };
        let deadline = max_time.and_then(|time| Instant::now().checked_add(time));
        Self { batches, epochs, steps, is_by_steps: train.steps.is_some(), deadline }
    }

    /// The same budget for a run that is partly done. Its epochs so far may have had more
    /// or fewer steps than the rest.
    #[must_use]
    pub fn after(mut self, done: Completed) -> Self {
        let steps = done.steps.saturating_sub(done.batches);
        if self.is_by_steps {
            let left = self.steps.saturating_sub(steps);
            self.epochs = done.epochs.saturating_add(left.div_ceil(self.batches.max(1)));
        } else {
            let epochs = self.epochs.saturating_sub(done.epochs);
            self.steps = steps.saturating_add(self.batches.saturating_mul(epochs));
        }
        self
    }

    /// Whether the time is up.
    pub fn is_time_up(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Whether the budget is used up. After an epoch's last batch it is not, until the
    /// epoch is evaluated and saved: the run may have been killed in between.
    pub fn is_reached(&self, done: Completed) -> bool {
        done.epochs >= self.epochs
            || done.steps >= self.steps && done.batches < self.batches
    }

    /// Whether the last step is done and is not the last of its epoch.
    pub fn ends_within_epoch(&self, done: Completed) -> bool {
        done.steps == self.steps && done.batches < self.batches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(epochs: u64, batches: u64, steps: u64) -> Completed {
        Completed { epochs, batches, steps }
    }

    #[test]
    fn steps_and_limits_set_the_epochs() {
        let train = Train { epochs: 3, batch_size: 8, ..Train::default() };
        let totals = |train: &Train| {
            let budget = Budget::new(train, 203, None);
            (budget.batches, budget.epochs, budget.steps)
        };
        assert_eq!(totals(&train), (25, 3, 75));
        assert_eq!(totals(&Train { drop_last: false, ..train.clone() }), (26, 3, 78));
        assert_eq!(totals(&Train { steps: Some(51), ..train.clone() }), (25, 3, 51));
        // 50 steps in two epochs, then epochs of 12. With a budget of 57 steps, the third
        // epoch has 7 steps.
        let larger = Train { batch_size: 16, ..train.clone() };
        let after = |train: &Train, batch| {
            let done = completed(2, batch, 50 + batch);
            let budget = Budget::new(train, 203, None).after(done);
            (budget.epochs, budget.steps, budget.is_reached(done))
        };
        assert_eq!(after(&larger, 0), (3, 62, false));
        assert_eq!(after(&train, 4), (3, 75, false));
        assert_eq!(
            after(&Train { steps: Some(57), ..larger.clone() }, 0),
            (3, 57, false)
        );
        assert_eq!(after(&Train { steps: Some(50), ..larger }, 0), (2, 50, true));
        let limited = Train {
            limit_train_batches: Some(4),
            overfit_batches: Some(2),
            ..train.clone()
        };
        assert_eq!(totals(&limited), (2, 3, 6));
        assert_eq!(
            totals(&Train { limit_train_batches: Some(99), ..train }),
            (25, 3, 75)
        );
    }

    #[test]
    fn a_last_epoch_without_its_checkpoint_is_not_over() {
        for train in [
            Train { epochs: 3, ..Train::default() },
            Train { steps: Some(75), ..Train::default() },
        ] {
            let budget = Budget::new(&Train { batch_size: 8, ..train }, 200, None)
                .after(completed(2, 25, 75));
            assert!(!budget.is_reached(completed(2, 25, 75)));
            assert!(budget.is_reached(completed(3, 0, 75)));
        }
        let train = Train { steps: Some(74), batch_size: 8, ..Train::default() };
        let done = completed(2, 24, 74);
        assert!(Budget::new(&train, 200, None).after(done).is_reached(done));
    }

    #[test]
    fn time_is_up_when_it_is_up() {
        let budget = |time| Budget::new(&Train::default(), 100, time);
        assert!(budget(Some(Duration::ZERO)).is_time_up());
        assert!(!budget(Some(Duration::MAX)).is_time_up() && !budget(None).is_time_up());
        assert!(budget(None).is_reached(completed(10, 0, 0)));
        assert!(!budget(None).is_reached(completed(0, 9, 9)));
    }
}
