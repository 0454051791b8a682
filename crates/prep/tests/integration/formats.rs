//! Every format, in files and through a pipe, read back without the code that wrote it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;

use torchmill_testing::{Sandbox, pixel, write_pets, write_ppm};

use crate::{fail, printed, succeed};
use torchmill::shard::Shard;

/// Image `n` of [`pets`]' train split, channels first.
fn planar(n: usize) -> Vec<u8> {
    let file = if n < 3 { n } else { n + 1 };
    (0..3).flat_map(|c| (0..8).map(move |i| pixel(file, i * 3 + c))).collect()
}

const LABELS: [i64; 6] = [0, 0, 0, 1, 1, 1];

fn all_pixels() -> Vec<u8> {
    (0..6).flat_map(planar).collect()
}

/// An npy array: its header's text and its elements, of `size` bytes in all.
fn npy(stream: &mut &[u8], size: usize) -> (String, Vec<u8>) {
    let (start, rest) = stream.split_at(10);
    assert_eq!(start[..8], *b"\x93NUMPY\x01\0");
    let (header, rest) =
        rest.split_at(usize::from(u16::from_le_bytes([start[8], start[9]])));
    let (elements, rest) = rest.split_at(size);
    *stream = rest;
    (std::str::from_utf8(header).unwrap().trim_end().to_owned(), elements.to_vec())
}

fn int64(bytes: &[u8]) -> Vec<i64> {
    bytes.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect()
}

fn tar(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (entry.path().unwrap().to_str().unwrap().to_owned(), content)
    });
    entries.collect()
}

#[test]
fn shards_follow_one_another_through_a_pipe() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    let stream = printed(
        dir.path(),
        &["pets", "--split", "train", "-o", "-", "--shard-size", "50"],
    );
    succeed(dir.path(), &["pets", "-o", "out", "--shard-size", "50"]);
    let files: Vec<u8> = (0..3)
        .flat_map(|i| {
            fs::read(dir.path().join(format!("out/train-0000{i}-of-00003.shard")))
                .unwrap()
        })
        .collect();
    assert_eq!(stream, files, "a stream is the files one after the other");
    let mut rest = &stream[..];
    let mut images = Vec::new();
    while let Some(shard) = Shard::read_from(&mut rest, "the pipe").unwrap() {
        shard.verify().unwrap();
        images.extend_from_slice(shard.images());
    }
    let expected: Vec<u8> = [0, 1, 2, 4, 5, 6]
        .into_iter()
        .flat_map(|n| (0..24).map(move |i| pixel(n, i)))
        .collect();
    assert_eq!(images, expected);
    let cut = Shard::read_from(&mut &stream[..stream.len() / 2], "the pipe");
    assert!(cut.and_then(|_| Shard::read_from(&mut &stream[..100], "the pipe")).is_err());
}

#[test]
fn safetensors_hold_labels_and_images() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    succeed(
        dir.path(),
        &["pets", "-o", "out", "--format", "safetensors", "--shard-size", "50"],
    );
    let stream = printed(
        dir.path(),
        &["pets", "--split", "train", "-o", "-", "--format", "safetensors"],
    );
    let file = fs::read(dir.path().join("out/train-00001-of-00003.safetensors")).unwrap();
    for (bytes, range) in [(stream, 0..6), (file, 2..4)] {
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let (image, label) =
            (tensors.tensor("image").unwrap(), tensors.tensor("label").unwrap());
        assert_eq!(
            (image.dtype(), image.shape()),
            (safetensors::Dtype::U8, &[range.len(), 3, 2, 4][..])
        );
        assert_eq!(image.data(), range.clone().flat_map(planar).collect::<Vec<_>>());
        assert_eq!(int64(label.data()), LABELS[range]);
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(header.metadata().as_ref().unwrap()["classes"], r#"["cat","dog"]"#);
    }
    let halves = [
        "pets",
        "--split",
        "train",
        "-o",
        "-",
        "--format",
        "safetensors",
        "--dtype",
        "bfloat16",
    ];
    let halves = printed(dir.path(), &halves);
    let tensors = safetensors::SafeTensors::deserialize(&halves).unwrap();
    let image = tensors.tensor("image").unwrap();
    assert_eq!(image.dtype(), safetensors::Dtype::BF16);
    let first = half::bf16::from_le_bytes([image.data()[0], image.data()[1]]);
    assert_eq!(first, half::bf16::from_f32(f32::from(pixel(0, 0)) / 255.0));
}

#[test]
fn npy_is_one_pair_in_a_pipe_and_a_pair_of_files() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    // Chunks of two images: the stream is still one pair.
    let arguments =
        ["pets", "--split", "train", "-o", "-", "--format", "npy", "--shard-size", "50"];
    let stream = printed(dir.path(), &arguments);
    let mut rest = &stream[..];
    let (header, images) = npy(&mut rest, 144);
    assert_eq!(
        header,
        "{'descr': '|u1', 'fortran_order': False, 'shape': (6, 3, 2, 4), }"
    );
    assert_eq!(images, all_pixels());
    let (header, labels) = npy(&mut rest, 48);
    assert_eq!(header, "{'descr': '<i8', 'fortran_order': False, 'shape': (6,), }");
    assert_eq!((int64(&labels), rest.len()), (LABELS.to_vec(), 0));
    succeed(dir.path(), &["pets", "-o", "out", "--format", "npy"]);
    let file = |name: &str| fs::read(dir.path().join("out").join(name)).unwrap();
    assert_eq!(npy(&mut &file("train-00000-of-00001-images.npy")[..], 144).1, images);
    assert_eq!(npy(&mut &file("train-00000-of-00001-labels.npy")[..], 48).1, labels);
    let about: serde_json::Value = serde_json::from_slice(&file("train.json")).unwrap();
    assert_eq!((about["count"].as_u64(), &about["classes"][1]), (Some(6), &"dog".into()));
    assert!(
        succeed(dir.path(), &["pets", "-o", "out", "--format", "npy"])
            .contains("up to date")
    );
}

#[test]
fn a_tar_is_a_web_dataset() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    let files = tar(&printed(
        dir.path(),
        &["pets", "--split", "train", "-o", "-", "--format", "tar"],
    ));
    assert_eq!(files.len(), 12);
    assert_eq!(files["00000004.cls"], b"1");
    let image = torchmill::dataset::decode::rgb(&files["00000004.png"]).unwrap();
    let channels_last: Vec<u8> = (0..24).map(|k| pixel(5, k)).collect();
    assert_eq!((image.width, image.height, image.pixels), (4, 2, channels_last));

    let arrays =
        ["pets", "--split", "train", "-o", "-", "--format", "tar", "--tar-image", "npy"];
    let files = tar(&printed(dir.path(), &arrays));
    let (header, elements) = npy(&mut &files["00000004.npy"][..], 24);
    assert!(header.contains("'shape': (3, 2, 4)"), "{header}");
    assert_eq!(elements, planar(4));

    succeed(dir.path(), &["pets", "-o", "out", "--format", "tar", "--shard-size", "50"]);
    let last = fs::read(dir.path().join("out/train-00002-of-00003.tar")).unwrap();
    let expected = ["00000004.cls", "00000004.png", "00000005.cls", "00000005.png"];
    assert_eq!(tar(&last).into_keys().collect::<Vec<_>>(), expected);
}

#[test]
fn an_unchanged_jpeg_is_copied_into_the_tar_as_it_is() {
    let dir = Sandbox::new();
    let encode = |width: u32, value: u8| {
        let mut bytes = Vec::new();
        let pixels = vec![value; width as usize * 8 * 3];
        let encoder = image::codecs::jpeg::JpegEncoder::new(&mut bytes);
        image::ImageEncoder::write_image(
            encoder,
            &pixels,
            width,
            8,
            image::ExtendedColorType::Rgb8,
        )
        .unwrap();
        bytes
    };
    fs::create_dir(dir.path().join("cat")).unwrap();
    // The images of a tar may differ in size.
    let (a, b) = (encode(8, 200), encode(24, 90));
    fs::write(dir.path().join("cat/a.jpg"), &a).unwrap();
    fs::write(dir.path().join("cat/b.jpg"), &b).unwrap();
    let arguments = ["cat", "-o", "-", "--format", "tar", "--tar-image", "jpg"];
    let files = tar(&printed(dir.path(), &arguments));
    assert_eq!((&files["00000000.jpg"], &files["00000001.jpg"]), (&a, &b));
    let changed = [&arguments[..], &["--transform", "CenterCrop(8)"]].concat();
    let files = tar(&printed(dir.path(), &changed));
    assert_ne!(files["00000001.jpg"], b);
    assert_eq!(torchmill::dataset::decode::rgb(&files["00000001.jpg"]).unwrap().width, 8);
    fail(dir.path(), &["cat", "-o", "out"], 1, "cat/b.jpg: is [3, 8, 24]");
}

#[test]
fn csv_is_a_row_an_image() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    let text =
        printed(dir.path(), &["pets", "--split", "train", "-o", "-", "--format", "csv"]);
    let text = String::from_utf8(text).unwrap();
    let mut lines = text.lines();
    let header = lines.next().unwrap();
    assert!(
        header.starts_with("label,pixel0,pixel1,") && header.ends_with(",pixel23"),
        "{header}"
    );
    let rows: Vec<Vec<i64>> =
        lines.map(|l| l.split(',').map(|v| v.parse().unwrap()).collect()).collect();
    assert_eq!(rows.len(), 6);
    for (n, row) in rows.iter().enumerate() {
        assert_eq!(row[0], LABELS[n]);
        assert_eq!(row[1..], planar(n).into_iter().map(i64::from).collect::<Vec<_>>());
    }
    let floats =
        ["pets", "--split", "train", "-o", "-", "--format", "csv", "--dtype", "float32"];
    let text = String::from_utf8(printed(dir.path(), &floats)).unwrap();
    let value: f32 =
        text.lines().nth(2).unwrap().split(',').nth(1).unwrap().parse().unwrap();
    assert_eq!(value, f32::from(pixel(1, 0)) / 255.0);
}

#[test]
fn jsonl_lists_the_images_without_their_pixels() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    write_ppm(dir.path().join("pets/train/dog/wide.ppm"), 9, 1, &[0; 27]);
    let text = printed(
        dir.path(),
        &["pets", "--split", "train", "-o", "-", "--format", "jsonl"],
    );
    let lines: Vec<serde_json::Value> = std::str::from_utf8(&text)
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 7);
    assert_eq!(
        (&lines[6]["class"], &lines[6]["source"]),
        (&"dog".into(), &"train/dog/wide.ppm".into())
    );
    assert_eq!(
        (lines[6]["width"].as_u64(), lines[6]["height"].as_u64()),
        (Some(9), Some(1))
    );
    assert_eq!(
        (lines[3]["label"].as_u64(), lines[3]["index"].as_u64()),
        (Some(1), Some(3))
    );
}
