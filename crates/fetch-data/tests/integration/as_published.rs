//! Data sets of photographs in the layouts in which they are published, small, from a
//! server on the loopback interface: fetched, converted, and read as `prep` reads them.

use std::collections::BTreeMap;

use fetch_data::catalogue::{self, Download, Edition, Entry, Origin, Size, Split};
use fetch_data::checksum::Hasher;
use fetch_data::config::Options;
use fetch_data::{catalogue::classes, published};
use torchmill::dataset::{Dataset, Manifest};
use torchmill_testing::Sandbox;
use torchmill_testing::web::{Answer, Server};

use crate::program::tar_of;

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// A file that the publisher's server has.
struct Published {
    name: &'static str,
    is_archive: bool,
    bytes: Vec<u8>,
}

/// The catalogue's entry of this name, but for its size: these files and so many images.
fn small(name: &str, files: Vec<Published>, images: &[u64]) -> (Server, Entry) {
    let published = catalogue::find(name).unwrap();
    let bodies: BTreeMap<String, Vec<u8>> =
        files.iter().map(|f| (format!("/{}", f.name), f.bytes.clone())).collect();
    let server = Server::start(move |request, _| match bodies.get(&request.path) {
        Some(bytes) => Answer::ranged(request, bytes, "\"1\""),
        None => Answer::new(404, ""),
    });
    let mut downloads = Vec::new();
    for file in files {
        let mut hasher = Hasher::like(None);
        hasher.update(&file.bytes);
        let edition = Edition {
            file: file.name,
            size: Size::Exact(file.bytes.len() as u64),
            checksum: leak(hasher.finish().to_string()),
            urls: leak([leak(server.url(&format!("/{}", file.name))).as_str()]),
        };
        downloads.push(Download { unpack: file.is_archive, editions: leak([edition]) });
    }
    let mut splits = Vec::new();
    for (split, &images) in published.splits.iter().zip(images) {
        splits.push(Split { name: split.name, images, files: split.files });
    }
    let entry = Entry {
        name: published.name,
        page: published.page,
        licence: published.licence,
        format: published.format,
        image: published.image,
        classes: published.classes,
        splits: leak(splits),
        origin: Origin::Web {
            cache: published.name,
            files: leak(downloads),
            convert: published.convert(),
        },
    };
    (server, entry)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder =
        flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

/// A tar, gzipped, of images that are one pixel each, called so.
fn images(files: &[(String, [u8; 3])]) -> Vec<u8> {
    let mut contents = Vec::new();
    for (name, pixel) in files {
        // PNM under another name, which is told by its first bytes.
        contents.push((name.as_str(), [b"P6 1 1 255\n", &pixel[..]].concat()));
    }
    let files: Vec<(&str, &[u8])> =
        contents.iter().map(|(name, bytes)| (*name, &bytes[..])).collect();
    gzip(&tar_of(&files))
}

/// Fetches the data set: its description, and its images.
fn fetched(folder: &Sandbox, entry: &Entry) -> (Manifest, Dataset) {
    let options = Options { root: folder.path().to_path_buf(), ..Options::default() };
    let target = folder.join(entry.name);
    std::fs::create_dir(&target).unwrap();
    published::fill(&target, entry, &options).unwrap();
    (Manifest::read(&target).unwrap().unwrap(), Dataset::open(&target).unwrap())
}

#[test]
fn flowers102_as_it_is_published() {
    let number = |n: usize| [(n / 256) as u8, (n % 256) as u8, 7];
    let mut files = Vec::new();
    for n in 1..=306 {
        files.push((format!("jpg/image_{n:05}.jpg"), number(n)));
    }
    let lists = [
        ("imagelabels.mat", include_bytes!("../golden/imagelabels.mat").to_vec()),
        ("setid.mat", include_bytes!("../golden/setid.mat").to_vec()),
    ];
    let archive = ("102flowers.tgz", images(&files));
    let mut published = Vec::new();
    for (name, bytes) in [archive].into_iter().chain(lists) {
        let is_archive = name == "102flowers.tgz";
        published.push(Published { name, is_archive, bytes });
    }
    let (server, entry) = small("oxford-flowers102", published, &[102, 102, 102]);
    let folder = Sandbox::new();
    let (manifest, data) = fetched(&folder, &entry);
    assert_eq!(server.requests().len(), 3);
    assert!(manifest.verified);
    assert_eq!(manifest.classes, classes::FLOWERS102);
    // See tests/golden/make.py: the images of a split follow one another, and the image N
    // has the class (N - 1) * 5 % 102.
    for (split, first) in [("test", 1), ("train", 103), ("val", 205)] {
        let samples = &data.splits[split];
        let mut seen = Vec::new();
        for &sample in samples {
            let pixels = data.image(sample).unwrap().pixels;
            let n = usize::from(pixels[0]) * 256 + usize::from(pixels[1]);
            assert_eq!(sample.label as usize, (n - 1) * 5 % 102, "image {n}");
            seen.push(n);
        }
        seen.sort_unstable();
        assert_eq!(seen, (first..first + 102).collect::<Vec<_>>(), "{split}");
    }
}

#[test]
fn imagenette_as_it_is_published() {
    let mut files = vec![("imagenette2-160/noisy_imagenette.csv".to_owned(), [0; 3])];
    for (label, (number, _)) in classes::IMAGENETTE.iter().enumerate() {
        for (split, image, mark) in [("train", 10026, 1), ("train", 7, 1), ("val", 40, 2)]
        {
            let name = format!("imagenette2-160/{split}/{number}/{number}_{image}.JPEG");
            files.push((name, [label as u8, mark, 0]));
        }
    }
    let archive = Published {
        name: "imagenette2-160.tgz",
        is_archive: true,
        bytes: images(&files),
    };
    let (_server, entry) = small("imagenette", vec![archive], &[20, 10]);
    let folder = Sandbox::new();
    let (manifest, data) = fetched(&folder, &entry);
    let names: Vec<&str> = classes::IMAGENETTE.iter().map(|(_, name)| *name).collect();
    assert_eq!(manifest.classes, names);
    for (split, mark, count) in [("train", 1, 20), ("test", 2, 10)] {
        assert_eq!(data.splits[split].len(), count);
        for &sample in &data.splits[split] {
            let pixels = data.image(sample).unwrap().pixels;
            assert_eq!(pixels, [sample.label as u8, mark, 0]);
        }
    }
}
