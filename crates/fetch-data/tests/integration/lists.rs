//! `--from FILE.toml`: a data set that is a list of files.

use std::fs;

use fetch_data::checksum::{Checksum, Hasher};
use fetch_data::config::Options;
use fetch_data::listing::{self, toml_file};
use torchmill::dataset::{Dataset, Manifest, RawFormat};
use torchmill_testing::Sandbox;
use torchmill_testing::web::{Answer, Server};

use crate::program::{IMAGE, err, fails, fetch, out, tar_of};

const PARQUET: &[u8] =
    include_bytes!("../../../torchmill/tests/golden/parquet/huggingface.parquet");

fn sum(bytes: &[u8], like: &str) -> String {
    let like: Checksum = like.parse().unwrap();
    let mut hasher = Hasher::like(Some(&like));
    hasher.update(bytes);
    let sum = hasher.finish().to_string();
    let (algorithm, digits) = sum.split_once(':').unwrap();
    format!("{algorithm} = \"{digits}\"")
}

fn sha256(bytes: &[u8]) -> String {
    sum(bytes, &format!("sha256:{}", "0".repeat(64)))
}

fn md5(bytes: &[u8]) -> String {
    sum(bytes, &format!("md5:{}", "0".repeat(32)))
}

/// A server of these files.
fn serve(files: &[(&'static str, Vec<u8>)]) -> Server {
    let files = files.to_vec();
    Server::start(move |request, _| {
        let file = files.iter().find(|(path, _)| *path == request.path);
        match file {
            Some((_, bytes)) => Answer::ranged(request, bytes, "\"1\""),
            None => Answer::new(404, ""),
        }
    })
}

fn write_list(folder: &Sandbox, kind: &str, files: &str) {
    let head = format!(
        "name = \"Pets\"\ndescription = \"Cats and dogs\"\nlicence = \"CC0\"\n\
         citation = \"A. Author, 2020\"\nkind = \"{kind}\"\n"
    );
    folder.write("pets.toml", &(head + files));
}

fn set(folder: &Sandbox) -> (Manifest, Dataset) {
    let path = folder.join("data/raw/pets");
    (Manifest::read(&path).unwrap().unwrap(), Dataset::open(&path).unwrap())
}

const PETS: [&str; 3] = ["pets", "--from", "pets.toml"];

#[test]
fn parquet_files_with_their_splits() {
    let folder = Sandbox::new();
    let server =
        serve(&[("/a/0.parquet", PARQUET.to_vec()), ("/b/0.parquet", PARQUET.to_vec())]);
    let size = PARQUET.len();
    let (sha256, md5) = (sha256(PARQUET), md5(PARQUET));
    let files = format!(
        "[[file]]\nurl = \"{}\"\npath = \"a/0.parquet\"\n{sha256}\nsplit = \"train\"\n\
         size = {size}\n\
         [[file]]\nurl = \"{}\"\n{md5}\nsplit = \"validation\"\n",
        server.url("/a/0.parquet"),
        server.url("/b/0.parquet?download=1").replace("?download=1", "")
    );
    write_list(&folder, "parquet", &files);
    let output = fetch(folder.path(), &PETS);
    assert_eq!(out(&output), "data/raw/pets\n");
    let (manifest, data) = set(&folder);
    assert_eq!(manifest.description, "Cats and dogs");
    assert_eq!(manifest.licence, "CC0; cite A. Author, 2020");
    assert!(manifest.source.ends_with("/pets.toml"), "{}", manifest.source);
    assert!(manifest.verified);
    assert_eq!(manifest.splits["train"], ["a/0.parquet"]);
    // Without a test split the validation split is one.
    assert_eq!(manifest.splits["test"], ["0.parquet"]);
    assert!(manifest.checksums.values().all(|sum| sum.starts_with("sha256:")));
    assert_eq!((data.splits["train"].len(), data.splits["test"].len()), (150, 150));
    // There already.
    let again = fetch(folder.path(), &PETS);
    assert!(err(&again).contains("--force replaces it"), "{}", err(&again));
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn tars_from_this_machine_need_no_network() {
    let folder = Sandbox::new();
    let tar = tar_of(&[
        ("0.ppm", IMAGE),
        ("0.cls", b"cat"),
        ("1.ppm", IMAGE),
        ("1.cls", b"dog"),
    ]);
    fs::write(folder.join("0.tar"), &tar).unwrap();
    let url = format!("file://{}", folder.join("0.tar").display());
    let files = format!("[[file]]\nurl = \"{url}\"\n{}\n", sha256(&tar));
    write_list(&folder, "webdataset", &files);
    let offline = ["pets", "--from", "pets.toml", "--offline"];
    out(&fetch(folder.path(), &offline));
    let (manifest, data) = set(&folder);
    assert_eq!(manifest.format, RawFormat::WebDataset);
    assert_eq!(data.splits["all"].len(), 2);
    assert_eq!(data.classes, ["cat", "dog"]);
    fs::remove_file(folder.join("0.tar")).unwrap();
    let force = ["pets", "--from", "pets.toml", "--force"];
    let message = fails(folder.path(), &force, 1);
    assert!(message.contains("cannot be read: no such file"), "{message}");
    assert!(folder.join("data/raw/pets/0.tar").exists(), "what was there is lost");
}

#[test]
fn archives_are_unpacked_into_their_splits() {
    let folder = Sandbox::new();
    let train = tar_of(&[("top/cat/1.ppm", IMAGE), ("top/dog/1.ppm", IMAGE)]);
    let more = tar_of(&[("top/cat/2.ppm", IMAGE), ("top/dog/2.ppm", IMAGE)]);
    let test = tar_of(&[("cat/3.ppm", IMAGE), ("dog/3.ppm", IMAGE)]);
    let mut files = String::new();
    for (name, split, bytes) in
        [("a.tar", "train", &train), ("b.tar", "train", &more), ("c.tar", "test", &test)]
    {
        fs::write(folder.join(name), bytes).unwrap();
        let url = format!("file://{}", folder.join(name).display());
        let sum = sha256(bytes);
        files += &format!("[[file]]\nurl = \"{url}\"\n{sum}\nsplit = \"{split}\"\n");
    }
    write_list(&folder, "archive", &files);
    let output = fetch(folder.path(), &PETS);
    out(&output);
    let said = err(&output);
    assert!(said.contains("4 train and 2 test images in 2 classes"), "{said}");
    assert!(said.contains("stays in"), "{said}");
    let (manifest, data) = set(&folder);
    assert_eq!(manifest.format, RawFormat::ImageFolder);
    assert_eq!(manifest.classes, ["cat", "dog"]);
    assert_eq!(manifest.licence, "CC0; cite A. Author, 2020");
    assert_eq!((data.splits["train"].len(), data.splits["test"].len()), (4, 2));
}

#[test]
fn what_is_not_as_listed_is_refused() {
    let folder = Sandbox::new();
    let page = b"<html>Sign in</html>".to_vec();
    let server =
        serve(&[("/0.parquet", PARQUET.to_vec()), ("/page.parquet", page.clone())]);
    let file = |path: &str, sum: &str, more: &str| {
        format!("[[file]]\nurl = \"{}\"\n{sum}\n{more}\n", server.url(path))
    };
    let right = sha256(PARQUET);
    for (files, status, message) in [
        (file("/0.parquet", &sha256(b"x"), ""), 1, "other contents than the published"),
        (file("/0.parquet", &sha256(b"x"), ""), 1, "its checksum and size in pets.toml"),
        (file("/0.parquet", &right, "size = 3"), 1, "offers"),
        (file("/1.parquet", &right, ""), 1, "404 (Not Found)"),
        (file("/page.parquet", &sha256(&page), ""), 1, "is not a Parquet file"),
        (file("/0.parquet", &right, "path = \"../0\""), 2, "leads out of"),
        (file("/0.parquet", &right, "sze = 3"), 2, "line 9: unknown field `sze`"),
        (file("/0.parquet", &right, "").repeat(2), 2, "is the name of the file of"),
    ] {
        write_list(&folder, "parquet", &files);
        let message_found = fails(folder.path(), &PETS, status);
        assert!(message_found.contains(message), "{message_found}");
        assert!(!folder.join("data/raw/pets").exists());
    }
    let missing = fails(folder.path(), &["pets", "--from", "nowhere.toml"], 1);
    assert!(missing.contains("cannot read nowhere.toml"), "{missing}");
    let checksum = ["pets", "--from", "pets.toml", "--checksum", "md5:1"];
    fails(folder.path(), &checksum, 2);
    let any = ["pets", "--from", "pets.toml", "--any-checksum"];
    let message = fails(folder.path(), &any, 2);
    assert!(message.contains("has the checksum and the split of each file"), "{message}");
}

#[test]
fn a_list_does_not_replace_its_own_files() {
    let folder = Sandbox::new();
    let place = folder.join("data/raw/pets");
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("0.parquet"), PARQUET).unwrap();
    fs::write(place.join("notes.txt"), "mine").unwrap();
    let url = format!("file://{}", place.join("0.parquet").display());
    let files = format!("[[file]]\nurl = \"{url}\"\n{}\n", sha256(PARQUET));
    write_list(&folder, "parquet", &files);
    let message = fails(folder.path(), &["pets", "--from", "pets.toml", "--force"], 2);
    assert!(message.contains("0.parquet in data/raw/pets, which it"), "{message}");
    // The list is in the folder, and its files are not.
    fs::rename(place.join("0.parquet"), folder.join("0.parquet")).unwrap();
    let files = files.replace("data/raw/pets/", "");
    write_list(&folder, "parquet", &files);
    fs::rename(folder.join("pets.toml"), place.join("pets.toml")).unwrap();
    let within = ["pets", "--from", "data/raw/pets/pets.toml", "--force"];
    let message = fails(folder.path(), &within, 2);
    assert!(message.contains("which it would replace: give another NAME"), "{message}");
    assert!(place.join("pets.toml").exists() && place.join("notes.txt").exists());
    out(&fetch(folder.path(), &["others", "--from", "data/raw/pets/pets.toml"]));
}

#[test]
fn offline_only_files_of_this_machine_are_read() {
    let folder = Sandbox::new();
    let server = serve(&[("/0.parquet", PARQUET.to_vec())]);
    let url = server.url("/0.parquet");
    let files = format!("[[file]]\nurl = \"{url}\"\n{}\n", sha256(PARQUET));
    write_list(&folder, "parquet", &files);
    let stick = folder.join("stick");
    let mirror = format!("file://{}", stick.display());
    let with_mirror = [&PETS[..], &["--offline", "--mirror", &mirror]].concat();
    let message = fails(folder.path(), &with_mirror, 1);
    assert!(message.contains("cannot be read: no such file"), "{message}");
    let message = fails(folder.path(), &[&PETS[..], &["--offline"]].concat(), 1);
    assert!(message.contains("--offline forbids downloading it"), "{message}");
    let published = ["cifar10", "--offline", "--mirror", &mirror];
    let message = fails(folder.path(), &published, 1);
    assert!(message.contains("cannot be read: no such file"), "{message}");
    assert!(!message.contains("https://"), "{message}");
    fs::create_dir(&stick).unwrap();
    fs::write(stick.join("0.parquet"), PARQUET).unwrap();
    out(&fetch(folder.path(), &with_mirror));
    assert!(server.requests().is_empty(), "--offline used the network");
}

#[test]
fn signed_urls_are_never_shown() {
    let folder = Sandbox::new();
    let page = b"<html>Sign in</html>".to_vec();
    let served = page.clone();
    let server = Server::start(move |request, _| match request.path.as_str() {
        path if path.starts_with("/page.parquet") => Answer::ok(served.clone()),
        _ => Answer::new(404, ""),
    });
    for path in ["/page.parquet", "/missing.parquet"] {
        let url = server.url(&format!("{path}?sig=hidden"));
        let url = url.replace("http://", "http://me:secret@");
        let files = format!("[[file]]\nurl = \"{url}\"\n{}\n", sha256(&page));
        write_list(&folder, "parquet", &files);
        let message = fails(folder.path(), &["-v", "pets", "--from", "pets.toml"], 1);
        assert!(message.contains(&server.url(path)), "{message}");
        for secret in ["hidden", "secret", "me:"] {
            assert!(!message.contains(secret), "{message}");
        }
    }
}

#[test]
fn sizes_that_cannot_be_added_are_no_panic() {
    let folder = Sandbox::new();
    let mut files = String::new();
    for name in ["a", "b", "c"] {
        files += &format!(
            "[[file]]\nurl = \"file:///nowhere/{name}\"\nsize = {}\n{}\n",
            i64::MAX,
            sha256(b"x")
        );
    }
    write_list(&folder, "parquet", &files);
    let message = fails(folder.path(), &PETS, 1);
    assert!(message.contains("cannot be read: no such file"), "{message}");
}

#[test]
fn downloads_stay_until_the_folder_has_its_name() {
    let folder = Sandbox::new();
    let source = folder.join("source.parquet");
    fs::write(&source, PARQUET).unwrap();
    let files = format!(
        "[[file]]\nurl = \"file://{}\"\npath = \"a/0.parquet\"\n{}\n",
        source.display(),
        sha256(PARQUET)
    );
    write_list(&folder, "parquet", &files);
    let list = toml_file::read(&folder.join("pets.toml")).unwrap();
    let options = Options { root: folder.join("data/raw"), ..Options::default() };
    let target = folder.join("target");
    fs::create_dir(&target).unwrap();
    let filled = listing::fill(&target, "pets", &list, &options).unwrap();
    let cached = options.cache().join("pets/a/0.parquet");
    assert_eq!(filled.used, std::slice::from_ref(&cached));
    assert!(cached.exists());
    // The program removes them at the end.
    out(&fetch(folder.path(), &PETS));
    assert!(!options.cache().join("pets").exists());
}
