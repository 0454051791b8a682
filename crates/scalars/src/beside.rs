//! What a run has beside its metrics.csv, a file for each epoch, in event files of its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use torchmill::progress::note;
use torchmill::{Context, Error, Result, interrupt};

use crate::convert::Destination;
use crate::event::file::{EventFile, Target};
use crate::event::proto::Data;
use crate::input::source::Source;
use crate::{runs, sink};

/// A kind of file that runs have for their epochs.
pub struct Kind {
    /// Asks for them.
    pub option: &'static str,
    /// Where they lie: `FOLDER/epoch-0001.ENDING`.
    pub folder: &'static str,
    /// What they end in.
    pub ending: &'static str,
    /// What is made of them.
    pub what: &'static str,
    /// Hands on what a file holds.
    pub read: fn(&Path, &mut Push) -> Result<()>,
}

/// Takes a tag and its value.
pub type Push<'a> = dyn FnMut(&str, Data) -> Result<()> + 'a;

impl Kind {
    /// Writes what all inputs have of this kind. Not every run needs to have it, but one must.
    pub fn write(&self, sources: &[Source], destination: &Destination) -> Result<()> {
        let mut missing = Vec::new();
        for (source, name) in sources.iter().zip(runs::names(sources)?) {
            let Source::File(csv) = source else {
                return Err(Error::usage(format_args!(
                    "{} takes {} from beside a metrics.csv: give its path",
                    self.option, self.folder
                )));
            };
            let folder = csv.with_file_name(self.folder);
            let files = epochs(&folder, self.ending)?;
            if files.is_empty() {
                missing.push(format!("{}: there is no epoch-*.{}", folder.display(), self.ending));
            } else {
                self.write_one(files, destination.target(source, &name)).map_err(|e| e.within(source))?;
            }
        }
        match missing.first() {
            Some(first) if missing.len() == sources.len() => Err(Error::failed(first)),
            _ => {
                missing.iter().for_each(note);
                Ok(())
            }
        }
    }

    /// Writes what the files hold into an event file beside that of the scalars: step is the epoch, wall time when
    /// the file was written. Like that one it only grows.
    fn write_one(&self, files: Vec<(i64, PathBuf)>, target: Target) -> Result<()> {
        let target = Target { source: format!("{}s", self.what), hparams: Default::default(), ..target };
        let mut file = EventFile::open(target)?;
        let mut count = 0;
        for (epoch, path) in files {
            interrupt::check()?;
            let written = fs::metadata(&path).and_then(|m| m.modified()).doing("read", &path)?;
            let wall_time = written.duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
            (self.read)(&path, &mut |tag, data| {
                count += 1;
                file.push_data(wall_time, epoch, tag, data)
            })?;
        }
        if file.started() {
            sink::report(&file.finish()?, count, self.what);
        }
        Ok(())
    }
}

/// The files of the epochs in a folder, in order.
fn epochs(folder: &Path, ending: &str) -> Result<Vec<(i64, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.doing("read", folder)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.doing("read", folder)?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).and_then(|s| s.strip_prefix("epoch-"));
        if let Some(epoch) = stem.and_then(|epoch| epoch.parse().ok())
            && path.extension().is_some_and(|e| e == ending)
        {
            found.push((epoch, path));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_found_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let names =
            ["epoch-0010.png", "epoch-9.png", "epoch-0001.txt", "last.png", "epoch-x.png", "step-3.png"];
        for name in names {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let found = epochs(folder.path(), "png").unwrap();
        assert_eq!(
            found,
            [(9, folder.path().join("epoch-9.png")), (10, folder.path().join("epoch-0010.png"))]
        );
        assert_eq!(epochs(&folder.path().join("missing"), "png").unwrap(), []);
    }
}
