//! `--images`: the pictures that `evaluate --samples` drew of a run's checkpoints, for TensorBoard's IMAGES page.

use std::fs;
use std::path::Path;

use image::ImageFormat;
use prost::Message;
use torchmill::{Context, Error, Result};

use crate::beside::{Kind, Push};
use crate::event::proto::{Data, Image};

/// The pictures.
pub const SAMPLES: Kind = Kind { option: "--images", folder: "samples", ending: "png", what: "image", read };

fn read(path: &Path, push: &mut Push) -> Result<()> {
    let png = fs::read(path).doing("read", path)?;
    // Decoded whole: a browser shows half a picture without a word.
    let picture = image::load_from_memory_with_format(&png, ImageFormat::Png)
        .map_err(|e| Error::failed(e).within(path.display()))?;
    let image = Image {
        // A PNG's sides are of 31 bits.
        height: picture.height() as i32,
        width: picture.width() as i32,
        colorspace: picture.color().channel_count().into(),
        encoded_image_string: png,
    };
    push("samples", Data::Image(image.encode_to_vec()))
}
