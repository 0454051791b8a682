//! What an evaluation found, before it is written in any format.

use torchmill_nn::evaluation::Evaluation;

use crate::figures::Figures;

/// A checkpoint's results on some labelled images.
pub struct Outcome {
    /// The checkpoint's path.
    pub checkpoint: String,
    /// The images.
    pub on: On,
    /// Images a batch in the total loss.
    pub batch_size: usize,
    /// Losses and hits.
    pub evaluation: Evaluation,
    /// Everything that is counted.
    pub figures: Figures,
    /// The class names.
    pub classes: Vec<String>,
}

/// Which images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum On {
    /// A split of the shards.
    Split(String),
    /// A folder of image files.
    Folder(String),
}

impl On {
    /// For a table's column.
    pub fn name(&self) -> &str {
        match self {
            Self::Split(name) | Self::Folder(name) => name,
        }
    }
}

impl Outcome {
    /// What was evaluated: `10000 test images`.
    pub fn images(&self) -> String {
        let count = self.evaluation.count;
        match &self.on {
            On::Split(split) => format!("{count} {split} images"),
            On::Folder(folder) => format!("{count} images of {folder}"),
        }
    }

    /// The `k`s whose top-k accuracy is asked for; without a wish 1, and 5 where there
    /// are more than ten classes.
    pub fn top_k(&self, asked: &[u32]) -> Vec<usize> {
        match asked {
            [] if self.classes.len() > 10 => vec![1, 5],
            [] => vec![1],
            asked => asked.iter().map(|&k| k as usize).collect(),
        }
    }
}
