//! The names of runs: each input becomes one run, in its own folder below the log folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use torchmill::run::METRICS;
use torchmill::{Error, Result};

use crate::input::download::Download;
use crate::input::source::Source;
use crate::names::{distinct, path_parts};

/// The runs' names, one for each source. The run of a metrics.csv is named after the
/// file's folder, that of any other file after the file. Equal names get the parent
/// folders before them until they differ. Standard input has no name: its run is the log
/// folder itself. `named` (`--run`) is the name of the only run.
pub fn names(sources: &[Source], named: Option<&str>) -> Result<Vec<PathBuf>> {
    match (named, sources) {
        (Some(_), [first, second, ..]) => Err(Error::usage(format_args!(
            "--run names one run, but there are {}, the first {first} and {second}: \
             give one of them, or leave --run out",
            sources.len()
        ))),
        (Some(name), _) => Ok(sources.iter().map(|_| PathBuf::from(name)).collect()),
        (None, _) => distinct_names(sources),
    }
}

fn distinct_names(sources: &[Source]) -> Result<Vec<PathBuf>> {
    // Downloads of one run's tags share the run's folder, so they count as one.
    let mut named: Vec<(&Source, Vec<OsString>)> = Vec::new();
    let mut index = Vec::new();
    for source in sources {
        let parts = parts(source)?;
        let shared = named.iter().position(|(other, known)| {
            is_download(source)
                && is_download(other)
                && *known == parts
                && *other != source
        });
        index.push(shared.unwrap_or(named.len()));
        if shared.is_none() {
            named.push((source, parts));
        }
    }
    let parts: Vec<Vec<OsString>> =
        named.iter().map(|(_, parts)| parts.clone()).collect();
    let names = distinct(&parts).map_err(|twice| {
        Error::usage(format_args!("{} is given twice", named[twice].0))
    })?;
    Ok(index.into_iter().map(|i| names[i].clone()).collect())
}

fn is_download(source: &Source) -> bool {
    source.path().is_some_and(|path| Download::of(path).is_some())
}

/// A name for the event file: the CSV's name without its extension.
pub fn source_name(source: &Source) -> String {
    let name = match source {
        Source::Stdin => "stdin".to_owned(),
        Source::File(path) => {
            let name = path.file_stem().unwrap_or(path.as_os_str());
            name.to_string_lossy().into_owned()
        }
    };
    name.chars()
        .map(|c| if c.is_alphanumeric() || "-_".contains(c) { c } else { '_' })
        .collect()
}

/// The path's parts, the last of them the run's own name.
fn parts(source: &Source) -> Result<Vec<OsString>> {
    let Source::File(path) = source else { return Ok(Vec::new()) };
    let mut parts = path_parts(path)?;
    let Some(file) = parts.pop() else { return Ok(parts) };
    if let Some(download) = Download::of(path) {
        // A run called `.` is the log folder itself.
        if download.run == "." {
            return Ok(Vec::new());
        }
        parts.push(download.run.into());
        return Ok(parts);
    }
    if file != METRICS || parts.is_empty() {
        parts.push(Path::new(&file).file_stem().unwrap_or(&file).to_owned());
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(paths: &[&str]) -> Result<Vec<String>> {
        let sources: Vec<Source> =
            paths.iter().map(|p| Source::new(Path::new(p))).collect();
        Ok(names(&sources, None)?.iter().map(|n| n.display().to_string()).collect())
    }

    #[test]
    fn runs_are_called_after_their_folders() {
        assert_eq!(
            named(&["runs/a/metrics.csv", "/x/b/metrics.csv"]).unwrap(),
            ["a", "b"]
        );
        assert_eq!(
            named(&["loss.csv", "a/../acc.csv", "-"]).unwrap(),
            ["loss", "acc", ""]
        );
    }

    #[test]
    fn names_that_clash_get_the_folders_above() {
        assert_eq!(
            named(&["x/a/metrics.csv", "y/a/metrics.csv", "b.csv"]).unwrap(),
            ["x/a", "y/a", "b"]
        );
        assert_eq!(named(&["a/log.csv", "b/log.csv"]).unwrap(), ["a/log", "b/log"]);
        assert!(
            named(&["a/log.csv", "a/./log.csv"])
                .unwrap_err()
                .to_string()
                .contains("given twice")
        );
        assert!(named(&["-", "-"]).unwrap_err().to_string().contains("given twice"));
    }

    #[test]
    fn tensorboards_downloads_of_one_run_share_its_name() {
        let paths =
            ["d/run-a-tag-loss.csv", "d/run-a-tag-acc.csv", "d/run-b-tag-loss.csv"];
        assert_eq!(named(&paths).unwrap(), ["a", "a", "b"]);
        assert_eq!(
            named(&["run-.-tag-loss.csv", "run-.-tag-acc.csv"]).unwrap(),
            ["", ""]
        );
        let twice = named(&["run-a-tag-loss.csv", "run-a-tag-loss.csv"]);
        assert!(twice.unwrap_err().to_string().contains("given twice"));
    }

    #[test]
    fn a_name_is_for_one_run() {
        let sources = ["a.csv", "b.csv"].map(|path| Source::new(Path::new(path)));
        assert_eq!(names(&sources[..1], Some("one")).unwrap(), [PathBuf::from("one")]);
        let message = names(&sources, Some("one")).unwrap_err().to_string();
        assert!(message.contains("there are 2, the first a.csv and b.csv"), "{message}");
    }
}
