//! The elements of images: numbers of the shard's type, as little-endian bytes.

use half::{bf16, f16};
use torchmill::pixels::{Layout, LevelTables, to_channels_first, to_channels_last};
use torchmill::shard::DType;
use torchmill::transform::Sample;

/// Writes a sample's elements in this layout as little-endian bytes.
pub fn write_elements(sample: &Sample, layout: Layout, dtype: DType, out: &mut [u8]) {
    match (sample, layout) {
        (Sample::Image(image), Layout::ChannelsLast) => {
            out.copy_from_slice(&image.pixels);
        }
        (Sample::Image(image), Layout::ChannelsFirst) => {
            to_channels_first(&image.pixels, image.channels, out);
        }
        (Sample::Tensor(tensor), Layout::ChannelsFirst) => {
            write_floats(&tensor.values, dtype, out);
        }
        (Sample::Tensor(tensor), Layout::ChannelsLast) => {
            let mut values = vec![0.0; tensor.values.len()];
            to_channels_last(&tensor.values, tensor.shape[0], &mut values);
            write_floats(&values, dtype, out);
        }
    }
}

/// Writes float32 values as elements of `dtype`, rounded to nearest.
fn write_floats(values: &[f32], dtype: DType, out: &mut [u8]) {
    match dtype {
        DType::Float16 => write_words(values, float16_bytes, out),
        DType::BFloat16 => write_words(values, bfloat16_bytes, out),
        _ => write_words(values, f32::to_le_bytes, out),
    }
}

fn write_words<const SIZE: usize>(
    values: &[f32],
    bytes: fn(f32) -> [u8; SIZE],
    out: &mut [u8],
) {
    for (element, &value) in out.as_chunks_mut::<SIZE>().0.iter_mut().zip(values) {
        *element = bytes(value);
    }
}

/// Whether a finite value becomes infinite as float16.
pub fn overflows(values: &[f32]) -> bool {
    values.iter().any(|&x| x.is_finite() && f16::from_f32(x).is_infinite())
}

fn float16_bytes(value: f32) -> [u8; 2] {
    f16::from_f32(value).to_le_bytes()
}

fn bfloat16_bytes(value: f32) -> [u8; 2] {
    bf16::from_f32(value).to_le_bytes()
}

/// For each channel, the encoded element of every uint8 level.
pub enum ElementTables {
    /// For float16 and bfloat16.
    TwoBytes(LevelTables<[u8; 2]>),
    /// For float32.
    FourBytes(LevelTables<[u8; 4]>),
}

impl ElementTables {
    /// Converts the tables to elements of `dtype`.
    pub fn new(floats: &LevelTables<f32>, dtype: DType) -> Self {
        match dtype {
            DType::Float16 => Self::TwoBytes(floats.map(float16_bytes)),
            DType::BFloat16 => Self::TwoBytes(floats.map(bfloat16_bytes)),
            _ => Self::FourBytes(floats.map(f32::to_le_bytes)),
        }
    }

    /// Looks up the pixels of an image, `[H, W, C]`, and writes the elements in this
    /// layout.
    pub fn look_up(&self, pixels: &[u8], layout: Layout, out: &mut [u8]) {
        match self {
            Self::TwoBytes(tables) => look_up(tables, pixels, layout, out),
            Self::FourBytes(tables) => look_up(tables, pixels, layout, out),
        }
    }
}

fn look_up<const SIZE: usize>(
    tables: &LevelTables<[u8; SIZE]>,
    pixels: &[u8],
    layout: Layout,
    out: &mut [u8],
) {
    let elements = out.as_chunks_mut::<SIZE>().0;
    match layout {
        Layout::ChannelsLast => tables.look_up(pixels, elements),
        Layout::ChannelsFirst => tables.look_up_channels_first(pixels, elements),
    }
}

/// Decodes little-endian float32 elements.
pub fn float32(elements: &[u8]) -> impl Iterator<Item = f32> {
    elements.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes))
}

/// Decodes little-endian float16 elements.
pub fn float16(elements: &[u8]) -> impl Iterator<Item = f16> {
    elements.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes))
}

/// Decodes little-endian bfloat16 elements.
pub fn bfloat16(elements: &[u8]) -> impl Iterator<Item = bf16> {
    elements.as_chunks().0.iter().map(|&bytes| bf16::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use torchmill::transform::{self, Image, Pipeline};

    use super::*;

    #[test]
    fn what_is_looked_up_is_what_the_pipeline_makes() {
        let layouts = [Layout::ChannelsLast, Layout::ChannelsFirst];
        let dtypes = [DType::Float32, DType::Float16, DType::BFloat16];
        for text in
            ["ToTensor", "ToDtype(float32, scale=True)", "ToTensor | Normalize(0.4, 0.3)"]
        {
            for channels in [1, 3] {
                let pixels =
                    (0..7 * 5 * channels).map(|i| (i * 37 % 256) as u8).collect();
                let image = Image { width: 7, height: 5, channels, pixels };
                for (layout, dtype) in layouts.map(|l| dtypes.map(|d| (l, d))).concat() {
                    check(text, &image, layout, dtype);
                }
            }
        }
    }

    fn check(text: &str, image: &Image, layout: Layout, dtype: DType) {
        let pipeline = Pipeline::parse(text).unwrap();
        let mut rng = transform::rng(0, 0, 0);
        let whole = pipeline.apply(Sample::Image(image.clone()), &mut rng).unwrap();
        let mut expected = vec![0; image.pixels.len() * dtype.size() as usize];
        write_elements(&whole, layout, dtype, &mut expected);
        let floats = LevelTables::new(pipeline.levels(image.channels).unwrap());
        let mut looked_up = vec![0; expected.len()];
        ElementTables::new(&floats, dtype).look_up(&image.pixels, layout, &mut looked_up);
        assert!(looked_up == expected, "{text}, {layout:?} {}", dtype.name());
    }
}
