//! `Resize`.

use super::CenterCrop;
use crate::Result;
use crate::transform::argument::{Checked, InvalidArgument, transform};
use crate::transform::argument_types::{Interpolation, Size};
use crate::transform::pixels::resample::{Filter, Resizing, resize, resize_part};
use crate::transform::random::Rng;
use crate::transform::sample::{
    DecodedPart, FilePart, Image, Sample, SampleSpec, elements,
};
use crate::transform::step::Step;
use crate::transform::view::View;

transform! {
    /// Resizes an image with Pillow's filters, always with antialiasing, as torchvision does
    /// with PIL images.
    pub struct Resize {
        /// `n` for the shorter side, the aspect ratio kept, or `(height, width)`; `None`
        /// with `max_size`.
        pub size: Option<Size>,
        /// The filter.
        pub interpolation: Interpolation = Interpolation::Bilinear,
        /// The largest longer side, if the size is one number or `None`.
        pub max_size: Option<usize> = None,
        /// Has no effect on images, as in torchvision.
        pub antialias: Option<bool> = Some(true),
    }
}

impl Resize {
    /// Height and width for an image of this height and width.
    pub fn size_for(&self, height: usize, width: usize) -> (usize, usize) {
        let (short, long) = (height.min(width), height.max(width));
        let (new_short, new_long) = match (self.size, self.max_size) {
            (Some(Size::Exact(height, width)), _) => return (height, width),
            (None, None) => return (height, width),
            (None, Some(max)) => (scaled(max, short, long), max),
            (Some(Size::Side(side)), max) => {
                let new_long = scaled(side, long, short);
                match max {
                    Some(max) if new_long > max => (scaled(max, side, new_long), max),
                    _ => (side, new_long),
                }
            }
        };
        if width <= height { (new_long, new_short) } else { (new_short, new_long) }
    }

    /// The part of the resized image that [`CenterCrop`] keeps, without computing the
    /// rest.
    pub(in crate::transform) fn then_crop(
        &self,
        image: Image,
        crop: &CenterCrop,
    ) -> Result<Image> {
        let (height, width) = self.size_for(image.height, image.width);
        if let Some(window) = crop.window(height, width) {
            return resize_part(image, [height, width], window, self.interpolation);
        }
        let resized = resize(image, height, width, self.interpolation)?;
        crop.crop(&Sample::Image(resized))?.into_image()
    }

    /// The same for an image file whose image has this `[C, H, W]`. `None` if all of it is
    /// needed.
    pub(in crate::transform) fn then_crop_file(
        &self,
        crop: &CenterCrop,
        [channels, from_height, from_width]: [usize; 3],
    ) -> Option<ResizedCrop> {
        let (height, width) = self.size_for(from_height, from_width);
        // What is too large is refused when it is resized as a whole.
        elements(channels, from_height, from_width).ok()?;
        elements(channels, height, width).ok()?;
        let window = crop.window(height, width)?;
        let filter = Filter::new(self.interpolation)?;
        let is_whole = window == [0..height, 0..width];
        if is_whole && [height, width] == [from_height, from_width] {
            return None;
        }
        let resizing =
            Resizing::new([from_height, from_width], [height, width], window, &filter);
        let [rows, columns] = resizing.inputs();
        Some(ResizedCrop { resizing, part: FilePart { rows, columns, scale: 1 } })
    }
}

/// A Resize with a CenterCrop after it, for an image file: only what the crop needs is
/// decoded.
pub(in crate::transform) struct ResizedCrop {
    resizing: Resizing,
    part: FilePart,
}

impl ResizedCrop {
    /// The part of the file that is needed.
    pub(in crate::transform) fn part(&self) -> &FilePart {
        &self.part
    }

    /// Resizes and crops the image whose part this is.
    pub(in crate::transform) fn apply(self, decoded: &DecodedPart) -> Result<Image> {
        let origin = [self.part.rows.start, decoded.left];
        self.resizing.apply(&View::of(&decoded.image), origin)
    }
}

/// `to * times / by` in floats, truncated, as torchvision computes it.
fn scaled(to: usize, times: usize, by: usize) -> usize {
    (to as f64 * times as f64 / by as f64) as usize
}

impl Step for Resize {
    fn check(&self) -> Checked {
        let (parameter, why) = match (self.size, self.max_size) {
            (None, None) => ("size", "must not be None without max_size".to_owned()),
            (Some(Size::Exact(..)), Some(_)) => {
                ("max_size", "needs a size of one number, not (height, width)".to_owned())
            }
            (Some(Size::Side(side)), Some(max)) if max <= side => {
                ("max_size", format!("must be larger than size ({side}), not {max}"))
            }
            (_, Some(0)) => ("max_size", "must be at least 1, not 0".to_owned()),
            _ => return Ok(()),
        };
        Err(InvalidArgument::new(parameter, why))
    }

    fn output(&self, input: SampleSpec) -> Result<SampleSpec> {
        let input = input.require_image()?;
        let size = match (self.size, input.size) {
            (Some(Size::Exact(height, width)), _) => Some((height, width)),
            (_, Some((height, width))) => Some(self.size_for(height, width)),
            (_, None) => None,
        };
        Ok(SampleSpec { size, ..input })
    }

    fn apply(&self, sample: Sample, _: &mut Rng) -> Result<Sample> {
        let image = sample.into_image()?;
        let (height, width) = self.size_for(image.height, image.width);
        resize(image, height, width, self.interpolation).map(Sample::Image)
    }
}
