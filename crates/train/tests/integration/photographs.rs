//! Runs on shards of image files of different sizes.

use std::fs;
use std::path::Path;
use std::time::Duration;

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use torchmill::shard::{Contents, Images, Meta, StoredImage, file_name, write_file};
use torchmill_testing::{Sandbox, assert_done, assert_fails};

use crate::{RECIPE, assert_same_run, checkpoint, command, go_on, target, train};

/// Image file `i`: grey noise, brighter in the upper or lower half by class. Every third
/// is a PPM file, and the others are JPEG files.
fn photograph(i: usize) -> StoredImage {
    let (height, width, class) = (12 + i % 7, 10 + i % 11, i % 2);
    let mut pixels = Vec::new();
    for y in 0..height {
        let is_bright = (2 * y < height) == (class == 0);
        for x in 0..width {
            let noise = ((y * 31 + x * 17 + height * width) % 97) as u8;
            pixels.extend([noise + if is_bright { 120 } else { 0 }; 3]);
        }
    }
    let mut bytes = Vec::new();
    if i.is_multiple_of(3) {
        bytes.extend(format!("P6 {width} {height} 255\n").into_bytes());
        bytes.extend(pixels);
    } else {
        JpegEncoder::new(&mut bytes)
            .encode(&pixels, width as u32, height as u32, ExtendedColorType::Rgb8)
            .unwrap();
    }
    StoredImage { bytes, height, width }
}

fn write_photographs(folder: &Path, split: &str, count: usize, pipeline: &str) {
    write_images(folder, split, (0..count).map(photograph).collect(), pipeline);
}

fn write_images(folder: &Path, split: &str, images: Vec<StoredImage>, pipeline: &str) {
    let count = images.len();
    let labels: Vec<i64> = (0..count as i64).map(|i| i % 2).collect();
    let ending = |i: usize| if i.is_multiple_of(3) { "ppm" } else { "jpg" };
    let sources: Vec<String> = (0..count).map(|i| format!("{i}.{}", ending(i))).collect();
    let meta = Meta {
        dataset: "photographs".into(),
        split: split.into(),
        classes: vec!["upper".into(), "lower".into()],
        pipeline: pipeline.into(),
        deferred: pipeline.into(),
        shards: 1,
        digest: "d".into(),
        ..Meta::default()
    };
    let contents = Contents {
        meta: &meta,
        images: Images::Encoded(&images),
        labels: &labels,
        sources: &sources,
    };
    fs::create_dir_all(folder).unwrap();
    write_file(&folder.join(file_name(split, 0, 1)), &contents).unwrap();
}

const TRAIN: &str = "RandomResizedCrop(8) | RandomHorizontalFlip | ToTensor";

fn sandbox() -> Sandbox {
    let folder = Sandbox::new();
    write_photographs(&folder.join("shards"), "train", 200, TRAIN);
    let test = "Resize(8) | CenterCrop(8) | ToTensor";
    write_photographs(&folder.join("shards"), "test", 60, test);
    fs::write(folder.join("recipe.toml"), RECIPE).unwrap();
    folder
}

#[test]
fn a_run_is_the_same_on_any_number_of_threads_and_after_a_resume() {
    let folder = sandbox();
    let folder = folder.path();
    let on_threads = |run: &str, threads: &str| {
        let mut command = command(folder, run, &[]);
        let output = command.env("RAYON_NUM_THREADS", threads).output().unwrap();
        assert_done(&output);
    };
    on_threads("whole", "1");
    on_threads("threads", "3");
    assert_same_run(folder, "whole", "threads");
    // This stops in the middle of the second epoch of 25 steps.
    assert_done(&train(folder, "parts", &["--steps", "30"]));
    assert_done(&go_on(folder, "parts", &["--epochs", "3"]));
    assert_same_run(folder, "whole", "parts");
}

/// Resumes a run that saves a checkpoint at each step, or begins it, and kills it as soon
/// as there is one of another step. Returns the checkpoint that the run would go on from.
fn go_on_and_kill(folder: &Path, run: &str) -> String {
    let link = checkpoint(folder, run, "last.safetensors");
    let before = fs::read_link(&link).ok();
    let mut child =
        command(folder, run, &["--resume", "--save-every", "1"]).spawn().unwrap();
    loop {
        let now = fs::read_link(&link).ok();
        let is_of_a_step = |to: &Path| to.to_string_lossy().starts_with("step-");
        if now != before && now.as_deref().is_some_and(is_of_a_step) {
            break;
        }
        assert!(child.try_wait().unwrap().is_none(), "the run has ended");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    target(folder, run, "last.safetensors")
}

#[test]
fn a_run_killed_within_an_epoch_ends_as_one_never_interrupted() {
    let folder = sandbox();
    let folder = folder.path();
    assert_done(&train(folder, "whole", &[]));
    let last = [(); 3].map(|()| go_on_and_kill(folder, "killed"));
    // Between the look at the link and the kill, an epoch may end.
    assert!(last.iter().any(|name| name.starts_with("step-")), "{last:?}");
    assert_done(&train(folder, "killed", &["--resume", "--save-every", "1"]));
    assert_same_run(folder, "whole", "killed");
}

#[test]
fn validation_images_go_through_the_test_pipeline() {
    let folder = sandbox();
    let output = train(folder.path(), "run", &["--val-fraction", "0.2"]);
    assert_done(&output);
}

#[test]
fn a_damaged_image_within_a_shard_ends_the_run_and_is_named() {
    let folder = sandbox();
    let path = folder.join("shards").join(file_name("train", 0, 1));
    let mut bytes = fs::read(&path).unwrap();
    let start = bytes.windows(3).position(|b| b == b"P6 ").unwrap();
    bytes[start + 100] ^= 1;
    fs::write(&path, bytes).unwrap();
    let output = train(folder.path(), "run", &[]);
    assert_fails(&output, 1, "image 0 (0.ppm): its checksum is wrong");
}

#[test]
fn a_truncated_jpeg_within_a_shard_ends_the_run_and_is_named() {
    let folder = sandbox();
    let mut images: Vec<StoredImage> = (0..200).map(photograph).collect();
    // Its checksum in the shard is that of the truncated file.
    let bytes = &mut images[7].bytes;
    bytes.truncate(bytes.len() / 2);
    write_images(&folder.join("shards"), "train", images, TRAIN);
    let output = train(folder.path(), "run", &[]);
    assert_fails(&output, 1, "image 7 (7.jpg): cannot be decoded as JPEG");
}
