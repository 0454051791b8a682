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
    let mut noise = 12345_u32;
    let mut images = Vec::new();
    let labels: Vec<i64> = (0..count as i64).map(|i| i % 3).collect();
    for &label in &labels {
        for pixel in 0..64 {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let bright = if pixel / 21 == label { 100 } else { 0 };
            images.push((noise >> 25) as u8 + bright);
        }
    }
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
    let sources: Vec<String> = (0..count).map(|i| format!("stripe-{i}")).collect();
    let contents = Contents {
        meta: &meta,
        images: Images::Array { shape: [1, 8, 8], dtype: DType::Uint8, bytes: &images },
        labels: &labels,
        sources: &sources,
    };
    write_file(&folder.join(file_name(split, 0, 1)), &contents).unwrap();
}
