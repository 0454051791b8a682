//! Test-time augmentation: which copies of an image are evaluated.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, Result, suggest};

/// The copies of an image whose outputs are averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tta {
    /// The image and its mirror image.
    Flip,
    /// The image and its mirror image, which together count half, and both moved by a
    /// pixel: up and left, down and right.
    Shift,
    /// The four corners and the centre, as torchvision's FiveCrop.
    #[serde(alias = "five")]
    FiveCrop,
    /// These five crops of the image and of its mirror image, as torchvision's TenCrop.
    #[serde(alias = "ten")]
    TenCrop,
}

impl Tta {
    /// The names that [`Tta::parse`] accepts.
    pub const NAMES: [&str; 4] = ["flip", "shift", "five_crop", "ten_crop"];

    /// Reads one of [`Tta::NAMES`]; `five` and `ten` are short for the crops.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "flip" => Ok(Self::Flip),
            "shift" => Ok(Self::Shift),
            "five_crop" | "five" => Ok(Self::FiveCrop),
            "ten_crop" | "ten" => Ok(Self::TenCrop),
            _ => Err(Error::usage(format_args!(
                "`{text}` is not one of flip, shift, five_crop and ten_crop{}",
                suggest::did_you_mean(text, Self::NAMES)
            ))),
        }
    }

    /// Its name in recipes and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flip => "flip",
            Self::Shift => "shift",
            Self::FiveCrop => "five_crop",
            Self::TenCrop => "ten_crop",
        }
    }

    /// Whether the copies are crops, which must be smaller than the image.
    pub fn crops(self) -> bool {
        matches!(self, Self::FiveCrop | Self::TenCrop)
    }
}

impl fmt::Display for Tta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn names_are_those_of_recipes() {
        for name in Tta::NAMES {
            let tta = Tta::parse(name).unwrap();
            assert_eq!(tta.name(), name);
            assert_eq!(serde_json::to_string(&tta).unwrap(), format!("\"{name}\""));
        }
        for (short, name) in [("five", Tta::FiveCrop), ("ten", Tta::TenCrop)] {
            assert_eq!(Tta::parse(short).unwrap(), name);
            let read: Tta = serde_json::from_str(&format!("\"{short}\"")).unwrap();
            assert_eq!(read, name);
        }
        let error = Tta::parse("five-crop").unwrap_err();
        assert!(error.to_string().contains("did you mean five_crop?"), "{error}");
    }
}
