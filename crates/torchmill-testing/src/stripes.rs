//! Shards of generated images that are easy to tell apart.

use std::path::Path;

use torchmill::shard::{Contents, DType, Images, Meta, file_name, write_file};

/// The classes of [`write_stripes`].
pub const STRIPES: [&str; 3] = ["top", "middle", "bottom"];

/// Writes one shard with `count` images of 1x8x8: noise, brighter in the rows of the
/// image's class. Anything that learns at all can tell the classes apart.
pub fn write_stripes(folder: &Path, split: &str, count: usize, digest: &str) {
    write_stripes_for(folder, split, count, digest, "ToTensor");
}

/// [`write_stripes`] with this deferred pipeline.
pub fn write_stripes_for(
    folder: &Path,
    split: &str,
    count: usize,
    digest: &str,
    pipeline: &str,
) {
    write(folder, split, &stripes(count), digest, pipeline);
}

/// [`write_stripes`] with each image twice in a row, `2 * count` images.
pub fn write_stripes_twice(folder: &Path, split: &str, count: usize, digest: &str) {
    let once = stripes(count);
    let twice: Vec<Stripes> = once.into_iter().flat_map(|image| [image; 2]).collect();
    write(folder, split, &twice, digest, "ToTensor");
}

/// An image of 1x8x8 and its label.
#[derive(Clone, Copy)]
struct Stripes {
    pixels: [u8; 64],
    label: i64,
}

fn stripes(count: usize) -> Vec<Stripes> {
    let mut noise = 12345_u32;
    let mut images = Vec::new();
    for i in 0..count as i64 {
        let label = i % 3;
        let mut pixels = [0; 64];
        for (at, pixel) in (0..).zip(&mut pixels) {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let bright = if at / 21 == label { 100 } else { 0 };
            *pixel = (noise >> 25) as u8 + bright;
        }
        images.push(Stripes { pixels, label });
    }
    images
}

fn write(folder: &Path, split: &str, images: &[Stripes], digest: &str, pipeline: &str) {
    let meta = Meta {
        dataset: "stripes".into(),
        split: split.into(),
        classes: STRIPES.map(String::from).to_vec(),
        pipeline: pipeline.into(),
        deferred: pipeline.into(),
        shards: 1,
        digest: digest.into(),
        ..Meta::default()
    };
    let bytes: Vec<u8> = images.iter().flat_map(|image| image.pixels).collect();
    let labels: Vec<i64> = images.iter().map(|image| image.label).collect();
    let sources: Vec<String> = (0..images.len()).map(|i| format!("stripe-{i}")).collect();
    let contents = Contents {
        meta: &meta,
        images: Images::Array { shape: [1, 8, 8], dtype: DType::Uint8, bytes: &bytes },
        labels: &labels,
        sources: &sources,
    };
    write_file(&folder.join(file_name(split, 0, 1)), &contents).unwrap();
}
