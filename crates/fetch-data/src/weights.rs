//! Published weights, fetched into the folder `weights` next to that of the data sets.

use std::fs;
use std::path::{Path, PathBuf};

use torchmill::pretrained::{Pretrained, URL, WEIGHTS};
use torchmill::progress::bytes;
use torchmill::{Context, Error, Result, progress};

use crate::checksum::{self, Checksum};
use crate::config::Options;
use crate::download::{self, DownloadError, FileSpec, Job};
use crate::lock;

/// Fetches weights unless they are there, and returns the path of their file.
pub fn fetch(weights: &Pretrained, options: &Options) -> Result<PathBuf> {
    let folder = folder(options);
    let path = folder.join(weights.file);
    let checksum = checksum_of(weights)?;
    fs::create_dir_all(&folder).doing("make the folder", &folder)?;
    let _lock = lock::download(&folder, weights.name)?;
    if !options.force && is_here(&path, &checksum)? {
        progress::note(format_args!(
            "{} is already in {}; nothing to do",
            weights.name,
            path.display()
        ));
        return Ok(path);
    }
    if options.offline {
        return Err(Error::failed(format_args!(
            "{} is not here, and --offline forbids downloading it: put the file {} into \
             {}, or allow the network",
            weights.name,
            weights.file,
            folder.display()
        )));
    }
    progress::note(format_args!(
        "downloading {} ({})",
        weights.name,
        bytes(weights.bytes)
    ));
    let spec = FileSpec {
        name: weights.file.to_owned(),
        urls: urls(weights, &options.mirrors),
        size: None,
        checksum: Some(checksum),
        token: None,
    };
    let jobs = [Job { alternatives: vec![(spec, path.clone())] }];
    download::run(weights.name, &jobs, &options.retries).map_err(
        |error| match error {
            DownloadError::Sources { message, .. } => Error::failed(format_args!(
                "{message}; if you have {} elsewhere, put it into {}, or give another \
             server's address with --mirror",
                weights.file,
                folder.display()
            )),
            DownloadError::Local(error) => error,
        },
    )?;
    progress::note(format_args!(
        "{}: torchvision's {} of {}, in {}",
        weights.name,
        weights.weights,
        weights.architecture,
        path.display()
    ));
    Ok(path)
}

/// `data/weights` for data sets in `data/raw`.
fn folder(options: &Options) -> PathBuf {
    options.root.with_file_name("weights")
}

/// Whether the file is there and has its published checksum; says so if it has not.
fn is_here(path: &Path, checksum: &Checksum) -> Result<bool> {
    if !path.is_file() {
        return Ok(false);
    }
    let found = checksum::of_file(path, Some(checksum))?;
    if checksum.accepts(&found) {
        return Ok(true);
    }
    progress::note(format_args!(
        "{} is damaged ({found}): downloading it again",
        path.display()
    ));
    Ok(false)
}

fn checksum_of(weights: &Pretrained) -> Result<Checksum> {
    let hash = weights.hash().and_then(Checksum::sha256_beginning);
    hash.ok_or_else(|| {
        Error::failed(format_args!("{} has no checksum in its name", weights.file))
    })
}

/// Where the file can be had: at each mirror `MIRROR/FILE` (or `MIRROR` itself if that
/// ends with the file's name), then at the publisher's.
fn urls(weights: &Pretrained, mirrors: &[String]) -> Vec<String> {
    let mut urls = Vec::new();
    for mirror in mirrors {
        let base = mirror.trim_end_matches('/');
        if base.rsplit('/').next() == Some(weights.file) {
            urls.push(base.to_owned());
        } else {
            urls.push(format!("{base}/{}", weights.file));
        }
    }
    urls.push(format!("{URL}/{}", weights.file));
    urls
}

/// Says whether weights are here, for `--available`. Fails if they are not.
pub fn check(weights: &Pretrained, options: &Options) -> Result<()> {
    let path = folder(options).join(weights.file);
    if path.is_file() {
        progress::note(format_args!("{} is in {}", weights.name, path.display()));
        return Ok(());
    }
    Err(Error::failed(format_args!(
        "{} is not here; `fetch-data {}` fetches it",
        weights.name, weights.name
    )))
}

/// The published weights as a table: name, size of the download, torchvision's name,
/// file, whether it is here.
pub fn rows(options: &Options) -> Vec<[String; 5]> {
    let mut rows = vec![["WEIGHTS", "DOWNLOAD", "OF", "FILE", "HERE"].map(str::to_owned)];
    for weights in WEIGHTS {
        let is_here = folder(options).join(weights.file).is_file();
        rows.push([
            weights.name.to_owned(),
            bytes(weights.bytes),
            format!("{} {}", weights.architecture, weights.weights),
            weights.file.to_owned(),
            if is_here { "yes" } else { "no" }.to_owned(),
        ]);
    }
    rows
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};
    use torchmill_testing::web::{Answer, Server};

    use super::*;

    /// A stand-in for a state dict.
    const STATE_DICT: &[u8] = b"PK not really a state dict";

    /// Weights whose file's name has the beginning of this sum.
    fn weights(contents: &[u8]) -> Pretrained {
        let sum = Sha256::digest(contents);
        let hash: String = sum[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        let file = Box::leak(format!("toy-{hash}.pth").into_boxed_str());
        Pretrained {
            name: "toy",
            architecture: "toy",
            weights: "IMAGENET1K_V1",
            file,
            bytes: 26,
        }
    }

    fn options(folder: &Path, server: &Server) -> Options {
        Options {
            root: folder.join("raw"),
            mirrors: vec![server.url("/models")],
            ..Options::default()
        }
    }

    #[test]
    fn a_file_is_fetched_once_and_checked_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(|_, _| Answer::ok(STATE_DICT));
        let toy = weights(STATE_DICT);
        let options = options(folder.path(), &server);
        let path = fetch(&toy, &options).unwrap();
        assert_eq!(path, folder.path().join("weights").join(toy.file));
        assert_eq!(fs::read(&path).unwrap(), STATE_DICT);
        assert_eq!(server.requests()[0].path, format!("/models/{}", toy.file));
        let asked = server.requests().len();
        fetch(&toy, &options).unwrap();
        assert_eq!(server.requests().len(), asked);
        // A damaged file is fetched again.
        fs::write(&path, "?").unwrap();
        fetch(&toy, &options).unwrap();
        assert_eq!(fs::read(&path).unwrap(), STATE_DICT);
        assert!(check(&toy, &options).is_ok());
    }

    #[test]
    fn other_contents_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(|_, _| Answer::ok("something else"));
        let toy = weights(STATE_DICT);
        let checksum = checksum_of(&toy).unwrap();
        let spec = FileSpec {
            name: toy.file.to_owned(),
            urls: vec![server.url("/toy.pth")],
            size: None,
            checksum: Some(checksum),
            token: None,
        };
        let path = folder.path().join(toy.file);
        let jobs = [Job { alternatives: vec![(spec, path.clone())] }];
        let error = download::run("toy", &jobs, &Default::default()).unwrap_err();
        let error = Error::from(error).to_string();
        assert!(error.contains("other contents than the published file"), "{error}");
        assert!(!path.exists());
    }
}
