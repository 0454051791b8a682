//! Published data sets, from a server on the loopback interface that has them in their
//! published layouts.

use super::*;
use crate::catalogue::{Download, Edition, Size, Split, classes};
use crate::checksum::Hasher;
use crate::download::RetryPolicy;
use crate::published::urls;
use std::io::Write;
use std::time::Duration;
use torchmill::dataset::{Manifest, RawFormat};
use torchmill_testing::web::{Answer, Server};

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn sum(bytes: &[u8]) -> &'static str {
    let mut hasher = Hasher::like(None);
    hasher.update(bytes);
    leak(hasher.finish().to_string())
}

fn edition(file: &'static str, bytes: &[u8], url: String) -> Edition {
    let size = Size::Exact(bytes.len() as u64);
    Edition { file, size, checksum: sum(bytes), urls: leak([leak(url).as_str()]) }
}

fn options(root: &Path) -> Options {
    let policy = RetryPolicy {
        connect: Duration::from_millis(500),
        backoff: Duration::from_millis(1),
        rounds: 2,
        ..RetryPolicy::default()
    };
    Options { root: root.to_path_buf(), retries: policy, ..Options::default() }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder =
        flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn idx(count: u32, dims: &[u32], item: u8) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 1 + dims.len() as u8];
    bytes.extend_from_slice(&count.to_be_bytes());
    dims.iter().for_each(|d| bytes.extend_from_slice(&d.to_be_bytes()));
    bytes.resize(bytes.len() + (count * dims.iter().product::<u32>()) as usize, item);
    gzip(&bytes)
}

const NAMES: [&str; 4] = [
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
];

/// A small MNIST: four files that are used as they are.
fn mnist(server: &Server, images: u64) -> &'static Entry {
    let files =
        [idx(3, &[28, 28], 7), idx(3, &[], 9), idx(2, &[28, 28], 7), idx(2, &[], 0)];
    let files: Vec<Download> = NAMES
        .iter()
        .zip(files)
        .map(|(name, bytes)| {
            let editions = vec![edition(name, &bytes, server.url(&format!("/{name}")))];
            Download { unpack: false, editions: editions.leak() }
        })
        .collect();
    leak(Entry {
        name: "small-mnist",
        page: "",
        licence: "none",
        format: RawFormat::Idx,
        image: "28x28 grey",
        classes: classes::DIGITS,
        splits: leak([
            Split {
                name: "train",
                images,
                files: &["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"],
            },
            Split {
                name: "test",
                images: 2,
                files: &["t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"],
            },
        ]),
        origin: Origin::Web { cache: "small-mnist", files: files.leak(), convert: None },
    })
}

fn mnist_server() -> Server {
    Server::start(|r, _| match r.path.trim_start_matches('/') {
        "train-images-idx3-ubyte.gz" => Answer::ok(idx(3, &[28, 28], 7)),
        "train-labels-idx1-ubyte.gz" => Answer::ok(idx(3, &[], 9)),
        "t10k-images-idx3-ubyte.gz" => Answer::ok(idx(2, &[28, 28], 7)),
        "t10k-labels-idx1-ubyte.gz" => Answer::ok(idx(2, &[], 0)),
        _ => Answer::new(404, ""),
    })
}

fn run(entry: &Entry, options: &Options) -> Result<PathBuf> {
    let folder = options.folder(entry.name);
    let target = AtomicFolder::create(&folder)?;
    let filled = published::fill(target.path(), entry, options)?;
    install(target, entry.name, &folder, &filled, options)?;
    Ok(folder)
}

fn cached(options: &Options, entry: &Entry) -> usize {
    fs::read_dir(options.cache().join(entry.name)).map_or(0, Iterator::count)
}

#[test]
fn files_that_are_used_as_they_are() {
    let (root, server) = (tempfile::tempdir().unwrap(), mnist_server());
    let (entry, options) = (mnist(&server, 3), options(root.path()));
    let folder = run(entry, &options).unwrap();
    let manifest = Manifest::read(&folder).unwrap().unwrap();
    assert!(manifest.verified);
    assert_eq!(manifest.splits["train"], &NAMES[..2]);
    assert_eq!(manifest.checksums.len(), 4);
    assert_eq!(manifest.source, server.url("/train-images-idx3-ubyte.gz"));
    assert_eq!(
        cached(&options, entry),
        0,
        "the files are in the data set; twice is once too often"
    );
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn what_was_downloaded_is_used_again() {
    let (root, server) = (tempfile::tempdir().unwrap(), mnist_server());
    let options = options(root.path());
    // The published counts are not those: the download is kept, the data set is not made.
    let message = run(mnist(&server, 4), &options).unwrap_err().to_string();
    assert!(message.contains("3 images where 4 are published"), "{message}");
    assert!(!options.folder("small-mnist").exists());
    assert_eq!((cached(&options, mnist(&server, 3)), server.requests().len()), (4, 4));
    let cache = options.cache().join("small-mnist");
    fs::write(cache.join(NAMES[1]), "damaged").unwrap();
    let message = run(mnist(&server, 3), &Options { offline: true, ..options.clone() })
        .unwrap_err()
        .to_string();
    assert!(message.contains("--offline"), "{message}");
    run(mnist(&server, 3), &options).unwrap();
    assert_eq!(server.requests().len(), 5, "only the damaged file is downloaded again");
}

#[test]
fn a_mirror_comes_first() {
    let (root, server) = (tempfile::tempdir().unwrap(), mnist_server());
    let nowhere = Server::start(|_, _| Answer::new(404, ""));
    let entry = mnist(&nowhere, 3);
    let options = Options { mirrors: vec![server.url("/")], ..options(root.path()) };
    run(entry, &options).unwrap();
    assert!(nowhere.requests().is_empty());
    let Origin::Web { files, .. } = &entry.origin else { unreachable!() };
    let edition = &files[0].editions[0];
    let mirror = |m: &str| urls(entry, edition, &[m.to_owned()])[..2].to_vec();
    assert_eq!(
        mirror("http://m/sets/")[0],
        "http://m/sets/small-mnist/train-images-idx3-ubyte.gz"
    );
    assert_eq!(mirror("http://m/sets")[1], "http://m/sets/train-images-idx3-ubyte.gz");
    assert_eq!(
        mirror("http://m/train-images-idx3-ubyte.gz")[0],
        "http://m/train-images-idx3-ubyte.gz"
    );
}

fn tar(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        builder.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    gzip(&builder.into_inner().unwrap())
}

/// CIFAR-100's layout, in two packings.
#[test]
fn an_archive_in_its_second_edition_and_again_from_the_cache() {
    let root = tempfile::tempdir().unwrap();
    let names: String = (0..100).map(|i| format!("class{i:02}\n")).collect();
    let files = |prefix: &str| {
        let at = |file: &str| format!("{prefix}{file}");
        let all = [
            (at("train.bin"), [vec![1, 99], vec![0; 3072]].concat().repeat(3)),
            (at("test.bin"), [vec![1, 0], vec![0; 3072]].concat()),
            (at("fine_label_names.txt"), names.clone().into_bytes()),
            (at("._train.bin"), b"litter".to_vec()),
        ];
        tar(&all
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes.clone()))
            .collect::<Vec<_>>())
    };
    let (first, second) = (files("cifar-100-binary/"), files(""));
    let served = second.clone();
    let server = Server::start(move |r, _| match r.path.as_str() {
        "/second" => Answer::ok(served.clone()),
        _ => Answer::new(404, ""),
    });
    let editions = vec![
        edition("first.tar.gz", &first, server.url("/first")),
        edition("second.tar.gz", &second, server.url("/second")),
    ];
    let entry = leak(Entry {
        name: "small-cifar100",
        page: "",
        licence: "",
        format: RawFormat::Cifar100,
        image: "",
        classes: classes::CIFAR100,
        splits: &[
            Split { name: "train", images: 3, files: &["train.bin"] },
            Split { name: "test", images: 1, files: &["test.bin"] },
        ],
        origin: Origin::Web {
            cache: "small-cifar100",
            files: leak([Download { unpack: true, editions: editions.leak() }]),
            convert: None,
        },
    });
    let options = options(root.path());
    let folder = run(entry, &options).unwrap();
    let manifest = Manifest::read(&folder).unwrap().unwrap();
    assert_eq!(
        (manifest.source, manifest.classes[99].as_str()),
        (server.url("/second"), "class99")
    );
    assert!(!folder.join("._train.bin").exists());
    fs::remove_dir_all(&folder).unwrap();
    run(entry, &Options { offline: true, ..options }).unwrap();
}

/// Imagenette's layout: folders are renamed, what else is in the archive stays out.
#[test]
fn an_archive_that_is_converted() {
    let root = tempfile::tempdir().unwrap();
    let mut files =
        vec![("imagenette2-160/noisy_imagenette.csv".to_owned(), b"x".to_vec())];
    for (number, _) in classes::IMAGENETTE {
        files.push((format!("imagenette2-160/train/{number}/a.JPEG"), b"x".to_vec()));
        files.push((format!("imagenette2-160/val/{number}/b.JPEG"), b"x".to_vec()));
    }
    let bytes = tar(&files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.clone()))
        .collect::<Vec<_>>());
    let archive = root.path().join("some.tgz");
    fs::write(&archive, bytes).unwrap();
    let options = Options {
        from: Some(UserSource::Import(ImportSource::Path(archive))),
        any_checksum: true,
        ..options(&root.path().join("raw"))
    };
    let folder = fetch("imagenette", &options).unwrap();
    let manifest = Manifest::read(&folder).unwrap().unwrap();
    assert_eq!(
        (manifest.classes[8].as_str(), manifest.splits["test"][0].as_str()),
        ("golf ball", "test")
    );
    assert!(folder.join("test/golf ball/b.JPEG").exists());
    let mut names: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["dataset.toml", "test", "train"]);
}
