//! The pipeline language and each transform.
//!
//! A pipeline is written as text with torchvision's names, arguments and defaults:
//! `Resize(256) | CenterCrop(224) | ToTensor | Normalize((0.5, 0.5, 0.5), (0.5, 0.5,
//! 0.5))`. [`Pipeline::parse`] reads it, [`Pipeline::split`] tells what can be done once
//! (and baked into shards) from what belongs to each epoch, and [`Pipeline::apply`] does
//! it to one image. `table.rs` lists the transforms; each is a file that declares its
//! arguments and says what it does.

mod arguments;
mod image;
mod names;
mod pipeline;
mod random;
mod step;
mod syntax;
mod table;
mod types;
mod value;

mod affine;
mod enhance;
mod hue;
mod levels;
mod planes;
mod rearrangement;
mod resample;

mod auto_augment;
mod blur;
mod choice;
mod convert;
mod crop;
mod erasing;
mod flip;
mod grayscale;
mod jitter;
mod normalize;
mod pad;
mod resize;
mod resized_crop;
mod rotation;

pub use auto_augment::{AutoAugment, AutoAugmentPolicy, RandAugment, TrivialAugmentWide};
pub use blur::{GaussianBlur, Sigma};
pub use choice::{RandomApply, RandomChoice};
pub use convert::{ConvertImageDtype, Dtype, PILToTensor, ToDtype, ToImage, ToTensor};
pub use crop::{CenterCrop, RandomCrop};
pub use erasing::{Eraser, RandomErasing};
pub use flip::{RandomHorizontalFlip, RandomVerticalFlip};
pub use grayscale::Grayscale;
pub use image::{Form, Image, Kind, Sample, Tensor};
pub use jitter::{
    ColorJitter, RandomAdjustSharpness, RandomAutocontrast, RandomEqualize,
    RandomGrayscale, RandomInvert, RandomPosterize, RandomSolarize,
};
pub use normalize::Normalize;
pub use pad::Pad;
pub use pipeline::Pipeline;
pub use random::{Rng, rng};
pub use rearrangement::Rearrangement;
pub use resize::Resize;
pub use resized_crop::RandomResizedCrop;
pub use rotation::{RandomAffine, RandomRotation, Shear};
pub use table::Transform;
pub use types::{Edges, Fill, Interpolation, PaddingMode, Size, Spread};

#[cfg(test)]
mod golden;
#[cfg(test)]
mod properties;
