//! Runs on shards of image files of different sizes.

use std::fs;
use std::path::Path;

use torchmill::shard::{Contents, Images, Meta, StoredImage, file_name, write_file};
use torchmill_testing::{Sandbox, assert_done, assert_fails};

use crate::{RECIPE, assert_same_run, command, go_on, train};

/// A PPM file of this size: grey noise, brighter in the upper or lower half by class.
fn photograph(height: usize, width: usize, class: usize) -> StoredImage {
    let mut bytes = format!("P6 {width} {height} 255\n").into_bytes();
    for y in 0..height {
        let is_bright = (2 * y < height) == (class == 0);
        for x in 0..width {
            let noise = ((y * 31 + x * 17 + height * width) % 97) as u8;
            bytes.extend([noise + if is_bright { 120 } else { 0 }; 3]);
        }
    }
    StoredImage { bytes, height, width }
}

fn write_photographs(folder: &Path, split: &str, count: usize, pipeline: &str) {
    let images: Vec<StoredImage> =
        (0..count).map(|i| photograph(12 + i % 7, 10 + i % 11, i % 2)).collect();
    let labels: Vec<i64> = (0..count as i64).map(|i| i % 2).collect();
    let sources: Vec<String> = (0..count).map(|i| format!("{i}.ppm")).collect();
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

fn sandbox() -> Sandbox {
    let folder = Sandbox::new();
    let train = "RandomResizedCrop(8) | RandomHorizontalFlip | ToTensor";
    write_photographs(&folder.join("shards"), "train", 200, train);
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
