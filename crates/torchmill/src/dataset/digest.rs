//! What tells two data sets, or two states of one, apart without reading every byte.

use std::path::Path;
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::store::Store;
use super::{Dataset, Sample};
use crate::{Context, Result, interrupt};

impl Dataset {
    /// Feeds `hash` with what `samples` are: their labels and, of each file, its name
    /// relative to the data set's folder, its size and its published checksum, or where
    /// it has none the time of its last change.
    ///
    /// A file that cannot be found or read is an error, or with `skip_missing` a state
    /// like others.
    ///
    /// A published checksum makes the digest the same on every machine. What such a
    /// file's time says is left to [`Dataset::newest`].
    pub fn digest(
        &self,
        samples: &[Sample],
        skip_missing: bool,
        hash: &mut Sha256,
    ) -> Result<()> {
        let mut text = |s: &str| {
            hash.update((s.len() as u64).to_le_bytes());
            hash.update(s);
        };
        text(&self.name);
        self.classes.iter().for_each(|c| text(c));
        for store in &self.stores {
            if let Store::Records(r) = store {
                text(&r.name);
                text(r.checksum.as_deref().unwrap_or_default());
                text(&format!(
                    "{} {} {} {:?}",
                    r.bytes.length, r.start, r.before, r.shape
                ));
                if r.checksum.is_none() {
                    text(&nanoseconds(r.bytes.modified));
                }
            }
        }
        for (i, sample) in samples.iter().enumerate() {
            hash.update(sample.label.to_le_bytes());
            hash.update(sample.store.to_le_bytes());
            hash.update(sample.record.to_le_bytes());
            if let Store::Files(files) = &self.stores[sample.store as usize] {
                if i.is_multiple_of(4096) {
                    interrupt::check()?;
                }
                let state = match about(&files.path(sample.record as usize)) {
                    Ok((length, modified)) => {
                        format!("{length} {}", nanoseconds(modified))
                    }
                    Err(_) if skip_missing => "missing".to_owned(),
                    Err(error) => return Err(error),
                };
                let line = format!("{} {state}", self.source(*sample));
                hash.update((line.len() as u64).to_le_bytes());
                hash.update(line);
            }
        }
        Ok(())
    }

    /// When the last of the files with a published checksum was changed: should that be
    /// after the shards were written, somebody has touched data that the digest takes on
    /// trust.
    pub fn newest(&self) -> Option<SystemTime> {
        let checked = self.stores.iter().filter_map(|store| match store {
            Store::Records(r) if r.checksum.is_some() => Some(r.bytes.modified),
            _ => None,
        });
        checked.max()
    }
}

fn about(path: &Path) -> Result<(u64, SystemTime)> {
    let about = std::fs::metadata(path).doing("read", path)?;
    Ok((about.len(), about.modified().doing("read", path)?))
}

fn nanoseconds(time: SystemTime) -> String {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => since.as_nanos().to_string(),
        Err(before) => format!("-{}", before.duration().as_nanos()),
    }
}
