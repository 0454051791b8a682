//! The table of transforms, one line each: the module in `steps/` and the name.

use super::argument::Arguments;
use super::literal::Call;
use super::step::Step;
use super::syntax;
use crate::suggest::did_you_mean;
use crate::{Error, Result};

/// Declares the modules of the transforms and [`Transform`], which is one of them.
///
/// rustfmt does not find modules that a macro declares, so `make fmt` and `make lint`
/// name the files.
macro_rules! table {
    ($( $module:ident: $name:ident, )*) => {
        $( mod $module; pub use $module::$name; )*

        /// One step of a pipeline: a transform with its arguments.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Transform {
            $(
                #[doc = concat!("`", stringify!($name), "`.")]
                $name($name),
            )*
        }

        impl Transform {
            pub(super) const NAMES: &[&str] = &[$($name::NAME),*];

            pub(super) fn step(&self) -> &dyn Step {
                match self { $( Self::$name(step) => step, )* }
            }

            /// Reads a call, without checking whether its arguments are in range. Also
            /// returns the arguments, for messages.
            fn read_unchecked<'a>(
                text: &'a str,
                call: &'a Call,
            ) -> Result<(Self, Arguments<'a>)> {
                match call.name.as_str() {
                    $( $name::NAME => {
                        let arguments = Arguments::new(text, call, $name::PARAMETERS)?;
                        Ok((Self::$name($name::read(&arguments)?), arguments))
                    } )*
                    _ => Err(unknown(text, call)),
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
    alternating_horizontal_flip: AlternatingHorizontalFlip,
    aug_mix: AugMix,
    auto_augment: AutoAugment,
    center_crop: CenterCrop,
    color_jitter: ColorJitter,
    convert_image_dtype: ConvertImageDtype,
    elastic_transform: ElasticTransform,
    exif_transpose: ExifTranspose,
    gaussian_blur: GaussianBlur,
    grayscale: Grayscale,
    normalize: Normalize,
    pad: Pad,
    pil_to_tensor: PILToTensor,
    rand_augment: RandAugment,
    random_adjust_sharpness: RandomAdjustSharpness,
    random_affine: RandomAffine,
    random_apply: RandomApply,
    random_autocontrast: RandomAutocontrast,
    random_choice: RandomChoice,
    random_crop: RandomCrop,
    random_equalize: RandomEqualize,
    random_erasing: RandomErasing,
    random_grayscale: RandomGrayscale,
    random_horizontal_flip: RandomHorizontalFlip,
    random_invert: RandomInvert,
    random_perspective: RandomPerspective,
    random_posterize: RandomPosterize,
    random_resized_crop: RandomResizedCrop,
    random_rotation: RandomRotation,
    random_solarize: RandomSolarize,
    random_vertical_flip: RandomVerticalFlip,
    resize: Resize,
    scale_jitter: ScaleJitter,
    to_dtype: ToDtype,
    to_image: ToImage,
    to_tensor: ToTensor,
    trivial_augment_wide: TrivialAugmentWide,
}

impl Transform {
    /// Reads a call. `Compose` is not handled here but by the pipeline.
    pub(super) fn read(text: &str, call: &Call) -> Result<Self> {
        let (transform, arguments) = Self::read_unchecked(text, call)?;
        match transform.step().check() {
            Ok(()) => Ok(transform),
            Err(invalid) => Err(arguments.error_in(invalid.parameter, invalid.reason)),
        }
    }
}

/// Other names in torchvision.transforms.v2. They are correct, so no correction is
/// suggested for them.
const ONLY_IN_TORCHVISION: [&str; 18] = [
    "CutMix",
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
    "RandomPhotometricDistort",
    "RandomResize",
    "RandomShortestSize",
    "RandomZoomOut",
    "TenCrop",
    "ToPILImage",
    "ToPureTensor",
];

/// The error about a name that is not in the table.
fn unknown(text: &str, call: &Call) -> Error {
    let name = call.name.as_str();
    if ONLY_IN_TORCHVISION.contains(&name) {
        let instead = match name {
            "FiveCrop" => ": `evaluate --tta five` averages over these crops",
            "TenCrop" => ": `evaluate --tta ten` averages over these crops",
            "CutMix" => ": it is `cutmix` in a recipe's [train]",
            "MixUp" => ": it is `mixup` in a recipe's [train]",
            _ => "",
        };
        let why = format_args!(
            "torchvision's {name} is not among the transforms here{instead}"
        );
        return syntax::error_at(text, call.offset, why);
    }
    let known: Vec<&str> = Transform::NAMES.iter().copied().chain(["Compose"]).collect();
    let mut hint = did_you_mean(name, known.iter().copied());
    if hint.is_empty() {
        hint = format!(": there are {}", known.join(", "));
    }
    let why = format_args!("there is no transform {name}{hint}");
    syntax::error_at(text, call.offset, why)
}
