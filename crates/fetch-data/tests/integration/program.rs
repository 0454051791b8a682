//! The program as a user runs it.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

use torchmill::dataset::{Manifest, RawFormat};
use torchmill::lock::{Access, FolderLock};
use torchmill_testing::web::{Answer, Server};
use torchmill_testing::{Sandbox, program};

pub fn fetch(folder: &Path, args: &[&str]) -> Output {
    command(folder, args).output().unwrap()
}

pub fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = program("fetch-data");
    command.current_dir(folder).args(args);
    for variable in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(variable).env_remove(variable.to_uppercase());
    }
    command.env_remove("HF_TOKEN").env_remove("HF_ENDPOINT");
    command
}

pub fn out(output: &Output) -> String {
    assert!(output.status.success(), "{}", err(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub fn fails(folder: &Path, args: &[&str], status: i32) -> String {
    let output = fetch(folder, args);
    assert_eq!(output.status.code(), Some(status), "{}", err(&output));
    assert!(output.stdout.is_empty());
    let message = err(&output);
    assert!(
        message.lines().last().unwrap().starts_with(if status == 2 {
            ""
        } else {
            "fetch-data: "
        }),
        "{message}"
    );
    message
}

#[test]
fn a_source_that_is_not_there_leaves_nothing_behind() {
    let folder = Sandbox::new();
    let message = fails(folder.path(), &["pets", "--from", "missing"], 1);
    assert!(message.contains("missing"), "{message}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// A CIFAR-10 of 7 images in the published layout, as a `.tar.gz`.
fn archive() -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut builder = tar::Builder::new(gzip);
    let names = (1..=5)
        .map(|i| format!("data_batch_{i}.bin"))
        .chain(["test_batch.bin".to_owned()]);
    for (i, name) in names.enumerate() {
        let bytes = vec![i as u8; if i == 0 { 2 * 3073 } else { 3073 }];
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, format!("cifar-10-batches-bin/{name}"), &bytes[..])
            .unwrap();
    }
    let names = b"a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n";
    let mut header = tar::Header::new_gnu();
    header.set_size(names.len() as u64);
    builder
        .append_data(&mut header, "cifar-10-batches-bin/batches.meta.txt", &names[..])
        .unwrap();
    builder.into_inner().unwrap().finish().unwrap()
}

#[test]
fn the_sample_needs_no_network() {
    let folder = Sandbox::new();
    let first = fetch(folder.path(), &["mnist-5k", "--offline"]);
    assert_eq!(out(&first), "data/raw/mnist-5k\n");
    assert!(err(&first).contains("4,000 train and 1,000 test images in 10 classes"));
    let set = folder.path().join("data/raw/mnist-5k");
    let manifest = Manifest::read(&set).unwrap().unwrap();
    assert!(
        manifest.verified
            && manifest.format == RawFormat::Idx
            && manifest.checksums.len() == 4
    );
    assert!(fs::read_to_string(set.join("ATTRIBUTION")).unwrap().contains("LeCun"));
    let before = fs::metadata(set.join("dataset.toml")).unwrap().modified().unwrap();
    let second = fetch(folder.path(), &["mnist-5k"]);
    assert_eq!(out(&second), "data/raw/mnist-5k\n");
    assert!(err(&second).contains("already"));
    assert_eq!(
        fs::metadata(set.join("dataset.toml")).unwrap().modified().unwrap(),
        before
    );
    assert_eq!(
        fs::read_dir(folder.path().join("data/raw")).unwrap().count(),
        1,
        "something was left over"
    );
    let list = out(&fetch(folder.path(), &["--list"]));
    let line = list.lines().find(|l| l.starts_with("mnist-5k ")).unwrap();
    assert!(
        line.contains(" embedded ") && line.contains(" 4,000 ") && line.contains(" yes "),
        "{list}"
    );
}

#[test]
fn weights_are_listed_and_a_damaged_file_is_not_taken() {
    let folder = Sandbox::new();
    let file = folder.path().join("data/weights/resnet18-f37072fd.pth");
    let list = out(&fetch(folder.path(), &["--list"]));
    let line = list.lines().find(|l| l.starts_with("resnet18 ")).unwrap();
    assert!(line.contains("IMAGENET1K_V1") && line.ends_with(" no"), "{list}");
    let message = fails(folder.path(), &["resnet18", "--offline"], 1);
    assert!(message.contains("put the file resnet18-f37072fd.pth into"), "{message}");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "not the weights").unwrap();
    let message = fails(folder.path(), &["resnet18", "--offline"], 1);
    assert!(message.contains("resnet18-f37072fd.pth is damaged"), "{message}");
    assert!(fails(folder.path(), &["resnet81"], 2).contains("resnet18"));
}

#[test]
fn an_archive_that_is_not_the_published_one_must_be_accepted() {
    let folder = Sandbox::new();
    fs::write(folder.path().join("mine.tar.gz"), archive()).unwrap();
    let message = fails(folder.path(), &["cifar10", "--from", "mine.tar.gz"], 1);
    assert!(message.contains("not md5:c32a1d4ab5d03f1284b67883e8d87530"), "{message}");
    assert!(message.contains("--any-checksum"), "{message}");
    assert!(!folder.path().join("data/raw/cifar10").exists());
    let output =
        fetch(folder.path(), &["cifar10", "--from", "mine.tar.gz", "--any-checksum"]);
    assert_eq!(out(&output), "data/raw/cifar10\n");
    let manifest =
        Manifest::read(&folder.path().join("data/raw/cifar10")).unwrap().unwrap();
    assert!(!manifest.verified);
    assert_eq!(manifest.splits["test"], ["cifar-10-batches-bin/test_batch.bin"]);
    assert_eq!(manifest.source, "mine.tar.gz");
}

#[test]
fn a_broken_archive_leaves_nothing() {
    let folder = Sandbox::new();
    let mut bytes = archive();
    bytes.truncate(bytes.len() / 2);
    fs::write(folder.path().join("cut.tar.gz"), bytes).unwrap();
    let message =
        fails(folder.path(), &["cifar10", "--from", "cut.tar.gz", "--any-checksum"], 1);
    assert!(message.contains("cut short"), "{message}");
    assert_eq!(fs::read_dir(folder.path().join("data/raw")).unwrap().count(), 0);
}

#[test]
fn what_is_there_is_not_lost() {
    let folder = Sandbox::new();
    let mine = folder.path().join("data/raw/mnist-5k/mine.txt");
    fs::create_dir_all(mine.parent().unwrap()).unwrap();
    fs::write(&mine, "precious").unwrap();
    assert!(fails(folder.path(), &["mnist-5k"], 1).contains("--force"));
    assert!(mine.exists());
    out(&fetch(folder.path(), &["mnist-5k", "--force"]));
    assert!(!mine.exists());
    let labels = folder.path().join("data/raw/mnist-5k/train-labels-idx1-ubyte.gz");
    fs::remove_file(labels).unwrap();
    assert!(
        fails(folder.path(), &["mnist-5k"], 1)
            .contains("train-labels-idx1-ubyte.gz is missing")
    );
    // A fetch that fails replaces nothing, even with --force.
    fails(folder.path(), &["mnist-5k", "--force", "--from", "/nonexistent"], 1);
    assert!(folder.path().join("data/raw/mnist-5k/dataset.toml").exists());
}

#[test]
fn a_data_set_of_ones_own() {
    let folder = Sandbox::new();
    for path in
        ["pets/cat/1.jpg", "pets/dog/1.jpg", "pets/dog/.2.jpg", "pets/dog/readme.txt"]
    {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "not really").unwrap();
    }
    out(&fetch(folder.path(), &["mypets", "--from", "pets", "--root", "there"]));
    let set = folder.path().join("there/mypets");
    assert_eq!(Manifest::read(&set).unwrap().unwrap().classes, ["cat", "dog"]);
    assert_eq!(fs::read_dir(set.join("dog")).unwrap().count(), 1);
    fs::remove_dir_all(folder.path().join("pets")).unwrap();
    assert!(
        set.join("dog/1.jpg").exists(),
        "the data set must not need where it came from"
    );
}

#[test]
fn an_archive_from_an_address() {
    let folder = Sandbox::new();
    let server = Server::start(|_, _| Answer::ok(archive()));
    let url = server.url("/some/where.tgz?download=1");
    assert_eq!(out(&fetch(folder.path(), &["mine", "--from", &url])), "data/raw/mine\n");
    let cache = folder.path().join("data/raw/.downloads/mine");
    assert_eq!(
        fs::read_dir(cache).unwrap().count(),
        0,
        "an archive that cannot be checked was kept"
    );
    let manifest = Manifest::read(&folder.path().join("data/raw/mine")).unwrap().unwrap();
    assert_eq!(
        (manifest.source, manifest.verified),
        (server.url("/some/where.tgz"), false)
    );

    let message = fails(folder.path(), &["cifar10", "--from", &url], 1);
    assert!(
        message.contains("not the same file") && message.contains("--any-checksum"),
        "{message}"
    );
    out(&fetch(folder.path(), &["cifar10", "--from", &url, "--any-checksum"]));
    let wrong = format!("sha256:{}", "0".repeat(64));
    fails(folder.path(), &["other", "--from", &url, "--checksum", &wrong], 1);
    let mut hasher = fetch_data::checksum::Hasher::like(None);
    hasher.update(&archive());
    let right = hasher.finish().to_string();
    out(&fetch(folder.path(), &["other", "--from", &url, "--checksum", &right]));
    assert!(
        Manifest::read(&folder.path().join("data/raw/other")).unwrap().unwrap().verified
    );
}

#[test]
fn proxies_come_from_the_environment() {
    let folder = Sandbox::new();
    let proxy = Server::start(|_, _| Answer::ok(archive()));
    let mut command =
        command(folder.path(), &["mine", "--from", "http://data.invalid/x.tar.gz"]);
    out(&command.env("http_proxy", proxy.url("")).output().unwrap());
    assert!(proxy.requests().iter().any(|r| r.path.contains("data.invalid")));
}

#[test]
fn probing_tells_a_makefile_what_to_do() {
    let folder = Sandbox::new();
    out(&fetch(folder.path(), &["--available", "mnist-5k"]));
    assert!(
        fails(folder.path(), &["--available", "cifar10", "--offline"], 1)
            .contains("not here")
    );
    assert!(fails(folder.path(), &["--available", "nonesuch"], 2).contains("--list"));
    // A proxy that refuses everything, as in a closed network.
    let proxy = Server::start(|_, _| Answer::new(403, ""));
    let output = command(folder.path(), &["--available", "cifar10"])
        .env("https_proxy", proxy.url(""))
        .output();
    assert_eq!(output.unwrap().status.code(), Some(1));
    let server = Server::start(|r, _| {
        let total = if r.path.ends_with("cifar10/cifar-10-binary.tar.gz") {
            170_052_171
        } else {
            5
        };
        Answer::new(206, "x").header("Content-Range", format!("bytes 0-0/{total}"))
    });
    let output = fetch(
        folder.path(),
        &["--available", "cifar10", "--mirror", &server.url("/sets/")],
    );
    assert_eq!(out(&output), "");
    assert!(err(&output).contains("is available from"));
}

#[test]
fn wrong_usage() {
    let folder = Sandbox::new();
    for args in [
        &[][..],
        &["cifra10"],
        &["../up", "--from", "."],
        &["a/b", "--from", "."],
        &[".hidden", "--from", "."],
        &["cifar10", "--any-checksum"],
        &["cifar10", "mnist-5k", "--from", "."],
        &["cifar10", "--from", "x", "--checksum", "md5:1"],
        &["cifar10", "--from", "http://x.invalid/", "--offline"],
    ] {
        let output = fetch(folder.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", err(&output));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[cfg(unix)]
#[test]
fn an_unwritable_folder_and_an_interrupt() {
    let folder = Sandbox::new();
    fs::write(folder.path().join("file"), "").unwrap();
    let message = fails(folder.path(), &["mnist-5k", "--root", "file/below"], 1);
    assert!(message.contains("file/below"), "{message}");

    // A server that never finishes: Ctrl-C must not wait for it.
    let server =
        Server::start(|_, _| Answer::ok(vec![0; 1000]).length(Some(2000)).stall(1000));
    let mut child = command(folder.path(), &["mine", "--from", &server.url("/x.tar.gz")])
        .spawn()
        .unwrap();
    let part = folder.path().join("data/raw/.downloads/mine/from-url-x.tar.gz.part");
    while !fs::metadata(&part).is_ok_and(|m| m.len() == 1000) {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(part.exists(), "what came is kept");
    let left: Vec<_> = fs::read_dir(folder.path().join("data/raw")).unwrap().collect();
    assert_eq!(left.len(), 1, "a half-made folder was left: {left:?}");
    std::io::stdout().flush().unwrap();
}

#[test]
fn other_schemes_are_said_to_be_unsupported() {
    let folder = Sandbox::new();
    let message = fails(
        folder.path(),
        &["pets", "--from", "ftp://me:secret@example.org/pets.zip"],
        2,
    );
    assert!(message.contains("ftp:// is not supported"), "{message}");
    assert!(!message.contains("secret"), "{message}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_dead_proxy_is_named() {
    let folder = Sandbox::new();
    let mut command =
        command(folder.path(), &["pets", "--from", "http://example.invalid/pets.zip"]);
    // Nothing listens on port 1.
    let output = command.env("http_proxy", "http://127.0.0.1:1").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("through the proxy 127.0.0.1:1"), "{}", err(&output));
}

/// An archive of these files.
pub fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

pub const IMAGE: &[u8] = b"P6 1 1 255\nabc";

fn import(folder: &Path, name: &str, archive: &[u8]) -> (Manifest, String) {
    let file = format!("{name}.tar");
    fs::write(folder.join(&file), archive).unwrap();
    let output = fetch(folder, &[name, "--from", &file]);
    out(&output);
    let manifest = Manifest::read(&folder.join("data/raw").join(name)).unwrap().unwrap();
    (manifest, err(&output))
}

#[test]
fn an_archive_without_a_top_folder_has_the_class_of_its_name() {
    let folder = Sandbox::new();
    let archive = tar_of(&[("1.ppm", IMAGE), ("2.ppm", IMAGE)]);
    let (manifest, said) = import(folder.path(), "flat", &archive);
    assert_eq!(
        (manifest.classes, manifest.source.as_str()),
        (vec!["flat".into()], "flat.tar")
    );
    assert!(!said.contains(".partial"), "{said}");
    // Messages name the archive, not the folder that it was unpacked in.
    fs::write(folder.path().join("none.tar"), tar_of(&[("a/b.txt", b"x")])).unwrap();
    let message = fails(folder.path(), &["none", "--from", "none.tar"], 1);
    assert!(message.contains("none.tar holds no data set"), "{message}");
    assert!(!message.contains(".partial"), "{message}");
}

#[test]
fn a_webdataset_keeps_its_labels() {
    let folder = Sandbox::new();
    let archive = tar_of(&[
        ("00000000.ppm", IMAGE),
        ("00000000.cls", b"2"),
        ("00000001.ppm", IMAGE),
        ("00000001.cls", b"0"),
    ]);
    let (manifest, said) = import(folder.path(), "web", &archive);
    assert_eq!(manifest.classes, ["0", "1", "2"]);
    assert!(said.contains("2 images in 3 classes"), "{said}");
    let set = folder.path().join("data/raw/web");
    assert!(set.join("2/00000000.ppm").exists() && !set.join("00000000.cls").exists());
    // A folder with the unpacked files.
    for (name, bytes) in [("a.ppm", IMAGE), ("a.cls", b"cat")] {
        fs::create_dir_all(folder.path().join("unpacked")).unwrap();
        fs::write(folder.path().join("unpacked").join(name), bytes).unwrap();
    }
    out(&fetch(folder.path(), &["again", "--from", "unpacked"]));
    assert!(folder.path().join("data/raw/again/cat/a.ppm").exists());
    assert!(folder.path().join("unpacked/a.cls").exists());
}

#[test]
fn what_is_left_out_is_said_and_splits_can_be_named() {
    let folder = Sandbox::new();
    let archive = tar_of(&[
        ("a/cat/1.ppm", IMAGE),
        ("a/dog/1.ppm", IMAGE),
        ("b/cat/1.ppm", IMAGE),
        ("b/dog/1.ppm", IMAGE),
        ("3.ppm", IMAGE),
    ]);
    fs::write(folder.path().join("set.tar"), archive).unwrap();
    let dirs = ["set", "--from", "set.tar", "--split-dirs", "train=a,test=b"];
    let output = fetch(folder.path(), &dirs);
    out(&output);
    assert!(err(&output).contains("2 train and 2 test images in 2 classes"));
    assert!(err(&output).contains("3.ppm: it is in no class folder"), "{}", err(&output));
}

#[test]
fn class_names_that_prep_would_refuse_are_refused_at_once() {
    let folder = Sandbox::new();
    for class in ["a\tb", "a\nb"] {
        let path = folder.path().join("pets").join(class).join("1.ppm");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, IMAGE).unwrap();
        let message = fails(folder.path(), &["mypets", "--from", "pets"], 1);
        assert!(message.contains("cannot be the name of a folder"), "{message}");
        fs::remove_dir_all(folder.path().join("pets")).unwrap();
    }
}

#[test]
fn fetches_at_the_same_time_do_not_fail_on_each_other() {
    let folder = Sandbox::new();
    pets(folder.path());
    for args in [&["mnist-5k"][..], &["mnist-5k", "--force"], &["mine", "--from", "pets"]]
    {
        let start = |_| {
            let mut command = command(folder.path(), args);
            command.arg("-q").stdout(std::process::Stdio::null()).spawn().unwrap()
        };
        let mut fetches: Vec<_> = (0..6).map(start).collect();
        for fetch in &mut fetches {
            assert!(fetch.wait().unwrap().success(), "{args:?}");
        }
    }
    let root = folder.path().join("data/raw");
    for name in ["mnist-5k", "mine"] {
        assert!(Manifest::read(&root.join(name)).unwrap().is_some());
    }
    assert_eq!(fs::read_dir(&root).unwrap().count(), 2, "something was left over");
}

#[test]
fn what_a_killed_fetch_moved_aside_is_put_back() {
    let folder = Sandbox::new();
    pets(folder.path());
    out(&fetch(folder.path(), &["mine", "--from", "pets"]));
    let root = folder.path().join("data/raw");
    fs::rename(root.join("mine"), root.join(".partial-mine.replaced")).unwrap();
    assert_eq!(out(&fetch(folder.path(), &["mine"])), "data/raw/mine\n");
    assert!(root.join("mine/cat/1.ppm").exists());
}

#[test]
fn a_folder_moved_aside_by_a_running_fetch_is_left_to_it() {
    let folder = Sandbox::new();
    pets(folder.path());
    out(&fetch(folder.path(), &["mine", "--from", "pets"]));
    let root = folder.path().join("data/raw");
    let aside = root.join(".partial-mine.replaced");
    // The state between the two steps of a fetch that replaces it.
    let lock = FolderLock::try_take(&root, Access::Exclusive).unwrap().unwrap();
    fs::rename(root.join("mine"), &aside).unwrap();
    let mut second = command(folder.path(), &["mine"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(second.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert!(line.contains("waiting for another fetch-data that replaces"), "{line}");
    assert!(aside.exists());
    fs::rename(&aside, root.join("mine")).unwrap();
    drop(lock);
    assert!(second.wait().unwrap().success());
    assert!(root.join("mine/cat/1.ppm").exists());
}

#[test]
fn a_data_set_does_not_replace_its_own_source() {
    let folder = Sandbox::new();
    pets(folder.path());
    out(&fetch(folder.path(), &["mine", "--from", "pets"]));
    for source in ["data/raw/mine", "data/raw/mine/cat"] {
        let error = fails(folder.path(), &["mine", "--from", source, "--force"], 2);
        assert!(error.contains("which it would replace"), "{error}");
    }
    assert!(folder.join("data/raw/mine/dog/1.ppm").exists());
}

/// An image of a cat and one of a dog in `folder/pets`.
fn pets(folder: &Path) {
    for class in ["cat", "dog"] {
        fs::create_dir_all(folder.join("pets").join(class)).unwrap();
        fs::write(folder.join(format!("pets/{class}/1.ppm")), b"P6 1 1 255\nabc")
            .unwrap();
    }
}

#[test]
fn what_is_here_needs_no_source() {
    let folder = Sandbox::new();
    pets(folder.path());
    fails(folder.path(), &["mine"], 2);
    out(&fetch(folder.path(), &["mine", "--from", "pets"]));
    let again = fetch(folder.path(), &["mine"]);
    assert_eq!(out(&again), "data/raw/mine\n");
    assert!(err(&again).contains("mine is already in"), "{}", err(&again));
}

#[test]
fn other_images_under_a_published_name_have_no_published_licence() {
    let folder = Sandbox::new();
    pets(folder.path());
    let output = fetch(folder.path(), &["cifar10", "--from", "pets"]);
    out(&output);
    assert!(err(&output).contains("without the published licence"), "{}", err(&output));
    let manifest =
        Manifest::read(&folder.path().join("data/raw/cifar10")).unwrap().unwrap();
    assert_eq!(
        (manifest.licence.as_str(), manifest.classes.join(" ").as_str()),
        ("", "cat dog")
    );
}

#[test]
fn secrets_in_addresses_are_neither_said_nor_kept() {
    let folder = Sandbox::new();
    let server = Server::start(move |_, _| Answer::ok(archive()));
    let url = server.url("/set.tgz?token=hidden").replace("http://", "http://me:secret@");
    let output = fetch(folder.path(), &["mine", "--from", &url]);
    out(&output);
    let again = fetch(folder.path(), &["mine", "--from", &url]);
    let manifest =
        fs::read_to_string(folder.path().join("data/raw/mine/dataset.toml")).unwrap();
    let refused = fetch(folder.path(), &["yours", "--from", &url, "--offline"]);
    let nobody = "http://me:secret@127.0.0.1:1/set.tgz?token=hidden";
    let failed = fetch(folder.path(), &["yours", "--from", nobody]);
    assert!(err(&failed).contains("127.0.0.1:1") && err(&refused).contains("--offline"));
    for text in [err(&output), err(&again), manifest, err(&failed), err(&refused)] {
        for secret in ["secret", "me:", "hidden"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    let manifest = Manifest::read(&folder.path().join("data/raw/mine")).unwrap().unwrap();
    assert_eq!(manifest.source, server.url("/set.tgz"));
}
