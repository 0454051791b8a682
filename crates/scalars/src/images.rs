//! `--images`: the contact sheets that `evaluate --samples` made of a run's checkpoints,
//! for TensorBoard's IMAGES page.

use image::ImageFormat;
use prost::Message;
use torchmill::{Error, Result, run};

use crate::artifacts::{Artifact, Values};
use crate::event::proto::{Data, Image};

/// The pictures' tag. TensorBoard sorts it after the curves.
const TAG: &str = "x/samples";

/// The contact sheets.
pub const SAMPLES: Artifact = Artifact {
    option: "--images",
    folder: run::SAMPLES,
    extension: "png",
    what: "image",
    read,
};

fn read(png: &[u8]) -> Result<Values> {
    // Decode the whole file: a browser would show half a picture without an error.
    let picture = image::load_from_memory_with_format(png, ImageFormat::Png)
        .map_err(Error::failed)?;
    let image = Image {
        // A PNG's width and height fit into 31 bits.
        height: picture.height() as i32,
        width: picture.width() as i32,
        colorspace: picture.color().channel_count().into(),
        encoded_image_string: png.to_vec(),
    };
    Ok(vec![(TAG.to_owned(), Data::Image(image.encode_to_vec()))])
}
