//! What may be wrong with a list of files.

/// Why a list of files does not make a data set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListingError {
    /// A path that cannot be used.
    #[error("{place}: `{path}` {why}")]
    Path {
        /// Where it is listed.
        place: String,
        /// The path.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// Two files with one name.
    #[error("{place}: `{path}` is the name of the file of {first} too")]
    Twice {
        /// Where the second is listed.
        place: String,
        /// Their path.
        path: String,
        /// Where the first is listed.
        first: String,
    },
    /// A file without a split among files with one.
    #[error("{place}: `{path}` has no split, and `{other}` is of `{split}`")]
    Split {
        /// Where the file without a split is listed.
        place: String,
        /// Its path.
        path: String,
        /// A file with a split.
        other: String,
        /// That split.
        split: String,
    },
}

impl ListingError {
    /// What to change in a list that the user wrote.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Path { .. } => "give another `path`, such as `train/0.parquet`",
            Self::Twice { .. } => "give one of them another `path`",
            Self::Split { .. } => "give every file a split, or none",
        }
    }
}
