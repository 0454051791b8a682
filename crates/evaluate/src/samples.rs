//! `--samples`: draws some images with the network's predictions, in one picture per
//! checkpoint. The images are always the same, so the pictures of a run's checkpoints
//! show how it learns. `scalars --images` shows them in TensorBoard.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use torchmill::contact_sheet::{self, Caption, Picture, Section};
use torchmill::transform::Image;
use torchmill::{Error, Result, atomic, progress};

use crate::collector::Example;
use crate::config::{sample_name, sample_picture};
use crate::outcome::Outcome;

/// The number of images in a row. TensorBoard shows the picture 320 pixels wide.
const COLUMNS: usize = 3;

/// Checks that no two checkpoints have the same picture file.
pub fn check_names(checkpoints: &[PathBuf]) -> Result<()> {
    let mut named: HashMap<String, PathBuf> = HashMap::new();
    for path in checkpoints {
        // A checkpoint that does not exist is an error when it is read.
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        if let Some(other) = named.insert(sample_name(path), real.clone())
            && other != real
        {
            return Err(Error::usage(format_args!(
                "--samples: {} and {} would both be drawn in {}.png: evaluate them one \
                 after the other",
                other.display(),
                real.display(),
                sample_name(path)
            )));
        }
    }
    Ok(())
}

/// Draws the images with their classes and predictions into a PNG in `folder`. It is
/// named after the checkpoint file, with links such as `last.safetensors` resolved.
/// `picture` returns the picture of an image.
pub fn write(
    folder: &Path,
    checkpoint: &Path,
    outcome: &Outcome,
    samples: &[Example],
    picture: impl Fn(&Example) -> Result<Image>,
) -> Result<()> {
    let drawn = |sample: &Example| -> Result<Picture> {
        let class = |class| contact_sheet::class_name(&outcome.classes, class);
        let share = format!("{:.0} %", 100.0 * sample.confidence);
        let right = Some(sample.prediction == sample.label);
        let captions = vec![
            Caption { text: class(sample.label), right: None },
            Caption { text: class(sample.prediction), right },
            Caption { text: share, right },
        ];
        Ok(Picture { image: contact_sheet::to_rgb(&picture(sample)?), captions })
    };
    let classes = samples.iter().flat_map(|sample| [sample.label, sample.prediction]);
    let numbered = contact_sheet::numbered(&outcome.classes, classes);
    let heading = format!(
        "{} on {}: accuracy {:.2} %. Under each its class, the prediction and its \
         probability",
        sample_name(checkpoint),
        outcome.describe_images(),
        100.0 * outcome.evaluation.accuracy()
    );
    let pictures = samples.iter().map(drawn).collect::<Result<_>>()?;
    let section = Section { heading, titles: Vec::new(), columns: COLUMNS, pictures };
    let png = contact_sheet::draw(&[section], &contact_sheet::LARGE)?;
    let path = sample_picture(folder, checkpoint);
    atomic::write(&path, &png)?;
    progress::detail(path.display());
    if let Some(numbered) = numbered {
        progress::note(format_args!("{}: {numbered}", path.display()));
    }
    Ok(())
}
