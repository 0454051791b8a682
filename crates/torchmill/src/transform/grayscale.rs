//! `Grayscale`.

use super::arguments::transform;
use super::image::{Form, Image, Kind, Sample, needs_image};
use super::random::Rng;
use super::step::{Step, Wrong};
use crate::Result;

transform! {
    /// The luminance of an image (ITU-R 601-2), as PIL's convert("L") computes it.
    pub struct Grayscale {
        /// 1, or 3 equal ones.
        pub num_output_channels: usize = 1,
    }
}

impl Step for Grayscale {
    fn check(&self) -> std::result::Result<(), Wrong> {
        match self.num_output_channels {
            1 | 3 => Ok(()),
            n => {
                Err(Wrong::new("num_output_channels", format!("must be 1 or 3, not {n}")))
            }
        }
    }

    fn output(&self, input: Form) -> Result<Form> {
        if input.kind == Kind::Tensor {
            return Err(needs_image());
        }
        Ok(Form { channels: self.num_output_channels, ..input })
    }

    fn apply(&self, sample: Sample, _: &mut Rng) -> Result<Sample> {
        let image = sample.into_image()?;
        Ok(Sample::Image(if self.num_output_channels == 3 {
            gray_rgb(&image)
        } else {
            gray(&image)
        }))
    }
}

/// One channel of luminance.
pub(super) fn gray(image: &Image) -> Image {
    let pixels = match image.channels {
        3 => image.pixels.chunks_exact(3).map(|p| luminance(p[0], p[1], p[2])).collect(),
        _ => image.pixels.clone(),
    };
    Image { channels: 1, pixels, ..*image }
}

/// Three equal channels of luminance.
pub(super) fn gray_rgb(image: &Image) -> Image {
    let pixels = gray(image).pixels.iter().flat_map(|&l| [l; 3]).collect();
    Image { channels: 3, pixels, ..*image }
}

/// 0.299 R + 0.587 G + 0.114 B in 16-bit fixed point, rounded: the integer work of PIL's convert("L").
pub(super) fn luminance(r: u8, g: u8, b: u8) -> u8 {
    ((u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000) >> 16)
        as u8
}
