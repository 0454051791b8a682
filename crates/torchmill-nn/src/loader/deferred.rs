//! The deferred part of the pipeline, which prep did not bake: it runs when a batch is
//! made.

use half::{bf16, f16};
use torchmill::pixels::{LevelTables, to_channels_last};
use torchmill::shard::{DType, Pixels, ShardSet, Storage};
use torchmill::transform::{
    FilePart, Image, ImageFile, Pipeline, PixelMap, Rng, Sample, SampleSpec, rng,
};
use torchmill::{Error, Result};

/// How a stored image becomes a tensor.
pub enum Deferred {
    /// uint8 pixels, then `ToTensor` and perhaps `Normalize`: each channel's levels are
    /// looked up in a table.
    Table { prefix: Prefix, tables: LevelTables<f32> },
    /// uint8 pixels through steps of any kind.
    Steps(Pipeline),
    /// Floats, used as they are.
    Baked,
}

/// The steps on uint8 pixels before `ToTensor`.
pub enum Prefix {
    Nothing,
    /// Steps that only move rows and columns. They form one [`PixelMap`], which is
    /// applied while the pixels are looked up.
    Gather(Pipeline),
    Steps(Pipeline),
}

impl Prefix {
    fn new(pipeline: Pipeline, set: &ShardSet) -> Result<Self> {
        if pipeline.is_empty() {
            return Ok(Self::Nothing);
        }
        let is_map = match set.image_shape() {
            Some(shape) => has_pixel_map(&pipeline, shape)?,
            None if set.is_empty() => false,
            // Whether steps only move rows and columns does not depend on the size.
            None => has_pixel_map(&pipeline, set.shape(0)?)?,
        };
        Ok(if is_map { Self::Gather(pipeline) } else { Self::Steps(pipeline) })
    }
}

fn has_pixel_map(steps: &Pipeline, [_, height, width]: [usize; 3]) -> Result<bool> {
    Ok(steps.pixel_map(height, width, &mut rng(0, 0, 0))?.is_some())
}

impl Deferred {
    /// The deferred part of these shards, whose images have yet to go through `pipeline`.
    pub fn new(set: &ShardSet, pipeline: Pipeline) -> Result<Self> {
        match set.dtype() {
            DType::Uint8 => {}
            DType::Int64 => {
                return Err(Error::failed(
                    "the shards' images are int64: write them again with prep",
                ));
            }
            DType::Float16 | DType::BFloat16 | DType::Float32 => return Ok(Self::Baked),
        }
        if !pipeline.makes_tensors() {
            return Err(no_to_tensor(set));
        }
        let (prefix, last) = pipeline.split_levels();
        if last.is_empty() {
            return Ok(Self::Steps(pipeline));
        }
        let channels = prefix.output(set.spec())?.channels;
        let tables = LevelTables::new(last.levels(channels)?);
        Ok(Self::Table { prefix: Prefix::new(prefix, set)?, tables })
    }

    /// The shape `[C, H, W]` of the result for stored images with this spec. Fails if it
    /// would differ between images.
    pub fn output_shape(&self, stored: SampleSpec) -> Result<[usize; 3]> {
        match self {
            Self::Table { prefix: Prefix::Nothing, .. } | Self::Baked => {
                Pipeline::default().output_shape(stored)
            }
            Self::Table {
                prefix: Prefix::Gather(pipeline) | Prefix::Steps(pipeline),
                ..
            }
            | Self::Steps(pipeline) => pipeline.output_shape(stored),
        }
    }

    /// Whether making an image takes much longer than copying it, so that dividing a
    /// batch among threads pays.
    pub fn is_slow(&self, set: &ShardSet) -> bool {
        let is_decoded = set.storage() == Storage::Encoded;
        let has_steps =
            matches!(self, Self::Steps(_) | Self::Table { prefix: Prefix::Steps(_), .. });
        is_decoded || has_steps
    }
}

/// Writes images as elements of one type: float32, bfloat16 or float16.
pub struct ImageWriter<'a, T> {
    set: &'a ShardSet,
    deferred: &'a Deferred,
    /// The lookup tables as elements; empty if unused.
    tables: LevelTables<T>,
    convert: fn(f32) -> T,
    /// Whether image files may be decoded at a smaller scale.
    scales: bool,
}

/// A stored image file, which a pipeline decodes.
struct StoredFile<'a> {
    set: &'a ShardSet,
    index: usize,
    shape: [usize; 3],
    may_be_scaled: bool,
}

impl ImageFile for StoredFile<'_> {
    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn may_be_scaled(&self) -> bool {
        self.may_be_scaled
    }

    fn decode(&self, part: &FilePart) -> Result<Image> {
        self.set.part(self.index, part)
    }
}

impl<'a, T: Copy> ImageWriter<'a, T> {
    pub fn new(
        set: &'a ShardSet,
        deferred: &'a Deferred,
        convert: fn(f32) -> T,
        scales: bool,
    ) -> Self {
        let tables = match deferred {
            Deferred::Table { tables, .. } => tables.map(convert),
            Deferred::Steps(_) | Deferred::Baked => LevelTables::new(Vec::new()),
        };
        Self { set, deferred, tables, convert, scales }
    }

    /// Writes image `index` of the set to `out`, `[H, W, C]`. Random steps draw from
    /// `rng`.
    pub fn write(&self, index: usize, rng: &mut Rng, out: &mut [T]) -> Result<()> {
        let in_place = |e: Error| {
            let source = self.set.source(index).unwrap_or_default();
            e.within(format_args!("image {index} ({source})"))
        };
        match self.deferred {
            Deferred::Baked => {
                self.copy(&self.set.pixels(index)?.bytes, out);
                Ok(())
            }
            Deferred::Table { prefix: Prefix::Nothing, .. } => {
                self.tables.look_up(&self.set.pixels(index)?.bytes, out);
                Ok(())
            }
            Deferred::Table { prefix: Prefix::Gather(steps), .. } => {
                self.gather_image(index, steps, rng, out).map_err(in_place)
            }
            Deferred::Table { prefix: Prefix::Steps(steps), .. }
            | Deferred::Steps(steps) => {
                let sample = match self.set.dtype() {
                    DType::Uint8 => steps.apply_to_file(&self.file(index)?, rng),
                    _ => Err(Error::failed("the shards' images are not uint8")),
                };
                self.put(sample.map_err(in_place)?, out).map_err(in_place)
            }
        }
    }

    fn file(&self, index: usize) -> Result<StoredFile<'_>> {
        let shape = self.set.shape(index)?;
        let may_be_scaled = self.scales && self.set.can_be_scaled(index);
        Ok(StoredFile { set: self.set, index, shape, may_be_scaled })
    }

    /// Writes the result of the steps.
    fn put(&self, sample: Sample, out: &mut [T]) -> Result<()> {
        match (sample, self.deferred) {
            (Sample::Image(image), Deferred::Table { .. }) => {
                self.tables.look_up(&image.pixels, out);
            }
            (Sample::Tensor(tensor), Deferred::Steps(_)) => {
                let values: Vec<T> =
                    tensor.values.iter().map(|&x| (self.convert)(x)).collect();
                to_channels_last(&values, tensor.shape[0], out);
            }
            (Sample::Image(_), _) => return Err(no_to_tensor(self.set)),
            (Sample::Tensor(_), _) => {
                return Err(Error::failed("a step before ToTensor made floats"));
            }
        }
        Ok(())
    }

    /// Gathers an image. Decodes only the rows that the map uses.
    fn gather_image(
        &self,
        index: usize,
        steps: &Pipeline,
        rng: &mut Rng,
        out: &mut [T],
    ) -> Result<()> {
        let shape = self.set.shape(index)?;
        let mut map = pixel_map(steps, shape, rng)?;
        if self.set.storage() != Storage::Encoded {
            return self.gather(&self.set.pixels(index)?, &map, out);
        }
        let rows = map.keep_source_rows(shape[1]);
        let image = self.set.part(index, &FilePart { rows, scale: 1 })?;
        let shape = [image.channels, image.height, image.width];
        let pixels = Pixels { bytes: image.pixels.into(), shape };
        self.gather(&pixels, &map, out)
    }

    /// Looks up the pixels that the map refers to.
    fn gather(&self, pixels: &Pixels, map: &PixelMap, out: &mut [T]) -> Result<()> {
        let [channels, _, width] = pixels.shape;
        let fill = map.fill_levels(channels)?;
        let tables = self.tables.tables();
        match channels {
            1 => gather::<1, T>(&pixels.bytes, width, map, &fill, tables, out),
            3 => gather::<3, T>(&pixels.bytes, width, map, &fill, tables, out),
            _ => {
                return Err(Error::failed(format_args!(
                    "images have 1 or 3 channels, not {channels}"
                )));
            }
        }
        Ok(())
    }

    /// Converts stored floats.
    fn copy(&self, stored: &[u8], out: &mut [T]) {
        match self.set.dtype() {
            DType::Float32 => self.convert(stored, f32::from_le_bytes, out),
            DType::BFloat16 => {
                self.convert(stored, |b| bf16::from_le_bytes(b).to_f32(), out);
            }
            _ => self.convert(stored, |b| f16::from_le_bytes(b).to_f32(), out),
        }
    }

    fn convert<const SIZE: usize>(
        &self,
        stored: &[u8],
        read: impl Fn([u8; SIZE]) -> f32,
        out: &mut [T],
    ) {
        for (element, bytes) in out.iter_mut().zip(stored.as_chunks::<SIZE>().0) {
            *element = (self.convert)(read(*bytes));
        }
    }
}

/// The map that these steps draw for an image of shape `[C, H, W]`. They must only move
/// rows and columns.
pub fn pixel_map(
    steps: &Pipeline,
    [_, height, width]: [usize; 3],
    rng: &mut Rng,
) -> Result<PixelMap> {
    steps.pixel_map(height, width, rng)?.ok_or_else(|| {
        Error::failed(format_args!("`{steps}` no longer only moves rows and columns"))
    })
}

/// Looks up each output pixel's source pixel, or the fill. The constant number of
/// channels lets the compiler step over pixels without multiplying.
fn gather<const CHANNELS: usize, T: Copy>(
    stored: &[u8],
    width: usize,
    map: &PixelMap,
    fill: &[u8],
    tables: &[[T; 256]],
    out: &mut [T],
) {
    let pixels = stored.as_chunks::<CHANNELS>().0;
    let look_up = |pixel: &[u8; CHANNELS]| -> [T; CHANNELS] {
        std::array::from_fn(|c| tables[c][usize::from(pixel[c])])
    };
    let filled: [T; CHANNELS] = std::array::from_fn(|c| tables[c][usize::from(fill[c])]);
    let rows = out.as_chunks_mut::<CHANNELS>().0.chunks_mut(map.columns.len().max(1));
    for (row, out) in map.rows.iter().zip(rows) {
        let Some(y) = row else {
            out.fill(filled);
            continue;
        };
        let line = &pixels[y * width..][..width];
        for (pixel, column) in out.iter_mut().zip(&map.columns) {
            *pixel = match column {
                Some(x) => look_up(&line[*x]),
                None => filled,
            };
        }
    }
}

fn no_to_tensor(set: &ShardSet) -> Error {
    let pipeline = &set.meta().pipeline;
    Error::failed(format_args!(
        "the shards' pipeline `{pipeline}` has no ToTensor, so a network cannot take their \
         images"
    ))
}
