//! The CSVs that TensorBoard's page offers for download. Each has one tag of one run, and
//! the file's name contains both.

use std::path::Path;

/// The run and tag in the name of a download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// The run; `.` is the log folder itself.
    pub run: String,
    /// The tag. The browser replaces `/` by `_`.
    pub tag: String,
}

impl Download {
    /// Reads `run-RUN-tag-TAG.csv`, as TensorBoard's page calls it.
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let name = name.strip_prefix("run-")?.strip_suffix(".csv")?;
        let (run, tag) = name.split_once("-tag-")?;
        if run.is_empty() || tag.is_empty() {
            return None;
        }
        Some(Self { run: run.to_owned(), tag: tag.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_and_tag_are_in_the_name() {
        let download = Download::of(Path::new("x/run-a-b-tag-train_loss.csv")).unwrap();
        assert_eq!((download.run.as_str(), download.tag.as_str()), ("a-b", "train_loss"));
        for other in ["metrics.csv", "run-a.csv", "run--tag-b.csv", "run-a-tag-b.tsv"] {
            assert_eq!(Download::of(Path::new(other)), None, "{other}");
        }
    }
}
