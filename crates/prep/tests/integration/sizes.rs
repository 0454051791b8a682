//! Images of different sizes, which shards store as files or as pixels.

use std::fs;
use std::path::Path;

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use torchmill::dataset::decode;
use torchmill::shard::{Shard, Storage};
use torchmill::transform::{Image, Pipeline, Sample, rng};
use torchmill_testing::{Sandbox, pixel, write_ppm};

use crate::{fail, printed, shards, succeed};

const TRAIN: &str = "RandomResizedCrop(6) | RandomHorizontalFlip | ToTensor";

/// Photographs of two classes: width, height and file name. One is a JPEG.
const PHOTOS: [(usize, usize, &str); 6] = [
    (12, 9, "cat/0.ppm"),
    (8, 14, "cat/1.ppm"),
    (20, 20, "cat/2.jpg"),
    (9, 9, "dog/3.ppm"),
    (30, 7, "dog/4.ppm"),
    (7, 11, "dog/5.ppm"),
];

fn write_photos(folder: &Path) {
    for (n, (width, height, name)) in PHOTOS.into_iter().enumerate() {
        let path = folder.join("photos").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let pixels: Vec<u8> = (0..width * height * 3).map(|i| pixel(n, i)).collect();
        if name.ends_with("ppm") {
            write_ppm(path, width, height, &pixels);
            continue;
        }
        let mut file = Vec::new();
        let (width, height) = (width as u32, height as u32);
        JpegEncoder::new(&mut file)
            .encode(&pixels, width, height, ExtendedColorType::Rgb8)
            .unwrap();
        fs::write(path, file).unwrap();
    }
}

fn photos() -> Sandbox {
    let dir = Sandbox::new();
    write_photos(dir.path());
    dir
}

fn file(dir: &Sandbox, i: usize) -> Vec<u8> {
    fs::read(dir.join("photos").join(PHOTOS[i].2)).unwrap()
}

#[test]
fn files_are_stored_if_train_crops_them_at_random() {
    let dir = photos();
    let test = "Resize(8) | CenterCrop(6) | ToTensor";
    let command = [
        "photos",
        "--test-fraction",
        "0.3",
        "--train-transform",
        TRAIN,
        "--test-transform",
        test,
        "-o",
        "out",
    ];
    let said = succeed(dir.path(), &command);
    assert!(
        said.contains("train: 4 images of different sizes, as image files"),
        "{said}"
    );
    assert!(said.contains("test: 2 images of [3, 6, 6] uint8"), "{said}");
    assert_eq!(shards(dir.path(), "test").image_shape(), Some([3, 6, 6]));
    let train = shards(dir.path(), "train");
    assert_eq!((train.storage(), train.len()), (Storage::Encoded, 4));
    assert_eq!(
        (train.meta().baked.as_str(), train.meta().deferred.as_str()),
        ("", TRAIN)
    );
    for i in 0..train.len() {
        let source = train.source(i).unwrap();
        let n = PHOTOS.iter().position(|photo| source.ends_with(photo.2)).unwrap();
        let (width, height, _) = PHOTOS[n];
        assert_eq!(train.image(i).unwrap(), file(&dir, n));
        assert_eq!(train.shape(i).unwrap(), [3, height, width]);
        let decoded = decode::rgb(&file(&dir, n)).unwrap();
        assert_eq!(train.pixels(i).unwrap().into_image(), decoded);
    }
    let again = succeed(dir.path(), &command);
    assert!(again.contains("up to date, nothing done"), "{again}");
    let shard = "out/train-00000-of-00001.shard";
    let shown = printed(dir.path(), &["--inspect", shard]);
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.contains("4 image files, [3, 7 to 20, 9 to 30] uint8"), "{shown}");
    assert!(shown.contains("image_size   int64    [4, 2]"), "{shown}");
}

#[test]
fn pixels_are_stored_if_something_is_baked() {
    let dir = photos();
    let text = "Resize(8) | RandomCrop(6) | ToTensor";
    let said = succeed(dir.path(), &["photos", "--transform", text, "-o", "out"]);
    assert!(said.contains("6 images of different sizes, as pixels"), "{said}");
    let train = shards(dir.path(), "train");
    assert_eq!(train.storage(), Storage::Pixels);
    assert_eq!(train.meta().baked, "Resize(8)");
    let baked = Pipeline::parse("Resize(8)").unwrap();
    for i in 0..train.len() {
        let image = Sample::Image(decode::rgb(&file(&dir, i)).unwrap());
        let expected = baked.apply(image, &mut rng(0, 0, 0)).unwrap();
        assert_eq!(Sample::Image(train.pixels(i).unwrap().into_image()), expected);
    }
}

#[test]
fn store_chooses() {
    let dir = photos();
    let out = ["photos", "-o", "out", "--transform"];
    let prep = |text: &str, store: &str| {
        succeed(dir.path(), &[&out[..], &[text, "--store", store]].concat());
        let set = shards(dir.path(), "train");
        (set.storage(), set.meta().baked.clone(), set.meta().deferred.clone())
    };
    let crop = "Resize(8) | CenterCrop(6) | ToTensor";
    let encoded = (Storage::Encoded, String::new(), crop.to_owned());
    assert_eq!(prep(crop, "encoded"), encoded);
    assert_eq!(prep(crop, "auto").0, Storage::Array);
    assert_eq!(prep(TRAIN, "auto").0, Storage::Encoded);
    assert_eq!(prep(TRAIN, "pixels"), (Storage::Pixels, String::new(), TRAIN.to_owned()));
    let image = shards(dir.path(), "train").pixels(2).unwrap().into_image();
    assert_eq!(image, decode::rgb(&file(&dir, 2)).unwrap());
}

#[test]
fn what_cannot_be_stored_so_is_refused() {
    let dir = photos();
    let refused = |arguments: &[&str], text: &str| {
        let arguments = [&["photos", "-o", "out"], arguments].concat();
        fail(dir.path(), &arguments, 2, text);
    };
    let encoded = ["--store", "encoded", "--transform"];
    refused(&[&encoded[..], &["ToTensor"]].concat(), "which needs images of one size");
    let floats = [&encoded[..], &["CenterCrop(6) | ToTensor", "--dtype", "float32"]];
    refused(&floats.concat(), "leave out --dtype float32");
    let copies = [&encoded[..], &[TRAIN, "--augment", "2"]];
    refused(&copies.concat(), "leave out one of the two");
    refused(&["--store", "pixels", "--format", "tar"], "leave it out with --format tar");
}

#[test]
fn images_of_one_size_are_one_array_whatever_the_pipeline() {
    let dir = Sandbox::new();
    for n in 0..4 {
        let pixels: Vec<u8> = (0..8 * 8 * 3).map(|i| pixel(n, i)).collect();
        let path = dir.join(format!("photos/cat/{n}.ppm"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        write_ppm(path, 8, 8, &pixels);
    }
    succeed(dir.path(), &["photos", "--transform", TRAIN, "-o", "out"]);
    assert_eq!(shards(dir.path(), "train").image_shape(), Some([3, 8, 8]));
}

#[test]
fn files_fill_shards_of_the_size_that_is_given() {
    let dir = photos();
    let arguments =
        ["photos", "--transform", TRAIN, "-o", "out", "--shard-size", "700", "-q"];
    succeed(dir.path(), &arguments);
    let train = shards(dir.path(), "train");
    assert!(train.shards().len() > 2);
    assert_eq!(train.len(), 6);
    for shard in train.shards() {
        assert!(shard.len() == 1 || shard.images().len() <= 700);
    }
    let stream = printed(
        dir.path(),
        &["photos", "--transform", TRAIN, "-o", "-", "--shard-size", "700", "-q"],
    );
    let mut rest = &stream[..];
    let mut files = Vec::new();
    while let Some(shard) = Shard::read_from(&mut rest, "the pipe").unwrap() {
        for i in 0..shard.len() {
            files.push(shard.image(i).unwrap().to_vec());
        }
    }
    let expected: Vec<_> = (0..6).map(|i| file(&dir, i)).collect();
    assert_eq!(files, expected);
}

#[test]
fn tars_are_filled_by_the_sizes_of_their_images() {
    let dir = photos();
    let files = |arguments: &[&str]| {
        let out = ["photos", "--transform", TRAIN, "--format", "tar", "-q", "-o"];
        succeed(dir.path(), &[&out[..], arguments].concat());
        fs::read_dir(dir.join(arguments[0])).unwrap().count() - 1
    };
    // 324 and 336 bytes of pixels, 1200, 243, 630 and 231.
    assert_eq!(files(&["out", "--shard-size", "700"]), 5);
    // JPEG files are copied, so that the sizes of files count.
    let all: usize = (0..PHOTOS.len()).map(|i| file(&dir, i).len()).sum();
    for (limit, count) in [(all, 1), (all - 1, 2)] {
        let size = limit.to_string();
        assert_eq!(files(&["jpg", "--tar-image", "jpg", "--shard-size", &size]), count);
    }
}

#[test]
fn a_broken_file_is_found_when_shards_are_written() {
    let dir = photos();
    let jpeg = dir.join("photos/cat/2.jpg");
    let bytes = fs::read(&jpeg).unwrap();
    // Its header is intact.
    fs::write(&jpeg, &bytes[..bytes.len() - 20]).unwrap();
    let arguments = ["photos", "--transform", TRAIN, "-o", "out"];
    fail(dir.path(), &arguments, 1, "cat/2.jpg: cannot be decoded as JPEG");
    let said =
        succeed(dir.path(), &[&arguments[..], &["--skip-bad", "bad.tsv"]].concat());
    assert!(said.contains("1 bad image was left out"), "{said}");
    let train = shards(dir.path(), "train");
    assert_eq!((train.len(), train.storage()), (5, Storage::Encoded));
    assert!(train.source(2).unwrap().ends_with("dog/3.ppm"));
}

#[test]
fn an_image_that_a_crop_does_not_fit_is_named() {
    let dir = photos();
    let arguments = ["photos", "--transform", "RandomCrop(9) | ToTensor", "-o", "out"];
    fail(dir.path(), &arguments, 1, "a crop of 9x9 does not fit into");
}

#[test]
fn formats_that_need_one_size_say_which_do_not() {
    let dir = photos();
    for format in ["npy", "safetensors", "csv"] {
        let arguments = ["photos", "--transform", TRAIN, "-o", "out", "--format", format];
        fail(
            dir.path(),
            &arguments,
            1,
            "shards and tars can hold images of different sizes",
        );
    }
    for format in ["tar", "jsonl"] {
        let arguments =
            ["photos", "--transform", TRAIN, "-o", format, "--format", format];
        succeed(dir.path(), &arguments);
    }
    printed(dir.path(), &["photos", "--transform", TRAIN, "--stats"]);
    succeed(dir.path(), &["photos", "--transform", TRAIN, "--preview", "sheet.png"]);
}

#[test]
fn statistics_are_filled_in() {
    let dir = photos();
    let text = "RandomResizedCrop(6) | ToTensor | Normalize(auto)";
    succeed(dir.path(), &["photos", "--transform", text, "-o", "out"]);
    let train = shards(dir.path(), "train");
    assert_eq!(train.storage(), Storage::Encoded);
    let deferred = &train.meta().deferred;
    assert!(deferred.starts_with("RandomResizedCrop(6) | ToTensor | Normalize((0."));
    let image: Image = train.pixels(0).unwrap().into_image();
    assert_eq!((image.width, image.height), (12, 9));
}
