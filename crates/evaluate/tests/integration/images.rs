//! Predictions for image files.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::networks::{evaluate, sandbox, write_network};
use image::{GrayImage, Luma, Rgb, RgbImage};
use torchmill::shard::ShardSet;
use torchmill_testing::{
    STRIPES, assert_done, assert_fails, program_folder, stderr, stdout,
};

/// A PNG that is bright in the stripe of this class.
fn write_image(path: &Path, class: u32, side: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let bright = |x: u32, y: u32| {
        if (y * 8 / side * 8 + x * 8 / side) / 21 == class { 200 } else { 10 }
    };
    GrayImage::from_fn(side, side, |x, y| Luma([bright(x, y)])).save(path).unwrap();
}

/// Five images in a folder for each class, and one of `top` in the folder of `middle`.
fn class_folders(folder: &Path) {
    for (i, class) in (0..).zip(STRIPES) {
        for n in 0..5 {
            write_image(&folder.join(format!("{class}/{n}.png")), i, 8);
        }
    }
    write_image(&folder.join("middle/wrong.png"), 0, 8);
}

#[test]
fn each_image_is_named_with_its_classes() {
    let folder = sandbox();
    write_image(&folder.path().join("a.png"), 2, 8);
    write_image(&folder.path().join("photos/deep/b.png"), 0, 8);
    let output = evaluate(folder.path(), &["sees.safetensors", "a.png", "photos"]);
    assert_done(&output);
    let lines: Vec<String> = stdout(&output).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("a.png: bottom 100.0 %, "), "{}", lines[0]);
    assert!(lines[1].starts_with("photos/deep/b.png: top 100.0 %, "), "{}", lines[1]);
    let one = evaluate(folder.path(), &["sees.safetensors", "a.png", "--top-k", "1"]);
    assert_eq!(stdout(&one), "a.png: bottom 100.0 %\n");
}

#[test]
fn files_give_what_shards_of_the_same_pixels_give() {
    let folder = sandbox();
    let set = ShardSet::open(&folder.path().join("shards"), "test").unwrap();
    for i in 0..set.len() {
        let class = STRIPES[set.label(i).unwrap() as usize];
        let path = folder.path().join(format!("set/{class}/{i}.png"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        GrayImage::from_raw(8, 8, set.image(i).unwrap().to_vec())
            .unwrap()
            .save(path)
            .unwrap();
    }
    let report = |arguments: &[&str]| -> serde_json::Value {
        let all =
            [&["sees.safetensors", "--report", "--format", "json"], arguments].concat();
        serde_json::from_slice(&evaluate(folder.path(), &all).stdout).unwrap()
    };
    let (files, shards) = (report(&["set"]), report(&["--data", "shards"]));
    assert_eq!(files[0]["images"], 100);
    for part in ["correct", "classes", "confusion_matrix"] {
        assert_eq!(files[0][part], shards[0][part], "{part}");
    }
    let loss = |rows: &serde_json::Value| rows[0]["mean_loss"].as_f64().unwrap();
    assert!((loss(&files) - loss(&shards)).abs() < 1e-6);
}

#[test]
fn colours_go_to_their_channels() {
    let folder = sandbox();
    // Output i is the sum of channel i.
    let channel = |class: usize| {
        (0..192).map(move |at| if at / 64 == class { 0.1_f32 } else { 0.0 })
    };
    let weights: Vec<f32> = (0..3).flat_map(channel).collect();
    let weights = tch::Tensor::from_slice(&weights).view([3, 192]);
    write_network(folder.path(), "colours.safetensors", true, &weights, [0.0; 3]);
    let names = ["red.png", "green.png", "blue.png"];
    for (name, colour) in names.iter().zip([[255, 0, 0], [0, 255, 0], [0, 0, 255]]) {
        RgbImage::from_pixel(8, 8, Rgb(colour)).save(folder.path().join(name)).unwrap();
    }
    let output = evaluate(
        folder.path(),
        &[&["colours.safetensors", "--top-k", "1"], &names[..]].concat(),
    );
    assert_done(&output);
    // e^6.4 is 602 times e^0.
    assert_eq!(
        stdout(&output),
        "red.png: top 99.7 %\ngreen.png: middle 99.7 %\nblue.png: bottom 99.7 %\n"
    );
}

#[test]
fn paths_come_from_standard_input() {
    let folder = sandbox();
    class_folders(&folder.path().join("set"));
    for (format, paths) in [("csv", "-print | sort"), ("json", "-print0 | sort -z")] {
        let script = format!(
            "find set/top -name '*.png' {paths} | {} sees.safetensors - --device cpu \
             --format {format}",
            program_folder().join("evaluate").display()
        );
        let output = Command::new("sh")
            .args(["-c", &script])
            .current_dir(folder.path())
            .stderr(Stdio::piped())
            .output();
        let output = output.unwrap();
        assert_done(&output);
        let text = stdout(&output);
        if format == "json" {
            let rows: serde_json::Value = serde_json::from_str(&text).unwrap();
            let first = &rows[0];
            assert_eq!(
                (&first["source"], &first["prediction"]),
                (&"set/top/0.png".into(), &"top".into())
            );
            assert!(
                first["probabilities"]["top"].as_f64().unwrap() > 0.99
                    && first.get("label").is_none()
            );
            assert_eq!(rows.as_array().unwrap().len(), 5);
        } else {
            let mut lines = text.lines();
            assert_eq!(
                lines.next(),
                Some("index,source,label,prediction,correct,p(top),p(middle),p(bottom)")
            );
            assert!(lines.all(|line| line.contains(",,top,,")), "{text}");
        }
    }
}

#[test]
fn class_folders_make_a_report() {
    let folder = sandbox();
    class_folders(&folder.path().join("set"));
    let output = evaluate(
        folder.path(),
        &[
            "sees.safetensors",
            "set",
            "--report",
            "--predictions",
            "p.jsonl",
            "--html",
            "p.html",
            "--samples",
            ".",
        ],
    );
    assert_done(&output);
    let text = stdout(&output);
    assert!(text.starts_with("sees.safetensors on 16 images of set:\n"), "{text}");
    for part in ["accuracy 93.75 % (15 of 16)", "middle taken for top: 1 of 6 (16.7 %)"] {
        assert!(text.contains(part), "{text}");
    }
    let lines = fs::read_to_string(folder.path().join("p.jsonl")).unwrap();
    let rows: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 16);
    let wrong = rows.iter().find(|row| row["correct"] == false).unwrap();
    assert_eq!(
        (&wrong["source"], &wrong["label"]),
        (&"set/middle/wrong.png".into(), &"middle".into())
    );
    let page = fs::read_to_string(folder.path().join("p.html")).unwrap();
    assert_eq!(page.matches("data:image/png").count(), 1);
    let sheet = image::open(folder.path().join("sees.png")).unwrap().to_rgb8();
    assert!(
        sheet.pixels().any(|pixel| pixel.0 == [190, 20, 20]),
        "the wrong one is told in red"
    );
    // With a folder that is not a class, the folders are not labels, and a note says so.
    fs::rename(folder.path().join("set/top"), folder.path().join("set/best")).unwrap();
    let output = evaluate(folder.path(), &["sees.safetensors", "set"]);
    assert_done(&output);
    assert_eq!(stdout(&output).lines().count(), 16);
    assert!(
        stderr(&output).contains("besides classes of the network there is `best`"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_bad_image_is_named_and_can_be_skipped() {
    let folder = sandbox();
    let path = folder.path();
    write_image(&path.join("good.png"), 1, 8);
    fs::write(path.join("bad.jpg"), "no image").unwrap();
    let good = fs::read(path.join("good.png")).unwrap();
    fs::write(path.join("half.png"), &good[..good.len() / 2]).unwrap();
    let all = ["sees.safetensors", "good.png", "bad.jpg", "half.png", "missing.png"];
    assert_fails(&evaluate(path, &all), 1, "bad.jpg: is not an image");
    assert_fails(
        &evaluate(path, &["sees.safetensors", "half.png"]),
        1,
        "half.png: cannot be decoded",
    );
    let output = evaluate(path, &[&all[..], &["--skip-bad"]].concat());
    assert_done(&output);
    assert!(
        stdout(&output).starts_with("good.png: middle ")
            && stdout(&output).lines().count() == 1
    );
    for part in [
        "bad.jpg: is not an image",
        "half.png: ",
        "missing.png: no such file",
        "3 images were skipped",
    ] {
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
}

#[test]
fn an_output_that_is_an_image_is_refused() {
    let folder = sandbox();
    let path = folder.path();
    class_folders(&path.join("photos"));
    fs::create_dir(path.join("out")).unwrap();
    let image = path.join("photos/top/0.png");
    std::os::unix::fs::symlink(&image, path.join("out/sees.png")).unwrap();
    let before = fs::read(&image).unwrap();
    for output in [
        ["--predictions", "photos/top/0.png"],
        ["--html", "photos/top/0.png"],
        ["--samples", "out"],
    ] {
        let arguments = [&["sees.safetensors", "photos"], &output[..]].concat();
        let refused = evaluate(path, &arguments);
        assert_fails(&refused, 2, "would overwrite the input photos/top/0.png");
    }
    let one = ["sees.safetensors", "photos/top/0.png", "-p", "./photos/top/0.png"];
    assert_fails(&evaluate(path, &one), 2, "would overwrite the input photos/top/0.png");
    assert_eq!(fs::read(&image).unwrap(), before);
}

#[test]
fn what_does_not_fit_says_what_to_do() {
    let folder = sandbox();
    let path = folder.path();
    write_image(&path.join("large.png"), 1, 16);
    let large = evaluate(path, &["sees.safetensors", "large.png"]);
    assert_fails(
        &large,
        2,
        "the network takes 8 x 8: put Resize into it, --transform 'Resize((8, 8)) | \
         Grayscale | ToTensor'",
    );
    let resized = evaluate(
        path,
        &["sees.safetensors", "large.png", "--transform", "Resize((8, 8)) | ToTensor"],
    );
    assert_done(&resized);
    assert!(stdout(&resized).starts_with("large.png: middle "), "{}", stdout(&resized));
    for (arguments, status, text) in [
        (&["large.png"][..], 2, "no checkpoint among the arguments"),
        (
            &["sees.safetensors", "full.safetensors", "large.png"],
            2,
            "one checkpoint at a time",
        ),
        (&["sees.safetensors", "large.png", "--report"], 2, "need labels"),
        (
            &["sees.safetensors", "large.png", "--transform", "Resize(8)"],
            2,
            "has no ToTensor",
        ),
        (&["sees.safetensors", "shards"], 2, "holds shards: give them with --data"),
        (
            &["weights.safetensors", "large.png", "--model", "linear.toml"],
            2,
            "makes images of any size",
        ),
    ] {
        assert_fails(&evaluate(path, arguments), status, text);
    }
    write_image(&path.join("small.png"), 1, 8);
    let plain = ["weights.safetensors", "small.png", "--model", "linear.toml"];
    let with_shards = evaluate(path, &[&plain[..], &["--data", "shards"]].concat());
    assert_eq!(
        stdout(&with_shards),
        "small.png: middle 57.6 %, top 21.2 %, bottom 21.2 %\n"
    );
    // Without shards the classes are numbers, or come from a file.
    let pipeline = ["--transform", "Grayscale | Resize((8, 8)) | ToTensor"];
    let alone = evaluate(path, &[&plain[..], &pipeline].concat());
    assert_done(&alone);
    assert_eq!(stdout(&alone), "small.png: 1 57.6 %, 0 21.2 %, 2 21.2 %\n");
    fs::write(path.join("names.txt"), "a\nb c\nd\n").unwrap();
    let named =
        evaluate(path, &[&plain[..], &pipeline, &["--classes", "names.txt"]].concat());
    assert_eq!(stdout(&named), "small.png: b c 57.6 %, a 21.2 %, d 21.2 %\n");
    fs::write(path.join("names.txt"), "a\nb c\n").unwrap();
    let short =
        evaluate(path, &[&plain[..], &pipeline, &["--classes", "names.txt"]].concat());
    assert_fails(&short, 1, "names.txt: has 2 names, but the network has 3 outputs");
}
