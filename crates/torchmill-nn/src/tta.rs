//! Test-time augmentation: averages a network's outputs over several copies of an image.
//!
//! `flip` and `shift`: K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024
//! (arXiv 2404.00498); `five_crop` and `ten_crop`: A. Krizhevsky et al., "ImageNet
//! Classification with Deep Convolutional Neural Networks", 2012, with the crops of
//! torchvision.transforms.functional.

use tch::{Kind, TchError, Tensor};
use torchmill::recipe::Tta;
use torchmill::{Error, Result};

use crate::model::{Mode, Model};
use crate::tensor::{f_channels_last, f_crop, f_scaled};
use crate::torch_error;

/// The copies of images that are fed to a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copies {
    tta: Tta,
    /// The network's input height and width.
    size: [i64; 2],
}

impl Copies {
    /// The copies for a network with input shape `input`, `[C, H, W]`, from images of
    /// shape `images`. Images that are too small are a usage error.
    pub fn new(tta: Tta, input: [usize; 3], images: [usize; 3]) -> Result<Self> {
        let [_, height, width] = input;
        if tta.crops() {
            let fits = images[1] >= height && images[2] >= width;
            if !fits || images[1..] == input[1..] {
                return Err(Error::usage(format_args!(
                    "{tta} takes parts of {height} x {width} pixels out of images, which \
                     must be larger: these are of {} x {}",
                    images[1], images[2]
                )));
            }
        } else if tta == Tta::Shift && (height < 2 || width < 2) {
            return Err(Error::usage(format_args!(
                "{tta} moves images by a pixel: these are of {height} x {width}"
            )));
        }
        Ok(Self { tta, size: [height as i64, width as i64] })
    }

    /// The kind of augmentation.
    pub fn tta(&self) -> Tta {
        self.tta
    }

    /// Each copy of the images `[N, C, H, W]`, with its weight in the mean.
    fn of(&self, images: &Tensor) -> Result<Vec<(Tensor, f64)>, TchError> {
        let original = images.shallow_clone();
        let copies = match self.tta {
            Tta::Flip => vec![(original, 1.0)],
            Tta::Shift => {
                let [first, last] = self.shifted(images)?;
                vec![(original, 0.5), (first, 0.25), (last, 0.25)]
            }
            Tta::FiveCrop => return self.five_crops(images),
            Tta::TenCrop => {
                let mut copies = self.five_crops(images)?;
                copies.extend(self.five_crops(&mirrored(images)?)?);
                let count = copies.len() as f64;
                copies.iter_mut().for_each(|(_, share)| *share = 1.0 / count);
                return Ok(copies);
            }
        };
        let mut both = Vec::new();
        for (copy, share) in copies {
            both.push((mirrored(&copy)?, share / 2.0));
            both.push((copy, share / 2.0));
        }
        Ok(both)
    }

    /// The images shifted by a pixel, down and right, then up and left. The border is
    /// filled by reflection.
    fn shifted(&self, images: &Tensor) -> Result<[Tensor; 2], TchError> {
        let padded = images.f_reflection_pad2d([1, 1, 1, 1])?;
        let down_right = f_crop(&padded, [0, 0], self.size)?;
        let up_left = f_crop(&padded, [2, 2], self.size)?;
        Ok([down_right, up_left])
    }

    /// The four corners, then the centre.
    fn five_crops(&self, images: &Tensor) -> Result<Vec<(Tensor, f64)>, TchError> {
        let size = images.size();
        let room = [size[2] - self.size[0], size[3] - self.size[1]];
        // Python's rounding, as in torchvision.
        let middle = room.map(|n| (n as f64 / 2.0).round_ties_even() as i64);
        let corners = [[0, 0], [0, room[1]], [room[0], 0], room, middle];
        let mut crops = Vec::new();
        for corner in corners {
            crops.push((f_crop(images, corner, self.size)?, 0.2));
        }
        Ok(crops)
    }
}

fn mirrored(images: &Tensor) -> Result<Tensor, TchError> {
    f_channels_last(&images.f_flip([3])?)
}

/// The network's outputs `[N, classes]` for images `[N, C, H, W]`. With copies, the mean
/// over the copies, float32.
pub fn forward(
    model: &Model,
    images: &Tensor,
    mode: Mode,
    copies: Option<Copies>,
) -> Result<Tensor> {
    let Some(copies) = copies else {
        return model.forward(images, mode);
    };
    let mut sum: Option<Tensor> = None;
    for (copy, share) in copies.of(images).map_err(|e| torch_error(&e))? {
        let outputs = model.forward(&copy, mode)?;
        let added = outputs
            .f_to_kind(Kind::Float)
            .and_then(|outputs| f_scaled(&outputs, share))
            .and_then(|outputs| match &sum {
                Some(sum) => sum.f_add(&outputs),
                None => Ok(outputs),
            });
        sum = Some(added.map_err(|e| torch_error(&e))?);
    }
    sum.ok_or_else(|| Error::failed("there are no copies of the images"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use tch::Device;

    use super::*;
    use crate::tensor::floats;

    /// The copies of one image with one channel, whose pixels are 0, 1, 2, ...
    fn copies(tta: Tta, size: [usize; 2], image: [i64; 2]) -> Vec<(Vec<f32>, f64)> {
        let input = [1, size[0], size[1]];
        let shape = [1, image[0] as usize, image[1] as usize];
        let pixels = Tensor::arange(image[0] * image[1], (Kind::Float, Device::Cpu));
        let pixels = pixels.reshape([1, 1, image[0], image[1]]);
        let copies = Copies::new(tta, input, shape).unwrap().of(&pixels).unwrap();
        copies.iter().map(|(copy, share)| (floats(copy), *share)).collect()
    }

    #[test]
    fn flip_is_the_mean_of_an_image_and_its_mirror() {
        assert_eq!(
            copies(Tta::Flip, [2, 2], [2, 2]),
            [(vec![1.0, 0.0, 3.0, 2.0], 0.5), (vec![0.0, 1.0, 2.0, 3.0], 0.5)]
        );
    }

    #[test]
    fn shift_moves_by_a_pixel_and_reflects() {
        let found = copies(Tta::Shift, [2, 3], [2, 3]);
        let shares: Vec<f64> = found.iter().map(|(_, share)| *share).collect();
        assert_eq!(shares, [0.25, 0.25, 0.125, 0.125, 0.125, 0.125]);
        assert_eq!(found[1].0, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(found[3].0, [4.0, 3.0, 4.0, 1.0, 0.0, 1.0]);
        assert_eq!(found[2].0, [4.0, 3.0, 4.0, 1.0, 0.0, 1.0]);
        assert_eq!(found[5].0, [4.0, 5.0, 4.0, 1.0, 2.0, 1.0]);
    }

    /// torchvision.transforms.functional.five_crop and ten_crop of 0 to 19 in 4 rows.
    #[test]
    fn crops_are_torchvisions() {
        let five = copies(Tta::FiveCrop, [2, 2], [4, 5]);
        let starts: Vec<f32> = five.iter().map(|(crop, _)| crop[0]).collect();
        assert_eq!(starts, [0.0, 3.0, 10.0, 13.0, 7.0]);
        assert_eq!(five[4], (vec![7.0, 8.0, 12.0, 13.0], 0.2));
        let ten = copies(Tta::TenCrop, [2, 2], [4, 5]);
        let starts: Vec<f32> = ten.iter().map(|(crop, _)| crop[0]).collect();
        assert_eq!(starts[..5], [0.0, 3.0, 10.0, 13.0, 7.0]);
        assert_eq!(starts[5..], [4.0, 1.0, 14.0, 11.0, 7.0]);
        assert!(ten.iter().all(|(_, share)| *share == 0.1));
    }

    #[test]
    fn crops_need_larger_images() {
        for images in [[3, 8, 8], [3, 7, 9]] {
            let error = Copies::new(Tta::TenCrop, [3, 8, 8], images).unwrap_err();
            assert_eq!(error.exit_status(), 2);
            assert!(error.to_string().contains("must be larger"), "{error}");
        }
    }
}
