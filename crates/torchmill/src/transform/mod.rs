//! The pipeline language and each transform.
//!
//! A pipeline is written as text with torchvision's names, arguments and defaults:
//! `Resize(256) | CenterCrop(224) | ToTensor | Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))`.
//! [`Pipeline::parse`] reads it, [`Pipeline::split`] tells what can be done once (and baked into shards)
//! from what belongs to each epoch, and [`Pipeline::apply`] does it to one image. `table.rs` lists the
//! transforms; each is a file that declares its arguments and says what it does.

mod arguments;
mod image;
mod pipeline;
mod random;
mod step;
mod syntax;
mod table;
mod types;
mod value;

mod choice;
mod convert;
mod crop;
mod flip;
mod grayscale;
mod normalize;
mod pad;
mod planes;
mod resample;
mod resize;

pub use choice::{RandomApply, RandomChoice};
pub use convert::{ToImage, ToTensor};
pub use crop::{CenterCrop, RandomCrop};
pub use flip::{RandomHorizontalFlip, RandomVerticalFlip};
pub use grayscale::Grayscale;
pub use image::{Form, Image, Kind, Sample, Tensor};
pub use normalize::Normalize;
pub use pad::Pad;
pub use pipeline::Pipeline;
pub use random::{Rng, rng};
pub use resize::Resize;
pub use table::Transform;
pub use types::{Edges, Fill, Interpolation, PaddingMode, Size};

#[cfg(test)]
mod golden;
