//! `RandomResizedCrop`.

use std::ops::Range;

use crate::Result;
use crate::transform::argument::{Checked, transform};
use crate::transform::argument_types::{Interpolation, Size};
use crate::transform::pixels::resample::{Filter, resize_between, resize_window};
use crate::transform::random::{Rng, below};
use crate::transform::rectangle::{check_scale_and_ratio, random_sides};
use crate::transform::sample::{
    DecodedPart, FilePart, Image, ImageFile, Sample, SampleSpec,
};
use crate::transform::step::Step;

transform! {
    /// A part of random size and shape, resized; the usual augmentation for ImageNet.
    pub struct RandomResizedCrop {
        /// `n` for a square, or `(height, width)`.
        pub size: Size,
        /// The smallest and the largest share of the area.
        pub scale: [f64; 2] = [0.08, 1.0],
        /// The smallest and the largest ratio of width to height.
        pub ratio: [f64; 2] = [3.0 / 4.0, 4.0 / 3.0],
        /// The filter.
        pub interpolation: Interpolation = Interpolation::Bilinear,
        /// Has no effect on images, as in torchvision.
        pub antialias: Option<bool> = Some(true),
    }
}

impl Step for RandomResizedCrop {
    fn check(&self) -> Checked {
        check_scale_and_ratio(self.scale, self.ratio)
    }

    fn is_random(&self) -> bool {
        true
    }

    fn output(&self, input: SampleSpec) -> Result<SampleSpec> {
        let (height, width) = self.size.square();
        Ok(input.require_image()?.with_size(height, width))
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        let image = sample.into_image()?;
        let (top, left, h, w) = self.draw(image.height, image.width, rng);
        self.resize(&image, top..top + h, left..left + w).map(Sample::Image)
    }
}

impl RandomResizedCrop {
    /// Draws a part of an image file, decodes only that, and resizes it. Draws the same
    /// numbers as [`Step::apply`].
    pub(in crate::transform) fn apply_to_file(
        &self,
        file: &dyn ImageFile,
        rng: &mut Rng,
    ) -> Result<Image> {
        let [_, height, width] = file.shape();
        let (top, left, h, w) = self.draw(height, width, rng);
        let scale = if file.may_be_scaled() { self.scale_for(h, w) } else { 1 };
        match Filter::new(self.interpolation) {
            Some(filter) if scale > 1 => {
                self.resize_scaled(file, scale, top..top + h, left..left + w, &filter)
            }
            _ => {
                let (rows, columns) = (top..top + h, left..left + w);
                let part = file.decode(&FilePart { rows, columns, scale: 1 })?;
                let left = left - part.left;
                self.resize(&part.image, 0..h, left..left + w)
            }
        }
    }

    /// Resizes a part of an image file that is decoded `scale` times smaller. The part's
    /// borders may then be between pixels.
    fn resize_scaled(
        &self,
        file: &dyn ImageFile,
        scale: usize,
        rows: Range<usize>,
        columns: Range<usize>,
        filter: &Filter,
    ) -> Result<Image> {
        let scaled = |x: &Range<usize>| x.start / scale..x.end.div_ceil(scale);
        let part = FilePart { rows: scaled(&rows), columns: scaled(&columns), scale };
        let DecodedPart { image, left } = file.decode(&part)?;
        let at = |pixel: usize, first: usize, length: usize| {
            (pixel as f64 / scale as f64 - first as f64).min(length as f64)
        };
        let rows = at(rows.start, part.rows.start, image.height)
            ..at(rows.end, part.rows.start, image.height);
        let columns =
            at(columns.start, left, image.width)..at(columns.end, left, image.width);
        let (height, width) = self.size.square();
        resize_between(&image, [rows, columns], [height, width], filter)
    }

    /// The largest of 1, 2, 4 and 8 by which a part of this height and width can be
    /// divided without becoming smaller than the result.
    fn scale_for(&self, h: usize, w: usize) -> usize {
        let (height, width) = self.size.square();
        let fits = |scale: &usize| h / scale >= height && w / scale >= width;
        [8, 4, 2].into_iter().find(fits).unwrap_or(1)
    }

    /// Resizes a part of an image.
    pub(in crate::transform) fn resize(
        &self,
        image: &Image,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> Result<Image> {
        let (height, width) = self.size.square();
        resize_window(image, [rows, columns], [height, width], self.interpolation)
    }

    /// (top, left, height, width). If ten rectangles did not fit, it is the largest
    /// central part with an allowed ratio, as in torchvision.
    fn draw(
        &self,
        height: usize,
        width: usize,
        rng: &mut Rng,
    ) -> (usize, usize, usize, usize) {
        for _ in 0..10 {
            let (w, h) = random_sides(height * width, self.scale, self.ratio, rng);
            if (1..=width).contains(&w) && (1..=height).contains(&h) {
                let top = below(height - h + 1, rng);
                let left = below(width - w + 1, rng);
                return (top, left, h, w);
            }
        }
        let ratio = width as f64 / height as f64;
        let [low, high] = self.ratio;
        let side = |x: f64, most: usize| (x.round_ties_even() as usize).clamp(1, most);
        let (h, w) = if ratio < low {
            (side(width as f64 / low, height), width)
        } else if ratio > high {
            (height, side(height as f64 * high, width))
        } else {
            (height, width)
        };
        ((height - h) / 2, (width - w) / 2, h, w)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::{Pipeline, Transform, rng};

    /// An image as a file, with a record of the parts that were decoded.
    struct Decoded {
        image: Image,
        scales: bool,
        parts: std::cell::RefCell<Vec<FilePart>>,
    }

    impl ImageFile for Decoded {
        fn shape(&self) -> [usize; 3] {
            [3, self.image.height, self.image.width]
        }

        fn may_be_scaled(&self) -> bool {
            self.scales
        }

        fn decode(&self, part: &FilePart) -> Result<DecodedPart> {
            self.parts.borrow_mut().push(part.clone());
            // Like a decoder that works in blocks of 8 columns.
            let left = part.columns.start / 8 * 8;
            let columns = left..part.columns.end;
            let mut pixels = Vec::new();
            for y in part.rows.clone() {
                for x in columns.clone() {
                    let at = (y * part.scale * self.image.width + x * part.scale) * 3;
                    pixels.extend_from_slice(&self.image.pixels[at..at + 3]);
                }
            }
            let (width, height) = (columns.len(), part.rows.len());
            Ok(DecodedPart { image: Image { width, height, channels: 3, pixels }, left })
        }
    }

    fn file(width: usize, height: usize, scales: bool) -> Decoded {
        let pixels = (0..width * height * 3).map(|i| (i * 7 % 251) as u8).collect();
        let image = Image { width, height, channels: 3, pixels };
        Decoded { image, scales, parts: Default::default() }
    }

    #[test]
    fn a_file_gives_what_its_image_gives() {
        let text = "RandomResizedCrop(9) | RandomHorizontalFlip | ColorJitter(0.4)";
        let pipeline = Pipeline::parse(text).unwrap();
        let file = file(40, 31, false);
        for seed in 0..40 {
            let whole = Sample::Image(file.image.clone());
            let expected = pipeline.apply(whole, &mut rng(seed, 0, 0)).unwrap();
            let found = pipeline.apply_to_file(&file, &mut rng(seed, 0, 0)).unwrap();
            assert!(found == expected, "seed {seed}");
        }
        let parts = file.parts.borrow();
        assert!(parts.iter().all(|part| part.scale == 1));
        assert!(parts.iter().any(|part| part.rows.len() < 20));
        assert!(parts.iter().any(|part| part.columns.len() < 20));
    }

    #[test]
    fn a_scale_never_makes_a_part_smaller_than_the_result() {
        let pipeline = Pipeline::parse("RandomResizedCrop((5, 7))").unwrap();
        let [Transform::RandomResizedCrop(crop)] = pipeline.steps() else { panic!() };
        for (h, w, scale) in
            [(5, 7, 1), (10, 14, 2), (39, 60, 4), (400, 13, 1), (99, 99, 8)]
        {
            assert_eq!(crop.scale_for(h, w), scale, "{h}x{w}");
        }
        let file = file(90, 77, true);
        for seed in 0..40 {
            let found = pipeline.apply_to_file(&file, &mut rng(seed, 0, 0)).unwrap();
            assert_eq!(found.shape(), [3, 5, 7]);
        }
        let parts = file.parts.borrow();
        assert!([2, 4, 8].iter().all(|s| parts.iter().any(|part| part.scale == *s)));
        assert!(parts.iter().all(|p| p.rows.end <= 77_usize.div_ceil(p.scale)));
        assert!(parts.iter().all(|p| p.columns.end <= 90_usize.div_ceil(p.scale)));
    }
}
