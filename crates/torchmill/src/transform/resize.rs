//! `Resize`.

use super::arguments::transform;
use super::crop::CenterCrop;
use super::image::{Form, Image, Kind, Sample, needs_image};
use super::random::Rng;
use super::resample::{part, resized};
use super::step::{Step, Wrong};
use super::types::{Interpolation, Size};
use crate::Result;

transform! {
    /// An image at another size, filtered as Pillow does: always with antialiasing, as
    /// torchvision on PIL images.
    pub struct Resize {
        /// `n` for the shorter side, the aspect ratio kept, or `(height, width)`; `None`
        /// with `max_size`.
        pub size: Option<Size>,
        /// The filter.
        pub interpolation: Interpolation = Interpolation::Bilinear,
        /// The longer side is at most this; where the size is one number or `None`.
        pub max_size: Option<usize> = None,
        /// Has no effect on images, as in torchvision.
        pub antialias: Option<bool> = Some(true),
    }
}

impl Resize {
    /// Height and width for an image of this height and width.
    pub fn size_for(&self, height: usize, width: usize) -> (usize, usize) {
        let (short, long) = (height.min(width), height.max(width));
        let scaled = |to: usize, times: usize, by: usize| {
            (to as f64 * times as f64 / by as f64) as usize
        };
        let (new_short, new_long) = match (self.size, self.max_size) {
            (Some(Size::Exact(height, width)), _) => return (height, width),
            (None, None) => return (height, width),
            (None, Some(max)) => (scaled(max, short, long), max),
            (Some(Size::Side(side)), max) => match (scaled(side, long, short), max) {
                (new_long, Some(max)) if new_long > max => {
                    (scaled(max, side, new_long), max)
                }
                (new_long, _) => (side, new_long),
            },
        };
        if width <= height { (new_long, new_short) } else { (new_short, new_long) }
    }
}

impl Resize {
    /// What [`CenterCrop`] then leaves of the image, without the rest being made first:
    /// the same pixels, sooner.
    pub(super) fn then_crop(&self, image: Image, crop: &CenterCrop) -> Result<Image> {
        let (height, width) = self.size_for(image.height, image.width);
        match crop.inside(height, width) {
            Some(window) => part(image, [height, width], window, self.interpolation),
            None => {
                let resized =
                    Sample::Image(resized(image, height, width, self.interpolation)?);
                crop.cropped(&resized)?.into_image()
            }
        }
    }
}

impl Step for Resize {
    fn check(&self) -> std::result::Result<(), Wrong> {
        match (self.size, self.max_size) {
            (None, None) => {
                Err(Wrong::new("size", "is None: then max_size must be given"))
            }
            (Some(Size::Exact(..)), Some(_)) => Err(Wrong::new(
                "max_size",
                "goes with a size of one number, not with (height, width)",
            )),
            (Some(Size::Side(side)), Some(max)) if max <= side => Err(Wrong::new(
                "max_size",
                format!("must be larger than size ({side}), not {max}"),
            )),
            (_, Some(0)) => Err(Wrong::new("max_size", "must be at least 1, not 0")),
            _ => Ok(()),
        }
    }

    fn output(&self, input: Form) -> Result<Form> {
        if input.kind == Kind::Tensor {
            return Err(needs_image());
        }
        let size = match (self.size, input.size) {
            (Some(Size::Exact(height, width)), _) => Some((height, width)),
            (_, Some((height, width))) => Some(self.size_for(height, width)),
            (_, None) => None,
        };
        Ok(Form { size, ..input })
    }

    fn apply(&self, sample: Sample, _: &mut Rng) -> Result<Sample> {
        let image = sample.into_image()?;
        let (height, width) = self.size_for(image.height, image.width);
        resized(image, height, width, self.interpolation).map(Sample::Image)
    }
}
