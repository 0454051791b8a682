//! `[train.progressive_resizing]`: smaller images at the beginning of a run. The names, the
//! defaults and the rule are those of Composer's ProgressiveResizing, except that `resize`
//! filters as torchvision's Resize does. Composer's takes the nearest pixel.

use serde::{Deserialize, Serialize};

use super::refuse;
use crate::Result;
use crate::schedule::Position;

/// How the size of training images grows during a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProgressiveResizing {
    /// How images are made smaller.
    pub mode: ResizeMode,
    /// The sides at the beginning, as a share of the full sides.
    pub initial_scale: f64,
    /// The share of the run's steps before the sides begin to grow.
    pub delay_fraction: f64,
    /// The share of the run's steps, at its end, with images of full size.
    pub finetune_fraction: f64,
    /// Sides are rounded to a multiple of this number of pixels.
    pub size_increment: usize,
}

/// How images are made smaller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResizeMode {
    /// A part of the image, the same for all images of a batch.
    Crop,
    /// The whole image, scaled down.
    #[default]
    Resize,
}

impl Default for ProgressiveResizing {
    fn default() -> Self {
        Self {
            mode: ResizeMode::default(),
            initial_scale: 0.5,
            delay_fraction: 0.5,
            finetune_fraction: 0.2,
            size_increment: 4,
        }
    }
}

impl ProgressiveResizing {
    /// Rejects values out of range.
    pub(super) fn check(&self) -> Result<()> {
        let is_scale = self.initial_scale > 0.0 && self.initial_scale <= 1.0;
        if !is_scale {
            return refuse(
                "progressive_resizing.initial_scale",
                "must be above 0 and at most 1",
            );
        }
        for (key, fraction) in [
            ("progressive_resizing.delay_fraction", self.delay_fraction),
            ("progressive_resizing.finetune_fraction", self.finetune_fraction),
        ] {
            if !(0.0..=1.0).contains(&fraction) {
                return refuse(key, "must be from 0 to 1");
            }
        }
        if self.delay_fraction + self.finetune_fraction > 1.0 {
            return refuse(
                "progressive_resizing.delay_fraction",
                "and progressive_resizing.finetune_fraction must not add up to more than 1",
            );
        }
        if self.size_increment == 0 {
            return refuse("progressive_resizing.size_increment", "must be at least 1");
        }
        Ok(())
    }

    /// The height and width of the images of the step at this position, if `full` is their
    /// full height and width.
    pub fn size(&self, full: [usize; 2], at: Position) -> [usize; 2] {
        let elapsed = at.step as f64 / at.steps.max(1) as f64;
        self.size_at(full, self.scale(elapsed))
    }

    /// Every height and width below the full ones that images may have during a run, from the
    /// smallest on.
    pub fn smaller_sizes(&self, full: [usize; 2]) -> Vec<[usize; 2]> {
        let initial = self.size_at(full, self.initial_scale);
        if initial == full {
            return Vec::new();
        }
        if self.growing_fraction() <= 0.0 {
            return vec![initial];
        }
        let mut sizes = Vec::new();
        for width in (initial[1]..full[1]).step_by(self.size_increment) {
            sizes.push(with_width(full, width));
        }
        sizes
    }

    /// The scale of the sides after this share of the run's steps.
    fn scale(&self, elapsed: f64) -> f64 {
        let growing = self.growing_fraction();
        let since = elapsed - self.delay_fraction;
        let part = if since < 0.0 {
            0.0
        } else if since < growing {
            since / growing
        } else {
            1.0
        };
        self.initial_scale + (1.0 - self.initial_scale) * part
    }

    /// The share of the run's steps in which the sides grow.
    fn growing_fraction(&self) -> f64 {
        1.0 - (self.delay_fraction + self.finetune_fraction)
    }

    /// The height and width at this scale. The width is rounded to a multiple of
    /// `size_increment`, and the height follows from the width.
    fn size_at(&self, full: [usize; 2], scale: f64) -> [usize; 2] {
        let increment = self.size_increment;
        let multiple = (full[1] as f64 * scale / increment as f64).round_ties_even();
        let width = (multiple as usize).max(1).saturating_mul(increment);
        // A full width need not be a multiple of `size_increment`.
        if scale >= 1.0 || width >= full[1] { full } else { with_width(full, width) }
    }
}

/// The height and width at this width, as a part of `full`.
fn with_width([full_height, full_width]: [usize; 2], width: usize) -> [usize; 2] {
    let height = full_height * width / full_width;
    [height.max(1), width]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(step: u64) -> Position {
        Position { epoch: step / 10, epochs: 10, step, steps: 100 }
    }

    #[test]
    fn sizes_wait_then_grow_then_stay() {
        let resizing = ProgressiveResizing {
            delay_fraction: 0.2,
            finetune_fraction: 0.4,
            size_increment: 32,
            ..ProgressiveResizing::default()
        };
        let mut changes = Vec::new();
        for step in 0..100 {
            let size = resizing.size([224, 224], at(step));
            if changes.last().is_none_or(|(_, last)| *last != size) {
                changes.push((step, size));
            }
        }
        // Between steps 20 and 60, the width grows by 2.8 pixels a step. 112 / 32 and 144 / 32
        // are ties, which are rounded to the even number.
        assert_eq!(
            changes,
            [(0, [128, 128]), (32, [160, 160]), (43, [192, 192]), (55, [224, 224])]
        );
        assert_eq!(resizing.size([224, 224], at(100)), [224, 224]);
    }

    #[test]
    fn without_a_ramp_the_size_changes_once() {
        let resizing = ProgressiveResizing {
            initial_scale: 0.78,
            delay_fraction: 0.6,
            finetune_fraction: 0.4,
            size_increment: 1,
            ..ProgressiveResizing::default()
        };
        assert_eq!(resizing.size([32, 32], at(59)), [25, 25]);
        assert_eq!(resizing.size([32, 32], at(60)), [32, 32]);
        assert_eq!(resizing.smaller_sizes([32, 32]), [[25, 25]]);
        // As floating point numbers, 1 - 0.7 - 0.3 is more than 0.
        let resizing = ProgressiveResizing {
            delay_fraction: 0.3,
            finetune_fraction: 0.7,
            ..resizing
        };
        assert_eq!(resizing.size([32, 32], at(30)), [32, 32]);
    }

    #[test]
    fn smaller_sizes_are_multiples_of_the_increment() {
        let resizing = ProgressiveResizing::default();
        let expected = [[9, 16], [12, 20], [14, 24], [17, 28], [19, 32]];
        assert_eq!(resizing.smaller_sizes([21, 34]), expected);
        let resizing = ProgressiveResizing { initial_scale: 1.0, ..resizing };
        assert_eq!(resizing.smaller_sizes([21, 34]), [[0; 2]; 0]);
    }

    #[test]
    fn every_step_has_one_of_the_sizes() {
        for full in [[32, 32], [30, 50], [7, 300], [1, 1], [33, 5]] {
            for size_increment in [1, 4, 7, 64, usize::MAX] {
                for initial_scale in [0.01, 0.3, 0.5, 0.99, 1.0] {
                    let resizing = ProgressiveResizing {
                        initial_scale,
                        size_increment,
                        ..ProgressiveResizing::default()
                    };
                    let mut sizes = resizing.smaller_sizes(full);
                    assert!(!sizes.contains(&full));
                    sizes.push(full);
                    let mut last = [1, 1];
                    for step in 0..100 {
                        let size = resizing.size(full, at(step));
                        assert!(sizes.contains(&size), "{resizing:?} {full:?} {size:?}");
                        assert!(size[0] >= last[0] && size[1] >= last[1]);
                        last = size;
                    }
                    assert_eq!(last, full);
                }
            }
        }
    }
}
