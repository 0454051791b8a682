//! `prep --show`, as a user runs it.

use torchmill_testing::{Sandbox, write_ppm};

use crate::{fail, printed, succeed};

/// Two classes with an image each: a white pixel at the left, one at the right.
fn write_images(dir: &Sandbox) {
    for (class, pixels) in [("left", [255, 0]), ("right", [0, 255])] {
        let folder = dir.path().join("one").join(class);
        std::fs::create_dir_all(&folder).unwrap();
        let pixels: Vec<u8> = pixels.iter().flat_map(|&value| [value; 3]).collect();
        write_ppm(folder.join("0.ppm"), 2, 1, &pixels);
    }
}

#[test]
fn an_image_is_drawn_with_its_label() {
    let dir = Sandbox::new();
    write_images(&dir);
    let shown = |arguments: &[&str]| {
        let text = printed(dir.path(), &[&["one"], arguments].concat());
        String::from_utf8(text).unwrap()
    };
    let text = shown(&["--show", "1"]);
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("train image 1: label 1, right"));
    assert_eq!(lines.next(), Some("[3, 1, 2] float32, from one/right/0.ppm"));
    // Each pixel is 20 times as large, and two characters wide.
    let row = format!("{}{}", " ".repeat(40), "@".repeat(40));
    assert!(lines.clone().all(|line| line == row), "{text}");
    assert_eq!(lines.count(), 20);
    // After the pipeline.
    let text = shown(&["--show", "0", "--transform", "Resize((4, 4)) | ToTensor"]);
    assert!(text.contains("\n[3, 4, 4] float32, "), "{text}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is written");
}

#[test]
fn one_image_is_drawn_as_png() {
    let dir = Sandbox::new();
    write_images(&dir);
    succeed(dir.path(), &["one", "--show", "1", "--preview", "image.png"]);
    let sheet = image::open(dir.path().join("image.png")).unwrap().to_rgb8();
    // One image of 96 by 48 pixels, half of it white. The background and the text are not
    // white.
    let white = sheet.pixels().filter(|pixel| pixel.0 == [255; 3]).count();
    assert_eq!(white, 48 * 48);
}

#[test]
fn an_image_that_is_not_there_is_refused() {
    let dir = Sandbox::new();
    write_images(&dir);
    let message = "--show 2: the split train has 2 images, numbered from 0";
    fail(dir.path(), &["one", "--show", "2"], 2, message);
    fail(dir.path(), &["one", "--show", "2", "--preview", "a.png"], 2, message);
}
