//! Pixels to floats by looking them up: what the end of a pipeline makes of each level is
//! worked out once.

use torchmill::shard::DType;
use torchmill::transform::{Image, Pipeline};
use torchmill::{Error, Result};

use crate::bake;

/// The elements, as they are written, of each channel's 256 levels.
pub struct Levels {
    /// `[channels, 256]` elements.
    elements: Vec<u8>,
    /// Bytes of an element.
    size: usize,
}

impl Levels {
    /// Those of a pipeline that makes floats level by level: see
    /// [`Pipeline::split_levels`].
    pub fn new(pipeline: &Pipeline, channels: usize, dtype: DType) -> Result<Self> {
        let floats = pipeline.levels(channels)?;
        let size = dtype.size() as usize;
        let mut elements = vec![0; channels * 256 * size];
        bake::to_elements(floats.as_flattened(), dtype, &mut elements);
        Ok(Self { elements, size })
    }

    /// The image's elements, channels first.
    pub fn lay_out(&self, image: &Image, place: &mut [u8]) -> Result<()> {
        match (self.size, image.channels) {
            (2, 1) => look_up::<2, 1>(&self.elements, image, place),
            (2, 3) => look_up::<2, 3>(&self.elements, image, place),
            (4, 1) => look_up::<4, 1>(&self.elements, image, place),
            (4, 3) => look_up::<4, 3>(&self.elements, image, place),
            (size, channels) => {
                return Err(Error::failed(format_args!(
                    "no elements of {size} bytes in {channels} channels"
                )));
            }
        }
        Ok(())
    }
}

/// The constants let the compiler copy an element as one number and step over pixels
/// without multiplying.
fn look_up<const SIZE: usize, const CHANNELS: usize>(
    elements: &[u8],
    image: &Image,
    place: &mut [u8],
) {
    let tables = elements.as_chunks::<SIZE>().0.as_chunks::<256>().0;
    let planes = place
        .as_chunks_mut::<SIZE>()
        .0
        .chunks_exact_mut((image.width * image.height).max(1));
    let pixels = image.pixels.as_chunks::<CHANNELS>().0;
    for (channel, (table, plane)) in tables.iter().zip(planes).enumerate() {
        for (to, pixel) in plane.iter_mut().zip(pixels) {
            *to = table[usize::from(pixel[channel % CHANNELS])];
        }
    }
}

#[cfg(test)]
mod tests {
    use torchmill::transform::{self, Sample};

    use super::*;

    #[test]
    fn what_is_looked_up_is_what_the_pipeline_makes() {
        for channels in [1, 3] {
            let pixels = (0..7 * 5 * channels).map(|i| (i * 37 % 256) as u8).collect();
            let image = Image { width: 7, height: 5, channels, pixels };
            for text in [
                "ToTensor",
                "ToDtype(float32, scale=True)",
                "ToTensor | Normalize(0.4, 0.3)",
            ] {
                let pipeline = Pipeline::parse(text).unwrap();
                let whole = pipeline
                    .apply(Sample::Image(image.clone()), &mut transform::rng(0, 0, 0))
                    .unwrap();
                for dtype in [DType::Float32, DType::Float16, DType::BFloat16] {
                    let mut expected =
                        vec![0; image.pixels.len() * dtype.size() as usize];
                    let mut looked_up = expected.clone();
                    bake::lay_out(&whole, dtype, &mut expected);
                    Levels::new(&pipeline, channels, dtype)
                        .unwrap()
                        .lay_out(&image, &mut looked_up)
                        .unwrap();
                    assert!(
                        looked_up == expected,
                        "{text} in {channels} channels as {}",
                        dtype.name()
                    );
                }
            }
        }
    }
}
