//! The pipeline language and each transform.
//!
//! A pipeline is text with torchvision's names, arguments and defaults: `Resize(256) |
//! CenterCrop(224) | ToTensor | Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))`.
//! [`Pipeline::parse`] reads it, [`Pipeline::split`] separates what can be applied once
//! (and baked into shards) from what each epoch applies, and [`Pipeline::apply`] applies
//! it to one image.
//!
//! Each transform is a file in `steps/` and a line in the table in `steps.rs`. The other
//! modules build on each other in this order: [`sample`], [`random`], [`literal`],
//! [`syntax`], [`argument`], [`argument_types`], [`pixel_map`], [`view`], [`pixels`],
//! [`step`], the transforms, [`pipeline`].

mod argument;
mod argument_types;
mod augment;
mod dtype;
pub(crate) mod literal;
mod pipeline;
mod pixel_map;
mod pixels;
mod random;
mod rectangle;
mod sample;
mod step;
mod steps;
pub(crate) mod syntax;
mod view;

pub use pipeline::Pipeline;
pub use pixel_map::PixelMap;
pub use random::{Rng, rng};
pub use sample::{
    DecodedPart, Exif, FilePart, Image, ImageFile, Sample, SampleKind, SampleSpec, Tensor,
};
pub use steps::*;
pub(crate) use view::View;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod properties;
