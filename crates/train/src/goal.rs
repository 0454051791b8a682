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
    deadline: Option<Instant>,
}

impl Goal {
    /// What the recipe asks for with so many training images, and the time that the command line gives.
    pub fn new(train: &Train, images: usize, max_time: Option<Duration>) -> Self {
        let all = sampler::batches(images, train.batch_size, train.drop_last);
        let limits = [train.limit_train_batches, train.overfit_batches];
        let batches = limits.into_iter().flatten().fold(all, usize::min) as u64;
        let epochs = train.steps.map_or(train.epochs, |steps| steps.div_ceil(batches.max(1)));
        let steps = train.steps.unwrap_or(batches.saturating_mul(epochs));
        Self { batches, epochs, steps, deadline: max_time.and_then(|t| Instant::now().checked_add(t)) }
    }

    /// Whether the time is up.
    pub fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Whether so many epochs and steps are all that was asked for.
    pub fn is_reached(&self, epoch: u64, step: u64) -> bool {
        epoch >= self.epochs || step >= self.steps
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
        let limited = Train { limit_train_batches: Some(4), overfit_batches: Some(2), ..train.clone() };
        assert_eq!(totals(&limited), (2, 3, 6));
        assert_eq!(totals(&Train { limit_train_batches: Some(99), ..train }), (25, 3, 75));
    }

    #[test]
    fn time_is_up_when_it_is_up() {
        let goal = |time| Goal::new(&Train::default(), 100, time);
        assert!(goal(Some(Duration::ZERO)).is_late());
        assert!(!goal(Some(Duration::MAX)).is_late() && !goal(None).is_late());
        assert!(goal(None).is_reached(10, 0) && !goal(None).is_reached(0, 9));
    }
}
