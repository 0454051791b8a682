//! Images whose pixels are copied to the device once. Batches are gathered there, so each
//! batch copies only indices.

use tch::{Device, IndexOp, Kind, TchError, Tensor, no_grad};
use torchmill::pixels::LevelTables;
use torchmill::transform::PixelMap;
use torchmill::{Error, Result};

use crate::tensor::{f_upload, number};
use crate::torch_error;

/// The number of images copied to the device at a time.
const CHUNK: usize = 4096;

/// A data set's uint8 images on a device, and the value of each of their 256 levels.
pub struct Resident {
    /// `[N * H * W + 1, C]`, uint8: every pixel, and the fill in the last row.
    pixels: Tensor,
    /// `[N]`, int64.
    labels: Tensor,
    /// `[C * 256]`, in the dtype of batches.
    values: Tensor,
    /// `[C]`, int64: the index of each channel's first value.
    begins: Tensor,
    shape: [usize; 3],
}

/// The images to copy to a device.
pub struct Images<'a> {
    /// Image `i`, `[H, W, C]` uint8.
    pub image: &'a dyn Fn(usize) -> Result<&'a [u8]>,
    /// The images' labels.
    pub labels: &'a [i64],
    /// `[C, H, W]`.
    pub shape: [usize; 3],
    /// The value of each level, for each channel.
    pub tables: &'a LevelTables<f32>,
    /// For each channel, the level of pixels without a source.
    pub fill: &'a [u8],
}

impl Resident {
    /// Copies the images to a device, for batches of this dtype. `None` if they would
    /// take more than half of the free memory there, because the network needs memory
    /// too.
    pub fn upload(images: &Images, kind: Kind, device: Device) -> Result<Option<Self>> {
        let [channels, height, width] = images.shape;
        let rows = images.labels.len() * height * width + 1;
        let size = |rows: usize| [rows as i64, channels as i64];
        // Trying to allocate is the only check that works in every build of libtorch. The
        // memory is reused.
        if Tensor::f_empty(size(2 * rows), (Kind::Uint8, device)).is_err() {
            return Ok(None);
        }
        let uploaded = no_grad(|| {
            let pixels = Tensor::f_empty(size(rows), (Kind::Uint8, device))
                .map_err(|e| torch_error(&e))?;
            copy_pixels(images, &pixels)?;
            Self::with_pixels(images, pixels, kind).map_err(|e| torch_error(&e))
        });
        let uploaded = uploaded.map_err(|e: Error| {
            e.within(format_args!("copying {} images to the device", images.labels.len()))
        })?;
        Ok(Some(uploaded))
    }

    /// The images, given pixels already on a device but without the fill.
    fn with_pixels(
        images: &Images,
        pixels: Tensor,
        kind: Kind,
    ) -> Result<Self, TchError> {
        let device = pixels.device();
        pixels.f_i(-1)?.f_copy_(&Tensor::f_from_slice(images.fill)?)?;
        let values = Tensor::f_from_slice(images.tables.tables().as_flattened())?;
        let values = f_upload(&values.f_to_kind(kind)?, device)?;
        let labels = f_upload(&Tensor::f_from_slice(images.labels)?, device)?;
        let begins: Vec<i64> = (0..images.shape[0] as i64).map(|c| c * 256).collect();
        let begins = f_upload(&Tensor::f_from_slice(&begins)?, device)?;
        Ok(Self { pixels, labels, values, begins, shape: images.shape })
    }

    /// Whether it makes batches of this dtype on this device.
    pub fn serves(&self, kind: Kind, device: Device) -> bool {
        self.values.kind() == kind && self.values.device() == device
    }

    /// A batch of the images with these indices: `[N, C, H, W]` in channels-last layout,
    /// and the labels, `[N]`. `maps` has one map per image, all with the same output
    /// size, or is empty for whole images.
    pub fn batch(&self, indices: &[i64], maps: &[PixelMap]) -> Result<(Tensor, Tensor)> {
        no_grad(|| self.gather(indices, maps).map_err(|e| torch_error(&e)))
    }

    fn gather(
        &self,
        indices: &[i64],
        maps: &[PixelMap],
    ) -> Result<(Tensor, Tensor), TchError> {
        let [channels, height, width] = self.shape.map(|n| n as i64);
        let device = self.values.device();
        let (rows, columns) = if maps.is_empty() {
            let all = |n: i64| {
                let numbers: Vec<i64> = (0..n).collect();
                f_upload(&Tensor::f_from_slice(&numbers)?, device)
            };
            (all(height)?.f_view([1, -1, 1])?, all(width)?.f_view([1, 1, -1])?)
        } else {
            let n = maps.len() as i64;
            let list = |of: fn(&PixelMap) -> &[Option<usize>]| {
                let sources =
                    maps.iter().flat_map(of).map(|s| s.map_or(-1, |i| i as i64));
                let sources = Tensor::f_from_slice(&sources.collect::<Vec<_>>())?;
                f_upload(&sources, device)
            };
            (
                list(|m| &m.rows)?.f_view([n, -1, 1])?,
                list(|m| &m.columns)?.f_view([n, 1, -1])?,
            )
        };
        let indices = f_upload(&Tensor::f_from_slice(indices)?, device)?;
        let first = indices.f_mul(&number(height * width))?.f_view([-1, 1, 1])?;
        let mut at = first.f_add(&rows.f_mul(&number(width))?)?.f_add(&columns)?;
        let zero = number(0_i64);
        let none = rows.f_lt_tensor(&zero)?.f_logical_or(&columns.f_lt_tensor(&zero)?)?;
        let _ = at.f_masked_fill_(&none, self.pixels.size()[0] - 1)?;
        let pixels = self.pixels.f_index_select(0, &at.f_flatten(0, -1)?)?;
        let levels = pixels.f_to_kind(Kind::Int64)?.f_add(&self.begins)?;
        let values = self.values.f_index_select(0, &levels.f_flatten(0, -1)?)?;
        let size = at.size();
        let images = values
            .f_view([size[0], size[1], size[2], channels])?
            .f_permute([0, 3, 1, 2])?;
        Ok((images, self.labels.f_index_select(0, &indices)?))
    }
}

/// Copies the images to `pixels`, `[N * H * W + 1, C]`, in chunks.
fn copy_pixels(images: &Images, pixels: &Tensor) -> Result<()> {
    let [channels, height, width] = images.shape;
    let area = height * width;
    let count = images.labels.len();
    for first in (0..count).step_by(CHUNK) {
        let last = (first + CHUNK).min(count);
        let mut bytes = Vec::with_capacity((last - first) * channels * area);
        for i in first..last {
            bytes.extend_from_slice((images.image)(i)?);
        }
        let start = (first * area) as i64;
        let end = (last * area) as i64;
        let copied = Tensor::f_from_slice(&bytes)
            .and_then(|chunk| chunk.f_view([-1, channels as i64]))
            .and_then(|chunk| pixels.f_i(start..end)?.f_copy_(&chunk));
        copied.map_err(|e| torch_error(&e))?;
    }
    Ok(())
}
