//! Between bytes and floats.

use super::arguments::transform;
use super::image::{Form, Image, Kind, Sample, Tensor};
use super::names::names;
use super::random::Rng;
use super::step::Step;
use crate::Result;

transform! {
    /// A float32 tensor `[C, H, W]` of an image, 0 to 255 scaled to 0 to 1. A tensor
    /// stays as it is.
    pub struct ToTensor {}
}

impl Step for ToTensor {
    fn kind(&self, _: Kind) -> Kind {
        Kind::Tensor
    }

    fn output(&self, input: Form) -> Result<Form> {
        Ok(Form { kind: Kind::Tensor, ..input })
    }

    fn apply(&self, sample: Sample, _: &mut Rng) -> Result<Sample> {
        Ok(match sample {
            Sample::Image(image) => Sample::Tensor(tensor(&image, |x| x / 255.0)),
            tensor => tensor,
        })
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

transform! {
    /// Nothing: an image here is what torchvision's PILToTensor makes of it.
    pub struct PILToTensor {}
}

impl Step for PILToTensor {
    fn apply(&self, sample: Sample, _: &mut Rng) -> Result<Sample> {
        Ok(sample)
    }
}

names! {
    /// The type of the numbers.
    pub enum Dtype shown |text: &str| format!("torch.{text}"); {
        /// Bytes, 0 to 255.
        Uint8 = "uint8",
        /// Floats, most often 0 to 1.
        Float32 = "float32" | "float",
    }
}

transform! {
    /// The other type of number.
    pub struct ToDtype {
        /// Which.
        pub dtype: Dtype,
        /// Whether 255 becomes 1, and 1 becomes 255.
        pub scale: bool = false,
    }
}

impl Step for ToDtype {
    fn kind(&self, _: Kind) -> Kind {
        kind(self.dtype)
    }

    fn output(&self, input: Form) -> Result<Form> {
        Ok(Form { kind: kind(self.dtype), ..input })
    }

    fn apply(&self, sample: Sample, _: &mut Rng) -> Result<Sample> {
        Ok(converted(sample, self.dtype, self.scale))
    }
}

transform! {
    /// The other type of number, scaled: 255 becomes 1, and 1 becomes 255.
    pub struct ConvertImageDtype {
        /// Which.
        pub dtype: Dtype = Dtype::Float32,
    }
}

impl Step for ConvertImageDtype {
    fn kind(&self, _: Kind) -> Kind {
        kind(self.dtype)
    }

    fn output(&self, input: Form) -> Result<Form> {
        Ok(Form { kind: kind(self.dtype), ..input })
    }

    fn apply(&self, sample: Sample, _: &mut Rng) -> Result<Sample> {
        Ok(converted(sample, self.dtype, true))
    }
}

fn kind(dtype: Dtype) -> Kind {
    match dtype {
        Dtype::Uint8 => Kind::Image,
        Dtype::Float32 => Kind::Tensor,
    }
}

fn converted(sample: Sample, dtype: Dtype, scale: bool) -> Sample {
    match (sample, dtype) {
        // A product, as torchvision has it here, and not a quotient as in ToTensor: some
        // differ in the last bit.
        (Sample::Image(image), Dtype::Float32) if scale => {
            Sample::Tensor(tensor(&image, |x| x * (1.0 / 255.0)))
        }
        (Sample::Image(image), Dtype::Float32) => Sample::Tensor(tensor(&image, |x| x)),
        // torch multiplies by a little less than 256 and truncates, so that 1.0 is 255
        // and each level has an equal share of 0 to 1.
        (Sample::Tensor(tensor), Dtype::Uint8) => {
            Sample::Image(image(&tensor, if scale { 256.0 - 1e-3 } else { 1.0 }))
        }
        (same, _) => same,
    }
}

/// The planes of an image, this made of each level.
fn tensor(image: &Image, value: impl Fn(f32) -> f32) -> Tensor {
    let channels = image.channels;
    let levels: [f32; 256] = std::array::from_fn(|x| value(x as f32));
    let mut values = Vec::with_capacity(image.pixels.len());
    for channel in 0..channels {
        values.extend(
            image.pixels.chunks_exact(channels).map(|p| levels[usize::from(p[channel])]),
        );
    }
    Tensor { shape: [channels, image.height, image.width], values }
}

/// The pixels of a tensor, each value times this, truncated, within 0 to 255.
fn image(tensor: &Tensor, factor: f32) -> Image {
    let [channels, height, width] = tensor.shape;
    let plane = height * width;
    let level =
        |i: usize| (tensor.values[i % channels * plane + i / channels] * factor) as u8;
    Image { width, height, channels, pixels: (0..channels * plane).map(level).collect() }
}
