//! The content of every image, read and hashed once, for the digest and to find
//! duplicates.

use std::collections::BTreeMap;

use torchmill::Result;
use torchmill::dataset::{Content, Dataset};
use torchmill::progress::{Progress, Unit};

/// How many images are hashed between two updates of the progress.
const BLOCK: usize = 1024;

/// The content of each image, by split. `None` for an image that cannot be read.
pub type Contents = BTreeMap<String, Vec<Option<Content>>>;

/// Reads every image of every split.
pub fn read(set: &Dataset, skip_unreadable: bool) -> Result<Contents> {
    let mut contents = Contents::new();
    for (split, samples) in &set.splits {
        let total = Some(samples.len() as u64);
        let name = format!("{split} inputs");
        let mut progress = Progress::new(&name, total, Unit::Count("images"));
        let mut of_split = Vec::with_capacity(samples.len());
        for block in samples.chunks(BLOCK) {
            of_split.extend(set.contents(block, skip_unreadable)?);
            progress.add(block.len() as u64);
        }
        progress.finish();
        contents.insert(split.clone(), of_split);
    }
    Ok(contents)
}
