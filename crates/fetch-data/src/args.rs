//! The command line.

use std::path::PathBuf;

use clap::Parser;
use torchmill::cli::Named;
use torchmill::pretrained::WEIGHTS;

use crate::catalogue::ENTRIES;
use crate::checksum::Checksum;
use crate::user_source::UserSource;
use torchmill::dataset::SplitDirs;

/// Fetch image data sets into ROOT/NAME/, checked, unpacked and with a dataset.toml;
/// print that folder's path
#[derive(Debug, Parser)]
#[command(name = "fetch-data", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Args {
    /// A data set or weights (--list shows the names), or your own name with --from
    #[arg(value_name = "NAME", required_unless_present = "list", value_parser = Named::text(names()), hide_possible_values = true)]
    pub names: Vec<String>,
    /// Show what can be fetched, and what has been
    #[arg(long, conflicts_with_all = ["names", "from", "available"])]
    pub list: bool,
    /// Fetch nothing: exit with 0 if NAME is on disk or a source answers within 5 s, else
    /// with 1
    #[arg(long, conflicts_with = "from")]
    pub available: bool,
    /// The folder that holds the data sets
    #[arg(long, value_name = "DIR", default_value = "data/raw")]
    pub root: PathBuf,
    /// Import the data set from this archive (.tar.gz, .tar, .zip), folder (the unpacked
    /// archive, or images in train/CLASS/ and test/CLASS/ or in a folder per class),
    /// URL of an archive, list of files (FILE.toml), or from the Hugging Face Hub
    /// (hf:OWNER/DATASET; HF_TOKEN is the user's token)
    #[arg(long, value_name = "SOURCE", help_heading = "Source")]
    pub from: Option<UserSource>,
    /// Accept an archive that is not the published one
    #[arg(long, requires = "from", conflicts_with = "checksum", help_heading = "Source")]
    pub any_checksum: bool,
    /// The archive's checksum: md5:HEX, sha1:HEX or sha256:HEX
    #[arg(long, value_name = "SUM", requires = "from", help_heading = "Source")]
    pub checksum: Option<Checksum>,
    /// Which folders are splits: train=DIR,test=DIR, or none [default: by name]
    #[arg(long, value_name = "DIRS", requires = "from", help_heading = "Source")]
    pub split_dirs: Option<SplitDirs>,
    /// Hard-link a folder's files instead of copying them, where possible
    #[arg(long, requires = "from", help_heading = "Source")]
    pub link: bool,
    /// Try URL/NAME/FILE and URL/FILE before the published sources; may be repeated
    #[arg(long = "mirror", value_name = "URL", help_heading = "Source")]
    pub mirrors: Vec<String>,
    /// Do not use the network
    #[arg(long, help_heading = "Source")]
    pub offline: bool,
    /// Replace the data set if it exists
    #[arg(long, conflicts_with_all = ["list", "available"])]
    pub force: bool,
    /// The options of every program.
    #[command(flatten)]
    pub common: torchmill::cli::Common,
}

/// The names of data sets and of weights.
fn names() -> impl Iterator<Item = &'static str> {
    let weights = WEIGHTS.iter().map(|weights| weights.name);
    ENTRIES.iter().map(|entry| entry.name).chain(weights)
}

const EXAMPLES: &str = "Examples:
  fetch-data cifar10
  fetch-data --list
  fetch-data resnet18
  fetch-data cifar10 --from ~/Downloads/cifar-10-binary.tar.gz
  fetch-data pets --from ~/pictures/pets
  fetch-data food101 --from hf:ethz/food101
  fetch-data --available cifar10 || echo \"no source answers\"
  prep \"$(fetch-data mnist-5k)\" -o data/shards/mnist-5k";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn help_fits_a_screen() {
        let help = Args::command().term_width(100).render_help().to_string();
        assert!(help.lines().count() <= 50, "{help}");
    }
}
