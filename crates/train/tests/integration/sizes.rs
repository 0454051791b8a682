//! Training images of another size than those that are evaluated: by their own pipeline, or by
//! progressive resizing.

use std::path::Path;

use torchmill_testing::{assert_done, assert_fails, stderr, write_stripes_for};

use crate::{assert_same_run, checkpoint, metrics, sandbox, train};

/// A setting of layers that take images of any size.
pub const ANY_SIZE: &str = "model.layer=[{ type = 'Conv2d', out_channels = 4, kernel_size = 3 }, \
    { type = 'AdaptiveAvgPool2d', output_size = 1 }, { type = 'Flatten' }, { type = 'Linear' }]";

#[test]
fn a_network_that_does_not_take_both_sizes_says_what_to_do() {
    let folder = sandbox();
    let folder = folder.path();
    write_stripes_for(
        &folder.join("shards"),
        "train",
        200,
        "d",
        "RandomCrop(6) | ToTensor",
    );
    let output =
        train(folder, "run", &["--set", "transforms.train=RandomCrop(6) | ToTensor"]);
    assert_fails(
        &output,
        1,
        "training images are 1x6x6, evaluated images 1x8x8, and the network does not take \
         both",
    );
    assert!(!folder.join("run").exists());
}

#[test]
fn training_images_may_be_smaller_than_those_of_evaluations() {
    let folder = sandbox();
    let folder = folder.path();
    let crop = "RandomCrop(6) | ToTensor";
    write_stripes_for(&folder.join("shards"), "train", 200, "d", crop);
    let options = ["--set", ANY_SIZE, "--set", &format!("transforms.train={crop}")];
    let output = train(folder, "run", &options);
    assert_done(&output);
    assert!(
        stderr(&output).contains("training images are 1x6x6, evaluated images 1x8x8")
    );
    // The checkpoint describes what is evaluated.
    let file = std::fs::read(checkpoint(folder, "run", "last.safetensors")).unwrap();
    let text = String::from_utf8_lossy(&file);
    assert!(text.contains(r#"\"input\":[1,8,8]"#));
}

/// Images of 4x4 pixels in the first half, then larger ones.
pub const GROWING: &str = "train.progressive_resizing={ size_increment = 1 }";

/// The same sizes, as crops.
pub const CROPPED: &str =
    "train.progressive_resizing={ mode = 'crop', size_increment = 1 }";

fn train_growing(folder: &Path, run: &str, growing: &str, options: &[&str]) {
    let options = [&["--set", ANY_SIZE, "--set", growing], options].concat();
    let output = train(folder, run, &options);
    assert_done(&output);
    let text = stderr(&output);
    assert!(
        text.contains("note: training images begin at 1x4x4 (full size 1x8x8)\n"),
        "{text}"
    );
}

#[test]
fn images_that_grow_have_the_same_size_in_a_resumed_run() {
    let folder = sandbox();
    let folder = folder.path();
    assert_done(&train(folder, "full", &["--set", ANY_SIZE]));
    for (name, growing) in [("grown", GROWING), ("cropped", CROPPED)] {
        train_growing(folder, name, growing, &[]);
        assert_ne!(metrics(folder, name), metrics(folder, "full"));
        // The size changes in the second of three epochs.
        let from = checkpoint(folder, name, "epoch-0001.safetensors");
        let resume = ["--resume", from.to_str().unwrap()];
        let again = format!("{name}-again");
        train_growing(folder, &again, growing, &resume);
        assert_same_run(folder, name, &again);
    }
    assert_ne!(metrics(folder, "grown"), metrics(folder, "cropped"));
}

#[test]
fn images_that_become_too_small_are_noticed_before_the_run_begins() {
    let folder = sandbox();
    let folder = folder.path();
    assert_fails(
        &train(folder, "run", &["--set", GROWING]),
        1,
        "[train.progressive_resizing] makes training images of 1x4x4, and the network does \
         not take them",
    );
    // A kernel of 3x3 does not fit.
    let small = "train.progressive_resizing={ initial_scale = 0.25, size_increment = 1 }";
    assert_fails(
        &train(folder, "run", &["--set", ANY_SIZE, "--set", small]),
        1,
        "makes training images of 1x2x2",
    );
    assert!(!folder.join("run").exists());
}
