//! `prep --preview`, as a user runs it.

use torchmill_testing::{Sandbox, write_pets, write_ppm};

use crate::{fail, printed, succeed};

#[test]
fn a_sheet_shows_each_split_and_writes_nothing_else() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    let said = succeed(
        dir.path(),
        &["pets", "--preview", "a.png", "--transform", "Resize((8, 8)) | ToTensor"],
    );
    assert!(said.contains("a.png"), "{said}");
    let plain = image::open(dir.path().join("a.png")).unwrap();
    let random = "Resize((8, 8)) | RandomHorizontalFlip | ToTensor | Normalize(auto)";
    succeed(dir.path(), &["pets", "--preview", "b.png", "--train-transform", random]);
    let drawn = image::open(dir.path().join("b.png")).unwrap();
    // Each image has a row instead of one picture.
    assert!(drawn.height() > plain.height() && drawn.width() > plain.width());
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        3,
        "only pets, a.png and b.png"
    );
    let stream = printed(
        dir.path(),
        &["pets", "--preview", "-", "--transform", "Resize((8, 8)) | ToTensor"],
    );
    assert_eq!(stream, std::fs::read(dir.path().join("a.png")).unwrap());
}

#[test]
fn the_sheet_shows_the_images_pixels() {
    let dir = Sandbox::new();
    std::fs::create_dir_all(dir.path().join("one/red")).unwrap();
    std::fs::create_dir_all(dir.path().join("one/blue")).unwrap();
    write_ppm(dir.path().join("one/red/0.ppm"), 2, 2, &[200, 10, 20].repeat(4));
    write_ppm(dir.path().join("one/blue/0.ppm"), 2, 2, &[3, 40, 220].repeat(4));
    let normalized = "ToTensor | Normalize((0.5, 0.4, 0.3), (0.2, 0.2, 0.2))";
    succeed(dir.path(), &["one", "--preview", "sheet.png", "--transform", normalized]);
    let sheet = image::open(dir.path().join("sheet.png")).unwrap().to_rgb8();
    for colour in [[200, 10, 20], [3, 40, 220]] {
        assert_eq!(
            sheet.pixels().filter(|p| p.0 == colour).count(),
            96 * 96,
            "{colour:?}"
        );
    }
}

#[test]
fn classes_that_the_font_cannot_write_are_numbered() {
    let dir = Sandbox::new();
    for (class, grey) in [("cat", 1), ("\u{ac1c}", 2)] {
        std::fs::create_dir_all(dir.path().join("one").join(class)).unwrap();
        write_ppm(dir.path().join("one").join(class).join("0.ppm"), 2, 2, &[grey; 12]);
    }
    let said = succeed(dir.path(), &["one", "--preview", "sheet.png"]);
    assert!(said.ends_with("class 1 is \u{ac1c}\n"), "{said}");
}

#[test]
fn a_sheet_that_cannot_be_is_refused() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    fail(dir.path(), &["pets", "--preview", "sheet.jpg"], 2, "must end in .png");
    std::fs::write(dir.path().join("file"), "").unwrap();
    fail(dir.path(), &["pets", "--preview", "file/sheet.png"], 1, "file");

    fail(
        dir.path(),
        &["pets", "--preview", "a.png", "--transform", "RandomCrop(99)"],
        1,
        "RandomCrop",
    );
}
