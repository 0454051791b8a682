//! Sorts the arguments into checkpoints and images.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use torchmill::dataset::is_image_name;
use torchmill::run::{self, RunDir};
use torchmill::{Context, Error, Result, suggest};

/// The sorted arguments.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// Checkpoint files.
    pub checkpoints: Vec<PathBuf>,
    /// Where images come from.
    pub images: Vec<ImageSource>,
}

/// Where images come from.
#[derive(Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// One image file.
    File(PathBuf),
    /// A folder that is searched for images at any depth.
    Folder(PathBuf),
    /// Paths on standard input.
    Stdin,
}

impl Inputs {
    /// Sorts the arguments: files by their extensions or else their first bytes, and
    /// folders by their contents. A path that does not exist counts as a checkpoint
    /// unless its name is an image's.
    ///
    /// # Errors
    /// If there is no checkpoint, one does not exist, or there are several and images.
    pub fn sort(arguments: &[PathBuf]) -> Result<Self> {
        let mut inputs = Self::default();
        for path in arguments {
            if path == Path::new("-") {
                if inputs.images.contains(&ImageSource::Stdin) {
                    return Err(Error::usage("- (standard input) is given twice"));
                }
                inputs.images.push(ImageSource::Stdin);
            } else if path.is_dir() {
                match checkpoint_of(path)? {
                    Some(checkpoint) => inputs.checkpoints.push(checkpoint),
                    None => inputs.images.push(ImageSource::Folder(path.clone())),
                }
            } else if is_image(path)? {
                inputs.images.push(ImageSource::File(path.clone()));
            } else {
                check_exists(path)?;
                inputs.checkpoints.push(path.clone());
            }
        }
        inputs.check()?;
        Ok(inputs)
    }

    fn check(&self) -> Result<()> {
        if self.checkpoints.is_empty() {
            return Err(Error::usage(
                "no checkpoint among the arguments: give a .safetensors or .pt file, or \
                 a run's folder",
            ));
        }
        if !self.images.is_empty() && self.checkpoints.len() > 1 {
            return Err(Error::usage("images take one checkpoint at a time"));
        }
        Ok(())
    }
}

/// A run's last checkpoint, if the folder is a run's or its `checkpoints`. `None` for any
/// other folder.
///
/// It is the last and not the best, because without a validation split, `best` was chosen
/// by its accuracy on the same images that it would be tested on.
fn checkpoint_of(folder: &Path) -> Result<Option<PathBuf>> {
    for last in
        ["checkpoints/last.safetensors", "last.safetensors"].map(|name| folder.join(name))
    {
        if last.exists() {
            return Ok(Some(last));
        }
    }
    // The link may have been lost in a copy.
    let run = RunDir::new(folder);
    let mut epochs = run::epoch_files(&run.checkpoints(), run::WEIGHTS)?;
    if let Some((_, newest)) = epochs.pop_last() {
        return Ok(Some(newest));
    }
    if run.is_taken() {
        return Err(Error::failed(format_args!(
            "{} is a run without a checkpoint yet: train --run {} --resume goes on with \
             it",
            folder.display(),
            folder.display()
        )));
    }
    let entries = std::fs::read_dir(folder).doing("read the folder", folder)?;
    let shard = |name: &std::ffi::OsStr| {
        Path::new(name).extension().is_some_and(|e| e == "shard")
    };
    if entries.flatten().any(|entry| shard(&entry.file_name())) {
        return Err(Error::usage(format_args!(
            "{} holds shards: give them with --data {}",
            folder.display(),
            folder.display()
        )));
    }
    Ok(None)
}

/// Checks that a path exists.
///
/// # Errors
/// If it does not exist. The error suggests what was probably meant.
pub fn check_exists(path: &Path) -> Result<()> {
    match path.metadata() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let folder = path
                .parent()
                .filter(|p| !p.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let there = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let there: Vec<String> =
                there.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
            let meant = suggest::nearest(&name, there.iter().map(String::as_str));
            let hint = meant.map_or_else(String::new, |meant| {
                format!(" (did you mean {}?)", path.with_file_name(meant).display())
            });
            Err(Error::failed(format_args!(
                "cannot read {}: no such file or folder{hint}",
                path.display()
            )))
        }
        _ => Ok(()),
    }
}

/// Whether a file is an image or, if it does not exist, has an image's extension.
fn is_image(path: &Path) -> Result<bool> {
    if is_image_name(path) {
        return Ok(true);
    }
    match path.extension().and_then(|e| e.to_str()) {
        Some("safetensors" | "pt" | "pth") => return Ok(false),
        Some("shard") => {
            let folder = path
                .parent()
                .filter(|p| !p.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            return Err(Error::usage(format_args!(
                "{} is a shard: give its folder, --data {}",
                path.display(),
                folder.display()
            )));
        }
        _ => {}
    }
    // An unreadable file is reported later, when it is read as a checkpoint.
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(64).read_to_end(&mut start));
    Ok(read.is_ok() && image::guess_format(&start).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(folder: &Path, names: &[&str]) -> Result<Inputs> {
        let there = |name: &&str| {
            if *name == "-" { PathBuf::from("-") } else { folder.join(name) }
        };
        Inputs::sort(&names.iter().map(there).collect::<Vec<_>>())
    }

    #[test]
    fn names_and_contents_tell_checkpoints_from_images() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("run/checkpoints")).unwrap();
        std::fs::write(at("run/checkpoints/last.safetensors"), "").unwrap();
        std::fs::create_dir(at("photos")).unwrap();
        std::fs::create_dir_all(at("copied/checkpoints")).unwrap();
        for name in
            ["epoch-0009.safetensors", "epoch-0010.safetensors", "epoch-0011.state"]
        {
            std::fs::write(at("copied/checkpoints").join(name), "").unwrap();
        }
        let copied = sorted(folder.path(), &["copied"]).unwrap();
        assert_eq!(copied.checkpoints, [at("copied/checkpoints/epoch-0010.safetensors")]);
        std::fs::write(at("upload"), b"\x89PNG\r\n\x1a\n").unwrap();
        let inputs =
            sorted(folder.path(), &["run", "missing.JPG", "photos", "-", "upload"])
                .unwrap();
        assert_eq!(inputs.checkpoints, [at("run/checkpoints/last.safetensors")]);
        let places = [
            ImageSource::File(at("missing.JPG")),
            ImageSource::Folder(at("photos")),
            ImageSource::Stdin,
            ImageSource::File(at("upload")),
        ];
        assert_eq!(inputs.images, places);
        for (name, hint) in [
            ("gone", ""),
            ("runn", &*format!(" (did you mean {}?)", at("run").display())),
        ] {
            let message = sorted(folder.path(), &[name]).unwrap_err().to_string();
            assert!(
                message.ends_with(&format!("/{name}: no such file or folder{hint}")),
                "{message}"
            );
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("empty-run/checkpoints")).unwrap();
        std::fs::create_dir(folder.path().join("shards")).unwrap();
        for name in ["shards/test-00000-of-00001.shard", "a.safetensors", "b.pt"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        for (arguments, text) in [
            (&["a.jpg"][..], "no checkpoint among"),
            (&["a.safetensors", "b.pt", "c.jpg"], "one checkpoint at a time"),
            (&["a.safetensors", "-", "-"], "twice"),
            (&["empty-run"], "without a checkpoint yet"),
            (&["a.safetensors", "shards"], "--data"),
            (&["a.safetensors", "shards/test-00000-of-00001.shard"], "--data"),
        ] {
            let error = sorted(folder.path(), arguments).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}
