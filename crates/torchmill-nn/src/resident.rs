//! Images whose pixels are copied to the device once, and from which batches are gathered
//! there: with each batch only indices are copied.

use tch::{Device, IndexOp, Kind, Tensor, no_grad};
use torchmill::Result;
use torchmill::pixels::LevelTables;
use torchmill::transform::PixelMap;

use crate::torch_error;

/// How many images go to the device at a time.
const CHUNK: usize = 4096;

/// A data set's uint8 images on a device, and what each of their 256 levels becomes.
pub struct Resident {
    /// `[N * H * W + 1, C]`, uint8: every pixel, and at the end the fill.
    pixels: Tensor,
    /// `[N]`, int64.
    labels: Tensor,
    /// `[C * 256]`, of the kind that batches have.
    values: Tensor,
    /// `[C]`, int64: where each channel's values begin.
    begins: Tensor,
    shape: [usize; 3],
}

/// Images to copy to a device.
pub struct Images<'a> {
    /// Image `i`, `[H, W, C]` uint8.
    pub image: &'a dyn Fn(usize) -> Result<&'a [u8]>,
    /// The images' labels.
    pub labels: &'a [i64],
    /// `[C, H, W]`.
    pub shape: [usize; 3],
    /// What each channel's levels become.
    pub tables: &'a LevelTables<f32>,
    /// For each channel the level of pixels without a source.
    pub fill: &'a [u8],
}

impl Resident {
    /// Copies the images to a device, for batches of this kind; `None` if they would take
    /// more than half of the memory that is free there, which the network needs too.
    pub fn upload(images: &Images, kind: Kind, device: Device) -> Result<Option<Self>> {
        let [channels, height, width] = images.shape;
        let rows = images.labels.len() * height * width + 1;
        let size = |rows: usize| [rows as i64, channels as i64];
        // Allocating is the one way to find out that every build of libtorch has. The
        // memory is used again.
        if Tensor::f_empty(size(2 * rows), (Kind::Uint8, device)).is_err() {
            return Ok(None);
        }
        no_grad(|| {
            let pixels = Tensor::f_empty(size(rows), (Kind::Uint8, device))
                .map_err(|e| torch_error(&e))?;
            copy_pixels(images, &pixels)?;
            pixels.i((rows - 1) as i64).copy_(&Tensor::from_slice(images.fill));
            let values = Tensor::from_slice(images.tables.tables().as_flattened())
                .to_kind(kind)
                .to_device(device);
            let begins =
                Tensor::arange(channels as i64, (Kind::Int64, Device::Cpu)) * 256;
            Ok(Some(Self {
                pixels,
                labels: Tensor::from_slice(images.labels).to_device(device),
                values,
                begins: begins.to_device(device),
                shape: images.shape,
            }))
        })
    }

    /// Whether it makes batches of this kind on this device.
    pub fn serves(&self, kind: Kind, device: Device) -> bool {
        self.values.kind() == kind && self.values.device() == device
    }

    /// The images with these indices, `[N, C, H, W]` in channels-last layout, and their
    /// labels, `[N]`. `maps` has a map for each image, all to the same size, or is empty
    /// for whole images.
    pub fn batch(&self, indices: &[i64], maps: &[PixelMap]) -> Result<(Tensor, Tensor)> {
        no_grad(|| self.gather(indices, maps).map_err(|e| torch_error(&e)))
    }

    fn gather(
        &self,
        indices: &[i64],
        maps: &[PixelMap],
    ) -> std::result::Result<(Tensor, Tensor), tch::TchError> {
        let [channels, height, width] = self.shape.map(|n| n as i64);
        let device = self.values.device();
        let (rows, columns) = if maps.is_empty() {
            let all = |n| Tensor::arange(n, (Kind::Int64, device));
            (all(height).view([1, -1, 1]), all(width).view([1, 1, -1]))
        } else {
            let n = maps.len() as i64;
            let list = |of: fn(&PixelMap) -> &[Option<usize>]| {
                let sources =
                    maps.iter().flat_map(of).map(|s| s.map_or(-1, |i| i as i64));
                Tensor::from_slice(&sources.collect::<Vec<_>>()).to_device(device)
            };
            (
                list(|m| &m.rows).f_view([n, -1, 1])?,
                list(|m| &m.columns).f_view([n, 1, -1])?,
            )
        };
        let indices = Tensor::from_slice(indices).to_device(device);
        let first = (&indices * (height * width)).f_view([-1, 1, 1])?;
        let at = first + &rows * width + &columns;
        let none = rows.lt(0).f_logical_or(&columns.lt(0))?;
        let at = at.f_masked_fill(&none, self.pixels.size()[0] - 1)?;
        let pixels = self.pixels.f_index_select(0, &at.f_flatten(0, -1)?)?;
        let levels = pixels.f_to_kind(Kind::Int64)? + &self.begins;
        let values = self.values.f_index_select(0, &levels.f_flatten(0, -1)?)?;
        let size = at.size();
        let images = values
            .f_view([size[0], size[1], size[2], channels])?
            .f_permute([0, 3, 1, 2])?;
        Ok((images, self.labels.f_index_select(0, &indices)?))
    }
}

/// Copies the images to `pixels`, `[N * H * W + 1, C]`, some at a time.
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
        let chunk = Tensor::from_slice(&bytes).view([-1, channels as i64]);
        pixels.i((first * area) as i64..(last * area) as i64).copy_(&chunk);
    }
    Ok(())
}
