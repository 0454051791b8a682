//! `Grayscale`.

use crate::Result;
use crate::transform::argument::{Checked, InvalidArgument, transform};
use crate::transform::pixels::luminance::{gray, gray_rgb};
use crate::transform::random::Rng;
use crate::transform::sample::{Sample, SampleSpec};
use crate::transform::step::Step;

transform! {
    /// The luminance of an image (ITU-R 601-2), as PIL's `convert("L")` computes it.
    pub struct Grayscale {
        /// 1, or 3 for three equal channels.
        pub num_output_channels: usize = 1,
    }
}

impl Step for Grayscale {
    fn check(&self) -> Checked {
        match self.num_output_channels {
            1 | 3 => Ok(()),
            n => {
                let why = format!("must be 1 or 3, not {n}");
                Err(InvalidArgument::new("num_output_channels", why))
            }
        }
    }

    fn output(&self, input: SampleSpec) -> Result<SampleSpec> {
        let input = input.require_image()?;
        Ok(SampleSpec { channels: self.num_output_channels, ..input })
    }

    fn apply(&self, sample: Sample, _: &mut Rng) -> Result<Sample> {
        let image = sample.into_image()?;
        let gray = match self.num_output_channels {
            3 => gray_rgb(&image),
            _ => gray(&image),
        };
        Ok(Sample::Image(gray))
    }
}
