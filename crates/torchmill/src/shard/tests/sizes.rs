//! Shards of images of different sizes.

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::*;

/// The pixels of an RGB image of this size, all different for different sizes.
fn pixels(height: usize, width: usize) -> Vec<u8> {
    (0..height * width * 3).map(|i| (i * 7 + height * 31 + width) as u8).collect()
}

fn png(height: usize, width: usize) -> Vec<u8> {
    let mut file = Vec::new();
    PngEncoder::new(&mut file)
        .write_image(
            &pixels(height, width),
            width as u32,
            height as u32,
            ExtendedColorType::Rgb8,
        )
        .unwrap();
    file
}

const SIZES: [[usize; 2]; 3] = [[3, 5], [4, 2], [1, 1]];

fn stored(bytes: fn(usize, usize) -> Vec<u8>) -> Vec<StoredImage> {
    let image = |[height, width]: [usize; 2]| {
        let bytes = bytes(height, width);
        StoredImage { bytes, height, width }
    };
    SIZES.into_iter().map(image).collect()
}

/// A shard of these images, with the labels 1, 0 and 1.
fn written(images: Images) -> Vec<u8> {
    let meta = meta();
    let sources = ["a.png", "b.png", "c.png"].map(String::from);
    let contents =
        Contents { meta: &meta, images, labels: &[1, 0, 1], sources: &sources };
    let mut out = Vec::new();
    write_to(&mut out, &contents).unwrap();
    out
}

fn encoded() -> Vec<u8> {
    written(Images::Encoded(&stored(png)))
}

fn of_pixels() -> Vec<u8> {
    written(Images::Pixels { channels: 3, images: &stored(pixels) })
}

#[test]
fn images_of_different_sizes_are_read_as_they_were_written() {
    for (bytes, storage) in
        [(encoded(), Storage::Encoded), (of_pixels(), Storage::Pixels)]
    {
        assert_eq!(bytes[8..12], VERSION_OF_SIZES.to_le_bytes());
        let shard = open(&bytes).unwrap();
        shard.verify().unwrap();
        assert_eq!((shard.storage(), shard.len()), (storage, 3));
        assert_eq!(shard.header().image_shape().unwrap(), None);
        assert_eq!(shard.header().channels().unwrap(), 3);
        for (i, [height, width]) in SIZES.into_iter().enumerate() {
            assert_eq!(shard.shape(i).unwrap(), [3, height, width]);
            let image = shard.pixels(i).unwrap().into_image();
            assert_eq!([image.height, image.width, image.channels], [height, width, 3]);
            assert_eq!(image.pixels, pixels(height, width));
        }
        assert_eq!(shard.label(2).unwrap(), 1);
        assert_eq!(shard.source(1).unwrap(), "b.png");
        assert!(shard.pixels(3).is_err() && shard.shape(3).is_err());
    }
    assert_eq!(open(&encoded()).unwrap().image(1).unwrap(), png(4, 2));
}

#[test]
fn a_set_knows_the_size_of_each_image() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file_name("train", 0, 1));
    std::fs::write(path, encoded()).unwrap();
    let set = ShardSet::open(folder.path(), "train").unwrap();
    assert_eq!((set.image_shape(), set.channels()), (None, 3));
    assert_eq!(set.spec().size, None);
    assert_eq!(set.shape(1).unwrap(), [3, 4, 2]);
    assert_eq!(set.pixels(1).unwrap().into_image().pixels, pixels(4, 2));
}

#[test]
fn a_changed_image_is_found_when_it_is_read() {
    for bytes in [encoded(), of_pixels()] {
        let shard = open(&bytes).unwrap();
        let name = shard.storage().field_name();
        let at = shard.header().field(name).unwrap().offset as usize;
        let mut bytes = bytes;
        bytes[at + 2] ^= 1;
        let shard = open(&bytes).unwrap();
        assert!(shard.verify().is_err());
        shard.verify_index().unwrap();
        let error = shard.pixels(0).unwrap_err().to_string();
        assert!(error.contains("image 0 (a.png): its checksum is wrong"), "{error}");
        shard.pixels(1).unwrap();
    }
}

#[test]
fn a_broken_file_in_a_shard_is_named() {
    let mut images = stored(png);
    images[1].bytes.truncate(40);
    let shard = open(&written(Images::Encoded(&images))).unwrap();
    let error = shard.pixels(1).unwrap_err().to_string();
    assert!(error.contains("image 1 (b.png): cannot be decoded as PNG"), "{error}");
    let mut images = stored(png);
    images[2].height = 9;
    let shard = open(&written(Images::Encoded(&images))).unwrap();
    let error = shard.pixels(2).unwrap_err().to_string();
    assert!(
        error.contains("is 1 x 1 pixels, but the index of the shard says 1 x 9"),
        "{error}"
    );
}

#[test]
fn an_index_that_contradicts_itself_is_refused() {
    let impossible = |height, width| {
        let mut images = stored(png);
        images[0] = StoredImage { bytes: png(3, 5), height, width };
        open(&written(Images::Encoded(&images))).err().unwrap().to_string()
    };
    assert!(impossible(0, 5).contains("image 0 is 0x5 pixels, which it cannot be"));
    assert!(impossible(1 << 40, 1 << 40).contains("which it cannot be"));
    let mut images = stored(pixels);
    images[1].width = 3;
    let meta = meta();
    let contents = Contents {
        meta: &meta,
        images: Images::Pixels { channels: 3, images: &images },
        labels: &[0; 3],
        sources: &["a", "b", "c"].map(String::from),
    };
    let error = write_to(&mut Vec::new(), &contents).unwrap_err().to_string();
    assert!(error.contains("[3, 4, 3] cannot have 24 bytes"), "{error}");
    let contents = Contents { labels: &[0], ..contents };
    assert!(write_to(&mut Vec::new(), &contents).is_err());
}

#[test]
fn the_version_must_be_that_of_the_images() {
    let one_size = shard(&[[0; 12]], &[0], &meta());
    for (mut bytes, version) in [(encoded(), VERSION), (one_size, VERSION_OF_SIZES)] {
        bytes[8..12].copy_from_slice(&version.to_le_bytes());
        let error = open(&bytes).err().unwrap().to_string();
        assert!(error.contains("its images are not stored as in version"), "{error}");
    }
}

proptest! {
    #[test]
    fn a_flipped_byte_never_passes(at in 0usize..3000, bit in 0u8..8, encode: bool) {
        let mut bytes = if encode { encoded() } else { of_pixels() };
        let at = at % bytes.len();
        let header = super::super::read::parse(&bytes).unwrap();
        let header_end = 24 + u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
        let is_in_array = |field: &Field| {
            let start = field.offset as usize;
            (start..start + field.bytes().unwrap() as usize).contains(&at)
        };
        let is_padding = at >= header_end && !header.fields.iter().any(is_in_array);
        let unused = (20..24).contains(&at) || is_padding;
        bytes[at] ^= 1 << bit;
        let opened = open(&bytes);
        if let Ok(shard) = &opened {
            for i in 0..3 {
                let _ = (shard.pixels(i), shard.shape(i), shard.source(i));
            }
        }
        prop_assert_eq!(opened.and_then(|s| s.verify()).is_ok(), unused);
    }
}
