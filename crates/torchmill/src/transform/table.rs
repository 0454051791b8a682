//! The list of transforms: one line each.

use super::arguments::Bound;
use super::step::Step;
use super::value::Call;
use super::*;
use crate::suggest::did_you_mean;
use crate::{Result, transform::syntax};

/// Transforms of torchvision.transforms.v2 that are not here: no slips of other names.
const ELSEWHERE: [&str; 22] = [
    "AugMix",
    "CutMix",
    "ElasticTransform",
    "FiveCrop",
    "GaussianNoise",
    "Identity",
    "JPEG",
    "Lambda",
    "LinearTransformation",
    "MixUp",
    "RandomChannelPermutation",
    "RandomIoUCrop",
    "RandomOrder",
    "RandomPerspective",
    "RandomPhotometricDistort",
    "RandomResize",
    "RandomShortestSize",
    "RandomZoomOut",
    "ScaleJitter",
    "TenCrop",
    "ToPILImage",
    "ToPureTensor",
];

macro_rules! table {
    ($( $name:ident, )*) => {
        /// One step of a pipeline: a transform with its arguments.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Transform {
            $( #[doc = concat!("[`", stringify!($name), "`], as in torchvision.transforms.v2.")] $name($name), )*
        }

        impl Transform {
            pub(super) const NAMES: &[&str] = &[$($name::NAME),*];

            pub(super) fn step(&self) -> &dyn Step {
                match self { $( Self::$name(step) => step, )* }
            }

            /// Reads one call; `Compose`, which is no step of its own, is the pipeline's
            /// affair.
            pub(super) fn read(text: &str, call: &Call) -> Result<Self> {
                let bound = |parameters| Bound::new(text, call, parameters);
                let checked = |step: Self, bound: &Bound| match step.step().check() {
                    Ok(()) => Ok(step),
                    Err(wrong) => Err(bound.wrong_argument(wrong.parameter, wrong.why)),
                };
                match call.name.as_str() {
                    $( stringify!($name) => {
                        let bound = bound($name::PARAMETERS)?;
                        checked(Self::$name($name::read(&bound)?), &bound)
                    } )*
                    unknown if ELSEWHERE.contains(&unknown) => {
                        let why = format_args!("torchvision's {unknown} is not among the transforms here");
                        Err(syntax::wrong_at(text, call.at, why))
                    }
                    unknown => {
                        let names = || Self::NAMES.iter().copied().chain(["Compose"]);
                        let hint = match did_you_mean(unknown, names()) {
                            nothing if nothing.is_empty() => {
                                format!(": there are {}", names().collect::<Vec<_>>().join(", "))
                            }
                            hint => hint,
                        };
                        Err(syntax::wrong_at(
                            text,
                            call.at,
                            format_args!("there is no transform {unknown}{hint}"),
                        ))
                    }
                }
            }
        }

        $( impl From<$name> for Transform {
            fn from(step: $name) -> Self {
                Self::$name(step)
            }
        } )*
    };
}

table! {
    AutoAugment,
    CenterCrop,
    ColorJitter,
    ConvertImageDtype,
    GaussianBlur,
    Grayscale,
    Normalize,
    PILToTensor,
    Pad,
    RandAugment,
    RandomAdjustSharpness,
    RandomAffine,
    RandomApply,
    RandomAutocontrast,
    RandomChoice,
    RandomCrop,
    RandomEqualize,
    RandomErasing,
    RandomGrayscale,
    RandomHorizontalFlip,
    RandomInvert,
    RandomPosterize,
    RandomResizedCrop,
    RandomRotation,
    RandomSolarize,
    RandomVerticalFlip,
    Resize,
    ToDtype,
    ToImage,
    ToTensor,
    TrivialAugmentWide,
}
