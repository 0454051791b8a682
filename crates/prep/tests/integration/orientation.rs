//! `ExifTranspose`.

use std::fs;

use torchmill::dataset::decode;
use torchmill_testing::Sandbox;

use crate::{fail, run, shards, succeed};

/// A JPEG of 8 x 16 pixels (width x height) with EXIF data that hold an orientation.
fn jpeg(orientation: u8) -> Vec<u8> {
    let pixels: Vec<u8> = (0..8 * 16 * 3).map(|i| (i * 5) as u8).collect();
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new(&mut bytes)
        .encode(&pixels, 8, 16, image::ExtendedColorType::Rgb8)
        .unwrap();
    let entry = [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0];
    let tiff = [&b"MM\0*\0\0\0\x08\0\x01"[..], &entry, &[0; 4]].concat();
    let exif = [&b"Exif\0\0"[..], &tiff].concat();
    let length = (exif.len() + 2) as u16;
    let head = [&[0xff, 0xd8, 0xff, 0xe1][..], &length.to_be_bytes(), &exif].concat();
    [&head, &bytes[2..]].concat()
}

#[test]
fn images_are_turned_only_on_request() {
    let dir = Sandbox::new();
    // Turned by 180 degrees, as exif_transpose does it.
    for class in ["cat", "dog"] {
        dir.write(format!("pets/{class}/a.jpg"), jpeg(3));
    }
    let stored = decode::rgb(&fs::read(dir.join("pets/cat/a.jpg")).unwrap()).unwrap();
    succeed(dir.path(), &["pets", "-o", "out"]);
    let plain = shards(dir.path(), "train");
    assert_eq!(plain.image(0).unwrap(), stored.pixels);
    // The same folder: the rerun notices the other pipeline.
    let turn = ["pets", "-o", "out", "--transform", "ExifTranspose | ToTensor"];
    let said = succeed(dir.path(), &turn);
    assert!(said.contains("baked: ExifTranspose; left to train: ToTensor"), "{said}");
    let turned = shards(dir.path(), "train");
    let mut expected = stored.pixels.as_chunks::<3>().0.to_vec();
    expected.reverse();
    assert_eq!(turned.image(0).unwrap(), expected.as_flattened());
    assert_eq!(turned.meta().pipeline, "ExifTranspose | ToTensor");
    assert!(succeed(dir.path(), &turn).contains("up to date"));
}

#[test]
fn a_turned_image_has_its_sides_exchanged() {
    let dir = Sandbox::new();
    for class in ["cat", "dog"] {
        dir.write(format!("pets/{class}/a.jpg"), jpeg(6));
    }
    succeed(dir.path(), &["pets", "-o", "out", "--transform", "ExifTranspose"]);
    assert_eq!(shards(dir.path(), "train").image_shape(), Some([3, 8, 16]));
}

#[test]
fn turned_images_of_different_sizes_are_stored_as_pixels() {
    let dir = Sandbox::new();
    dir.write("pets/cat/a.jpg", jpeg(6));
    dir.write("pets/dog/a.jpg", jpeg(1));
    let crop = "ExifTranspose | RandomResizedCrop(6) | ToTensor";
    let arguments = ["pets", "-o", "out", "--transform", crop];
    succeed(dir.path(), &arguments);
    let train = shards(dir.path(), "train");
    assert_eq!(train.shape(0).unwrap(), [3, 8, 16]);
    assert_eq!(train.shape(1).unwrap(), [3, 16, 8]);
    let encoded = [&arguments[..], &["--store", "encoded"]].concat();
    let output = run(dir.path(), &encoded);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn it_must_come_first() {
    let dir = Sandbox::new();
    dir.write("pets/cat/a.jpg", jpeg(6));
    for late in ["CenterCrop(8) | ExifTranspose", "RandomApply([ExifTranspose])"] {
        let arguments = ["pets", "-o", "out", "--transform", late];
        fail(dir.path(), &arguments, 2, "ExifTranspose must be the first step");
    }
}
