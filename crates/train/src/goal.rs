//! When a run is over: after so many epochs or steps, or when its time is up.

use std::time::{Duration, Instant};

use torchmill::recipe::Train;
use torchmill_nn::sampler;

/// How far a run is to go.
#[derive(Debug, Clone, Copy)]
pub struct Goal {
    /// Batches of an epoch.
    pub batches: u64,
    /// Epochs of the whole run, the last one perhaps cut short by [`Goal::steps`].
    pub epochs: u64,
    /// Optimizer steps of the whole run.
    pub steps: u64,
    /// Whether that many are asked for, whatever epochs they make.
    by_steps: bool,
    deadline: Option<Instant>,
}

impl Goal {
    /// What the recipe asks for with so many training images, and the time that the
    /// command line gives.
    pub fn new(train: &Train, images: usize, max_time: Option<Duration>) -> Self {
        let all = sampler::batches(images, train.batch_size, train.drop_last);
        let limits = [train.limit_train_batches, train.overfit_batches];
        let batches = limits.into_iter().flatten().fold(all, usize::min) as u64;
        let epochs =
            train.steps.map_or(train.epochs, |steps| steps.div_ceil(batches.max(1)));
        let steps = train.steps.unwrap_or(batches.saturating_mul(epochs));
        let deadline = max_time.and_then(|t| Instant::now().checked_add(t));
        Self { batches, epochs, steps, by_steps: train.steps.is_some(), deadline }
    }

    /// The same for a run of which so many epochs, batches of the next and steps have
    /// been made. Epochs may have been of more or fewer steps than those to come.
    #[must_use]
    pub fn after(self, epoch: u64, batch: u64, step: u64) -> Self {
        let whole = step.saturating_sub(batch);
        if self.by_steps {
            let left = self.steps.saturating_sub(whole);
            return Self {
                epochs: epoch.saturating_add(left.div_ceil(self.batches.max(1))),
                ..self
            };
        }
        let left = self.batches.saturating_mul(self.epochs.saturating_sub(epoch));
        Self { steps: whole.saturating_add(left), ..self }
    }

    /// Whether the time is up.
    pub fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Whether so many epochs, batches of the next and steps are all that was asked for.
    /// Where an epoch's batches have all been made, its evaluation and its checkpoint are
    /// still to come: so it is with a run that was killed between the two.
    pub fn is_reached(&self, epoch: u64, batch: u64, step: u64) -> bool {
        epoch >= self.epochs || step >= self.steps && batch < self.batches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_limits_set_the_epochs() {
        let train = Train { epochs: 3, batch_size: 8, ..Train::default() };
        let totals = |train: &Train| {
            let goal = Goal::new(train, 203, None);
            (goal.batches, goal.epochs, goal.steps)
        };
        assert_eq!(totals(&train), (25, 3, 75));
        assert_eq!(totals(&Train { drop_last: false, ..train.clone() }), (26, 3, 78));
        assert_eq!(totals(&Train { steps: Some(51), ..train.clone() }), (25, 3, 51));
        // 50 steps in two epochs, then epochs of 12; the third has 7 to go where 57 steps
        // are asked for.
        let larger = Train { batch_size: 16, ..train.clone() };
        let after = |train: &Train, batch| {
            let goal = Goal::new(train, 203, None).after(2, batch, 50 + batch);
            (goal.epochs, goal.steps, goal.is_reached(2, batch, 50 + batch))
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
            let goal =
                Goal::new(&Train { batch_size: 8, ..train }, 200, None).after(2, 25, 75);
            assert!(!goal.is_reached(2, 25, 75) && goal.is_reached(3, 0, 75));
        }
        let train = Train { steps: Some(74), batch_size: 8, ..Train::default() };
        assert!(Goal::new(&train, 200, None).after(2, 24, 74).is_reached(2, 24, 74));
    }

    #[test]
    fn time_is_up_when_it_is_up() {
        let goal = |time| Goal::new(&Train::default(), 100, time);
        assert!(goal(Some(Duration::ZERO)).is_late());
        assert!(!goal(Some(Duration::MAX)).is_late() && !goal(None).is_late());
        assert!(goal(None).is_reached(10, 0, 0) && !goal(None).is_reached(0, 9, 9));
    }
}
