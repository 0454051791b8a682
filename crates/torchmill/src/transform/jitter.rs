//! `ColorJitter` and the other random changes of colour.

use super::arguments::transform;
use super::grayscale::gray_rgb;
use super::image::{Form, Image, Kind, Sample, needs_image};
use super::levels::{autocontrast, equalize, invert, posterize, solarize};
use super::random::{Rng, below, between, happens};
use super::step::{Step, Wrong};
use super::types::Spread;
use super::{enhance, hue};
use crate::Result;

transform! {
    /// Changes brightness, contrast, saturation and hue at random, in a random order.
    pub struct ColorJitter {
        /// Factor: `b` for max(0, 1 - b) to 1 + b, or `(from, to)`.
        pub brightness: Option<Spread> = None,
        /// Factor, likewise.
        pub contrast: Option<Spread> = None,
        /// Factor, likewise.
        pub saturation: Option<Spread> = None,
        /// Shares of the colour circle: `h` for -h to h, or `(from, to)`, within -0.5 to
        /// 0.5.
        pub hue: Option<Spread> = None,
    }
}

/// No factor is larger than this; it is only there to keep infinities out.
const MAX_FACTOR: f64 = 1e6;

/// The range of a factor, `None` where it would change nothing.
fn factor(spread: Option<Spread>) -> Option<[f64; 2]> {
    let [low, high] = spread?.about(1.0);
    Some([low.max(0.0), high]).filter(|&range| range != [1.0, 1.0])
}

impl Step for ColorJitter {
    fn check(&self) -> std::result::Result<(), Wrong> {
        let factors = [
            ("brightness", self.brightness),
            ("contrast", self.contrast),
            ("saturation", self.saturation),
        ];
        for (name, spread) in factors {
            // A distance beyond 1 is cut off at the factor 0, a range must not go there.
            let low = if let Some(Spread::By(_)) = spread { -MAX_FACTOR } else { 0.0 };
            spread.map_or(Ok(()), |s| s.check(name, 1.0, [low, MAX_FACTOR]))?;
        }
        self.hue.map_or(Ok(()), |s| s.check("hue", 0.0, [-0.5, 0.5]))
    }

    fn is_random(&self) -> bool {
        true
    }

    fn output(&self, input: Form) -> Result<Form> {
        images_only(input)
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        let mut image = sample.into_image()?;
        type Change = fn(&Image, f64) -> Image;
        let hue_range =
            self.hue.map(|s| s.about(0.0)).filter(|&range| range != [0.0, 0.0]);
        let mut changes: Vec<(Change, Option<[f64; 2]>)> = vec![
            (enhance::brightness, factor(self.brightness)),
            (enhance::contrast, factor(self.contrast)),
            (enhance::saturation, factor(self.saturation)),
            (hue::hue, hue_range),
        ];
        while !changes.is_empty() {
            let (change, range) = changes.swap_remove(below(changes.len(), rng));
            if let Some(range) = range {
                image = change(&image, between(range, rng));
            }
        }
        Ok(Sample::Image(image))
    }
}

/// What is done to the image with probability `p`.
macro_rules! with_probability {
    ($name:ident, $self:ident, $image:ident => $result:expr $(, check $check:expr)?) => {
        impl Step for $name {
            fn check(&$self) -> std::result::Result<(), Wrong> {
                $( $check?; )?
                Wrong::unless_probability("p", $self.p)
            }

            fn is_random(&self) -> bool {
                true
            }

            fn output(&self, input: Form) -> Result<Form> {
                images_only(input)
            }

            fn apply(&$self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
                let $image = sample.into_image()?;
                Ok(Sample::Image(if happens($self.p, rng) { $result } else { $image }))
            }
        }
    };
}

transform! {
    /// Grey with probability `p`; the channels stay.
    pub struct RandomGrayscale {
        /// How likely.
        pub p: f64 = 0.1,
    }
}
with_probability!(RandomGrayscale, self, image => match image.channels {
    3 => gray_rgb(&image),
    _ => image,
});

transform! {
    /// Light to dark with probability `p`.
    pub struct RandomInvert {
        /// How likely.
        pub p: f64 = 0.5,
    }
}
with_probability!(RandomInvert, self, image => invert(&image));

transform! {
    /// Fewer bits a level, with probability `p`.
    pub struct RandomPosterize {
        /// How many bits to keep, 0 to 8.
        pub bits: usize,
        /// How likely.
        pub p: f64 = 0.5,
    }
}
with_probability!(
    RandomPosterize,
    self,
    image => posterize(&image, self.bits as u32),
    check if self.bits > 8 {
        Err(Wrong::new("bits", format!("must be from 0 to 8, not {}", self.bits)))
    } else {
        Ok(())
    }
);

transform! {
    /// Inverts the levels from a threshold on, with probability `p`.
    pub struct RandomSolarize {
        /// The first level that is inverted.
        pub threshold: f64,
        /// How likely.
        pub p: f64 = 0.5,
    }
}
with_probability!(RandomSolarize, self, image => solarize(&image, self.threshold));

transform! {
    /// Sharper or softer, with probability `p`.
    pub struct RandomAdjustSharpness {
        /// 0 is blurred, 1 the image, 2 sharper.
        pub sharpness_factor: f64,
        /// How likely.
        pub p: f64 = 0.5,
    }
}
with_probability!(
    RandomAdjustSharpness,
    self,
    image => enhance::sharpness(&image, self.sharpness_factor),
    check if (0.0..=MAX_FACTOR).contains(&self.sharpness_factor) {
        Ok(())
    } else {
        Err(Wrong::new("sharpness_factor", "must not be negative"))
    }
);

transform! {
    /// Each channel stretched to the full range, with probability `p`.
    pub struct RandomAutocontrast {
        /// How likely.
        pub p: f64 = 0.5,
    }
}
with_probability!(RandomAutocontrast, self, image => autocontrast(&image));

transform! {
    /// Each channel's histogram evened out, with probability `p`.
    pub struct RandomEqualize {
        /// How likely.
        pub p: f64 = 0.5,
    }
}
with_probability!(RandomEqualize, self, image => equalize(&image));

/// Refuses tensors.
pub(super) fn images_only(input: Form) -> Result<Form> {
    match input.kind {
        Kind::Image => Ok(input),
        Kind::Tensor => Err(needs_image()),
    }
}
