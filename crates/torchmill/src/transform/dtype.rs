//! The data types of samples, and conversions between them.

use super::argument::names;
use super::sample::{Image, Sample, SampleKind, Tensor};

names! {
    /// The type of the numbers.
    pub enum Dtype written |text: &str| format!("torch.{text}"); {
        /// Bytes, 0 to 255.
        Uint8 = "uint8",
        /// Floats, usually 0 to 1.
        Float32 = "float32" | "float",
    }
}

impl Dtype {
    /// The kind of samples that have numbers of this type.
    pub(super) fn kind(self) -> SampleKind {
        match self {
            Self::Uint8 => SampleKind::Image,
            Self::Float32 => SampleKind::Tensor,
        }
    }

    /// Converts a sample. With `scale`, 255 becomes 1 and 1 becomes 255.
    pub(super) fn convert(self, sample: Sample, scale: bool) -> Sample {
        match (self, sample) {
            (Self::Float32, Sample::Image(image)) if scale => {
                // torchvision multiplies here and divides in ToTensor. Some results differ
                // in the last bit.
                Sample::Tensor(to_tensor(&image, |x| x * (1.0 / 255.0)))
            }
            (Self::Float32, Sample::Image(image)) => {
                Sample::Tensor(to_tensor(&image, |x| x))
            }
            (Self::Uint8, Sample::Tensor(tensor)) => {
                // torchvision multiplies by a little less than 256 and truncates, so that
                // 1.0 becomes 255 and each level has an equal share of 0 to 1.
                let factor = if scale { 256.0 - 1e-3 } else { 1.0 };
                Sample::Image(to_image(&tensor, factor))
            }
            (_, same) => same,
        }
    }
}

/// The channels of an image as planes, with `value` applied to each level.
pub(super) fn to_tensor(image: &Image, value: impl Fn(f32) -> f32) -> Tensor {
    let channels = image.channels;
    let table: [f32; 256] = std::array::from_fn(|x| value(x as f32));
    let mut values = Vec::with_capacity(image.pixels.len());
    for channel in 0..channels {
        let pixels = image.pixels.chunks_exact(channels);
        values.extend(pixels.map(|pixel| table[usize::from(pixel[channel])]));
    }
    Tensor { shape: [channels, image.height, image.width], values }
}

/// The image of a tensor: each value times `factor`, truncated and clipped to 0 to 255.
fn to_image(tensor: &Tensor, factor: f32) -> Image {
    let [channels, height, width] = tensor.shape;
    let plane = height * width;
    let mut pixels = Vec::with_capacity(channels * plane);
    for i in 0..plane {
        for channel in 0..channels {
            pixels.push((tensor.values[channel * plane + i] * factor) as u8);
        }
    }
    Image { width, height, channels, pixels }
}
