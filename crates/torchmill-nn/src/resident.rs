//! Images that lie on the device once, from which batches are gathered there: nothing but
//! places goes to the device with each batch.

use tch::{Device, IndexOp, Kind, Tensor, no_grad};
use torchmill::Result;
use torchmill::transform::PixelMap;

use crate::torch_error;

/// How many images go to the device at a time.
const CHUNK: usize = 4096;

/// A data set's uint8 images on a device, with what becomes of each of their 256 levels.
pub struct Resident {
    /// `[N * H * W + 1, C]`, uint8: every pixel, and at the end the one that stands where
    /// there is none.
    pixels: Tensor,
    /// `[N]`, int64.
    labels: Tensor,
    /// `[C * 256]`, of the kind that batches have.
    values: Tensor,
    /// `[C]`, int64: where each channel's values begin.
    begins: Tensor,
    shape: [usize; 3],
}

// SAFETY: after `upload` its tensors are read alone, with no gradients recorded, and
// reading one from several threads is what libtorch allows; tch leaves Sync out since
// tensors can be changed through shared references.
unsafe impl Sync for Resident {}

/// What lies on the device.
pub struct Source<'a> {
    /// Image `i`, `[C, H, W]` uint8.
    pub image: &'a dyn Fn(usize) -> Result<&'a [u8]>,
    /// The images' labels.
    pub labels: &'a [i64],
    /// `[C, H, W]`.
    pub shape: [usize; 3],
    /// For each channel what its levels come to.
    pub values: &'a [[f32; 256]],
    /// For each channel the level where there is no pixel.
    pub blank: &'a [u8],
}

impl Resident {
    /// Copies the images to a device, for batches of this kind; `None` where they would
    /// take more than half of the memory that is free there, which the network needs,
    /// too.
    pub fn upload(source: &Source, kind: Kind, device: Device) -> Result<Option<Self>> {
        let [channels, height, width] = source.shape;
        let (count, area) = (source.labels.len(), height * width);
        let (rows, columns) = (count * area + 1, channels as i64);
        let size = |rows: usize| [rows as i64, columns];
        // Asking for it is the one way to find out that every build of libtorch has. What
        // was freed is used again.
        if Tensor::f_empty(size(2 * rows), (Kind::Uint8, device)).is_err() {
            return Ok(None);
        }
        no_grad(|| {
            let pixels = Tensor::f_empty(size(rows), (Kind::Uint8, device))
                .map_err(|e| torch_error(&e))?;
            for first in (0..count).step_by(CHUNK) {
                let last = (first + CHUNK).min(count);
                let mut planes = Vec::with_capacity((last - first) * channels * area);
                for i in first..last {
                    planes.extend_from_slice((source.image)(i)?);
                }
                let planes = Tensor::from_slice(&planes).view([
                    (last - first) as i64,
                    columns,
                    area as i64,
                ]);
                let place = pixels.i((first * area) as i64..(last * area) as i64);
                place.shallow_clone().copy_(
                    &planes.permute([0, 2, 1]).reshape(size((last - first) * area)),
                );
            }
            pixels.i((rows - 1) as i64).copy_(&Tensor::from_slice(source.blank));
            let values = Tensor::from_slice(source.values.as_flattened())
                .to_kind(kind)
                .to_device(device);
            let begins = Tensor::arange(columns, (Kind::Int64, Device::Cpu)) * 256;
            Ok(Some(Self {
                pixels,
                labels: Tensor::from_slice(source.labels).to_device(device),
                values,
                begins: begins.to_device(device),
                shape: source.shape,
            }))
        })
    }

    /// Whether it makes batches of this kind on this device.
    pub fn serves(&self, kind: Kind, device: Device) -> bool {
        self.values.kind() == kind && self.values.device() == device
    }

    /// `[N, C, H, W]`, channels last, of the images at these places, moved so: all of one
    /// size, or whole where there is no list of moves. With them the labels, `[N]`.
    pub fn batch(&self, places: &[i64], moves: &[PixelMap]) -> Result<(Tensor, Tensor)> {
        no_grad(|| self.gather(places, moves).map_err(|e| torch_error(&e)))
    }

    fn gather(
        &self,
        places: &[i64],
        moves: &[PixelMap],
    ) -> std::result::Result<(Tensor, Tensor), tch::TchError> {
        let [channels, height, width] = self.shape.map(|n| n as i64);
        let device = self.values.device();
        let (rows, columns) = if moves.is_empty() {
            let all = |n| Tensor::arange(n, (Kind::Int64, device));
            (all(height).view([1, -1, 1]), all(width).view([1, 1, -1]))
        } else {
            let n = moves.len() as i64;
            let list = |of: fn(&PixelMap) -> &[Option<usize>]| {
                let sources =
                    moves.iter().flat_map(of).map(|s| s.map_or(-1, |i| i as i64));
                Tensor::from_slice(&sources.collect::<Vec<_>>()).to_device(device)
            };
            (
                list(|m| &m.rows).f_view([n, -1, 1])?,
                list(|m| &m.columns).f_view([n, 1, -1])?,
            )
        };
        let places = Tensor::from_slice(places).to_device(device);
        let first = (&places * (height * width)).f_view([-1, 1, 1])?;
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
        Ok((images, self.labels.f_index_select(0, &places)?))
    }
}
