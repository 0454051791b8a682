//! The result of an evaluation, independent of the output format.

use torchmill::recipe::Tta;
use torchmill_nn::evaluation::Evaluation;

use crate::class_report::ClassReport;

/// A checkpoint's results on some labelled images.
pub struct Outcome {
    /// The checkpoint's path.
    pub checkpoint: String,
    /// The images.
    pub images: Images,
    /// The batch size for the total loss.
    pub batch_size: usize,
    /// Test-time augmentation: the copies of each image whose outputs were averaged.
    pub tta: Option<Tta>,
    /// The metrics' values.
    pub evaluation: Evaluation,
    /// The figures of each class.
    pub report: ClassReport,
    /// The class names.
    pub classes: Vec<String>,
}

/// The images that were evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Images {
    /// A split of the shards.
    Split(String),
    /// A folder of image files.
    Folder(String),
}

impl Images {
    /// The name of the split or folder, for a column of a table.
    pub fn name(&self) -> &str {
        match self {
            Self::Split(name) | Self::Folder(name) => name,
        }
    }
}

impl Outcome {
    /// A description of the images: `10000 test images`, perhaps `with flip`.
    pub fn describe_images(&self) -> String {
        let count = self.evaluation.count;
        let images = if count == 1 { "image" } else { "images" };
        let described = match &self.images {
            Images::Split(split) => format!("{count} {split} {images}"),
            Images::Folder(folder) => format!("{count} {images} of {folder}"),
        };
        match self.tta {
            Some(tta) => format!("{described} with {tta}"),
            None => described,
        }
    }

    /// The `k`s of top-k accuracy: `given`, or else 1, and also 5 if there are more than
    /// ten classes.
    pub fn top_k(&self, given: &[usize]) -> Vec<usize> {
        if !given.is_empty() {
            given.to_vec()
        } else if self.classes.len() > 10 {
            vec![1, 5]
        } else {
            vec![1]
        }
    }
}

/// The result for one image of a cat, which was taken for a dog, with NaN for every
/// metric.
#[cfg(test)]
pub fn example() -> Outcome {
    let mut report = ClassReport::new(2);
    report.push(0, &[0.0, 1.0], &[0.3, 0.7]);
    let values = [f64::NAN; torchmill::metric::METRICS.len()];
    Outcome {
        checkpoint: "</script><b>".into(),
        images: Images::Split("test".into()),
        batch_size: 64,
        tta: None,
        evaluation: Evaluation { count: 1, values },
        report,
        classes: ["cat", "dog"].map(String::from).to_vec(),
    }
}
