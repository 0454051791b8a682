//! The deferred part of the pipeline, which prep did not bake: it runs when a batch is
//! made.

use half::{bf16, f16};
use torchmill::pixels::{LevelTables, to_channels_last};
use torchmill::shard::{DType, Pixels, ShardSet, Storage};
use torchmill::transform::{
    DecodedPart, FilePart, ImageFile, Pipeline, PixelMap, Rng, Sample, SampleSpec, rng,
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
    /// Other steps, and then steps that only move rows and columns.
    Steps {
        steps: Pipeline,
        moves: Pipeline,
    },
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
        if is_map {
            return Ok(Self::Gather(pipeline));
        }
        let (steps, moves) = split_moves(pipeline, set)?;
        Ok(Self::Steps { steps, moves })
    }
}

/// Divides a pipeline into steps, and those at its end that only move rows and columns.
fn split_moves(pipeline: Pipeline, set: &ShardSet) -> Result<(Pipeline, Pipeline)> {
    for at in 1..pipeline.steps().len() {
        let (steps, moves) = pipeline.split_at(at);
        let spec = steps.output(set.spec())?;
        let Some((height, width)) = spec.size else { continue };
        if has_pixel_map(&moves, [spec.channels, height, width])? {
            return Ok((steps, moves));
        }
    }
    Ok((pipeline, Pipeline::default()))
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
            Self::Table { prefix: Prefix::Gather(pipeline), .. }
            | Self::Steps(pipeline) => pipeline.output_shape(stored),
            Self::Table { prefix: Prefix::Steps { steps, moves }, .. } => {
                moves.output_shape(steps.output(stored)?)
            }
        }
    }

    /// Whether making an image takes much longer than copying it, so that dividing a
    /// batch among threads pays.
    pub fn is_slow(&self, set: &ShardSet) -> bool {
        let is_decoded = set.storage() == Storage::Encoded;
        let has_steps = matches!(
            self,
            Self::Steps(_) | Self::Table { prefix: Prefix::Steps { .. }, .. }
        );
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

    fn decode(&self, part: &FilePart) -> Result<DecodedPart> {
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
            Deferred::Table { prefix: Prefix::Steps { steps, moves }, .. } => {
                self.apply_and_move(index, steps, moves, rng, out).map_err(in_place)
            }
            Deferred::Steps(steps) => {
                self.apply(index, steps, rng, out).map_err(in_place)
            }
        }
    }

    fn file(&self, index: usize) -> Result<StoredFile<'_>> {
        let shape = self.set.shape(index)?;
        let may_be_scaled = self.scales && self.set.can_be_scaled(index);
        Ok(StoredFile { set: self.set, index, shape, may_be_scaled })
    }

    /// Applies steps that make a tensor.
    fn apply(
        &self,
        index: usize,
        steps: &Pipeline,
        rng: &mut Rng,
        out: &mut [T],
    ) -> Result<()> {
        match steps.apply_to_file(&self.file(index)?, rng)? {
            Sample::Tensor(tensor) => {
                let values: Vec<T> =
                    tensor.values.iter().map(|&x| (self.convert)(x)).collect();
                to_channels_last(&values, tensor.shape[0], out);
                Ok(())
            }
            Sample::Image(_) => Err(no_to_tensor(self.set)),
        }
    }

    /// Applies steps that make an image, and then those that only move its rows and
    /// columns, while its levels are looked up.
    fn apply_and_move(
        &self,
        index: usize,
        steps: &Pipeline,
        moves: &Pipeline,
        rng: &mut Rng,
        out: &mut [T],
    ) -> Result<()> {
        let image = steps.apply_to_file(&self.file(index)?, rng)?.into_image()?;
        if moves.is_empty() {
            self.tables.look_up(&image.pixels, out);
            return Ok(());
        }
        let shape = [image.channels, image.height, image.width];
        let map = pixel_map(moves, shape, rng)?;
        self.gather(&Pixels { bytes: image.pixels.into(), shape }, &map, out)
    }

    /// Gathers an image. Decodes only the part that the map uses.
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
        let [rows, columns] = map.sources(shape[1], shape[2]);
        let first_row = rows.start;
        let DecodedPart { image, left } =
            self.set.part(index, &FilePart { rows, columns, scale: 1 })?;
        map.renumber(first_row, left);
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
    let order = Order::of(&map.columns);
    let rows = out.as_chunks_mut::<CHANNELS>().0.chunks_mut(map.columns.len().max(1));
    for (row, out) in map.rows.iter().zip(rows) {
        let Some(y) = row else {
            out.fill(filled);
            continue;
        };
        let line = &pixels[y * width..][..width];
        match order {
            Order::Forwards { first } => {
                let sources = line[first..].iter();
                out.iter_mut().zip(sources).for_each(|(to, from)| *to = look_up(from));
            }
            Order::Backwards { first } => {
                let sources = line[..=first].iter().rev();
                out.iter_mut().zip(sources).for_each(|(to, from)| *to = look_up(from));
            }
            Order::Any => {
                for (pixel, column) in out.iter_mut().zip(&map.columns) {
                    *pixel = column.map_or(filled, |x| look_up(&line[x]));
                }
            }
        }
    }
}

/// The order of a map's source columns. Adjacent columns need no look at each index.
#[derive(Clone, Copy)]
enum Order {
    Forwards { first: usize },
    Backwards { first: usize },
    Any,
}

impl Order {
    fn of(columns: &[Option<usize>]) -> Self {
        let Some(&Some(first)) = columns.first() else { return Self::Any };
        let follow = |next: fn(usize, usize) -> Option<usize>| {
            // A column without a source is filled.
            columns
                .iter()
                .enumerate()
                .all(|(i, column)| column.is_some() && *column == next(first, i))
        };
        if follow(|first, i| Some(first + i)) {
            Self::Forwards { first }
        } else if follow(usize::checked_sub) {
            Self::Backwards { first }
        } else {
            Self::Any
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
