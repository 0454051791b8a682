//! From bytes to floats.

use super::arguments::transform;
use super::image::{Form, Image, Kind, Sample, Tensor};
use super::random::Rng;
use super::step::Step;
use crate::Result;

transform! {
    /// A float32 tensor `[C, H, W]` of an image, 0 to 255 scaled to 0 to 1. A tensor stays as it is.
    pub struct ToTensor {}
}

impl Step for ToTensor {
    fn keeps_uint8(&self) -> bool {
        false
    }

    fn output(&self, input: Form) -> Result<Form> {
        Ok(Form { kind: Kind::Tensor, ..input })
    }

    fn apply(&self, sample: Sample, _: &mut Rng) -> Result<Sample> {
        Ok(Sample::Tensor(match sample {
            Sample::Image(image) => tensor(&image, 255.0),
            Sample::Tensor(tensor) => tensor,
        }))
    }
}

transform! {
    /// Nothing: an image here is what torchvision's ToImage makes of it.
    pub struct ToImage {}
}

impl Step for ToImage {
    fn apply(&self, sample: Sample, _: &mut Rng) -> Result<Sample> {
        Ok(sample)
    }
}

/// The planes of an image, each level divided by this.
fn tensor(image: &Image, divisor: f32) -> Tensor {
    let channels = image.channels;
    let mut values = Vec::with_capacity(image.pixels.len());
    for channel in 0..channels {
        values.extend(image.pixels.iter().skip(channel).step_by(channels).map(|&x| f32::from(x) / divisor));
    }
    Tensor { shape: [channels, image.height, image.width], values }
}
