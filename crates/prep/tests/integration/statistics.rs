//! `Normalize(auto)` is right or refused.

use torchmill_testing::{Sandbox, write_pets, write_ppm};

use crate::{fail, shards, succeed};

#[test]
fn values_that_are_not_from_0_to_1_are_refused() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    for (transform, what) in [
        (
            "ToDtype(float32) | Normalize(auto)",
            "write ToDtype(float32, scale=True), or ToTensor",
        ),
        (
            "ToTensor | Normalize(0.5, 0.5) | Normalize(auto)",
            "comes after another Normalize",
        ),
        ("ToTensor | Normalize(auto) | Normalize(auto)", "comes after another Normalize"),
        ("ToTensor | RandomApply([Normalize(auto)])", "cannot be within RandomApply"),
        (
            "ToTensor | RandomChoice([Compose([Normalize(auto)])])",
            "cannot be within RandomChoice",
        ),
    ] {
        fail(dir.path(), &["pets", "-o", "out", "--transform", transform], 2, what);
    }
    for transform in [
        "ToDtype(float32, scale=True) | Normalize(auto)",
        "ToTensor | ToDtype(float32) | Normalize(auto)",
    ] {
        let said = succeed(dir.path(), &["pets", "-o", "out", "--transform", transform]);
        assert!(said.contains("Normalize(auto) is Normalize((0."), "{said}");
    }
}

#[test]
fn channels_that_change_after_the_first_random_step_are_refused() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    let late = "RandomHorizontalFlip | Grayscale | ToTensor | Normalize(auto)";
    fail(
        dir.path(),
        &["pets", "-o", "out", "--transform", late],
        2,
        "has 3 means and 3 standard deviations for 1",
    );
    fail(
        dir.path(),
        &["pets", "-o", "out", "--transform", late],
        2,
        "has the statistics of 3 channels",
    );
    succeed(
        dir.path(),
        &[
            "pets",
            "-o",
            "out",
            "--transform",
            "Grayscale | RandomHorizontalFlip | ToTensor | Normalize(auto)",
        ],
    );
    assert_eq!(shards(dir.path(), "train").image_shape(), Some([1, 2, 4]));
}

#[test]
fn no_deviation_is_refused() {
    let dir = Sandbox::new();
    for i in 0..3 {
        write_ppm(dir.path().join(format!("flat/cat/{i}.ppm")), 1, 1, &[i, 51, 0]);
    }
    let auto = ["flat", "-o", "out", "--transform", "ToTensor | Normalize(auto)"];
    fail(
        dir.path(),
        &auto,
        1,
        "the same value in channel 1, so its deviation is 0 and cannot be divided by: \
         give",
    );
}

#[test]
fn copies_are_drawn_of_training_images_alone_and_where_there_is_something_to_draw() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    let with = |transform: &'static str| {
        ["pets", "-o", "out", "--augment", "3", "--transform", transform]
    };
    fail(dir.path(), &with("ToTensor"), 2, "nothing in `ToTensor` is random");
    fail(dir.path(), &with("ToTensor | RandomErasing"), 2, "add --dtype float32");
    let none = [&with("RandomHorizontalFlip")[..], &["--split", "test"]].concat();
    fail(dir.path(), &none, 2, "the train split, which is not written");
    succeed(dir.path(), &with("RandomHorizontalFlip | ToTensor"));
    let (train, test) = (shards(dir.path(), "train"), shards(dir.path(), "test"));
    assert_eq!((train.len(), test.len()), (18, 2));
    assert_eq!(
        (train.meta().baked.as_str(), test.meta().baked.as_str()),
        ("RandomHorizontalFlip", "")
    );
}
