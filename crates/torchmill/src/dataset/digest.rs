//! Hashes of samples' bytes. prep uses them to detect that a data set has changed and to
//! find duplicate images. Nothing else is trusted: a file can change and keep its size,
//! its modification time and its published checksum.

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::records::Records;
use super::store::Store;
use super::{Dataset, Sample, decode};
use crate::{Result, interrupt};

/// The number of samples that a thread hashes as one task: a small sample takes only a
/// few microseconds.
const SAMPLES_A_TASK: usize = 16;

/// The first half of the SHA-256 of a sample's bytes: an image file's bytes, or a
/// record's shape and pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash([u8; 16]);

/// What is known of a sample after reading its bytes, without decoding it. prep holds one
/// for each image, so it is small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// Equal samples have equal hashes.
    pub hash: ContentHash,
    /// The length of the image file, or of the record's pixels, in bytes.
    pub length: u64,
    /// Height and width; 0 if they are not known.
    size: [u32; 2],
}

impl Content {
    /// Height and width, as the header says. `None` if the header cannot be read.
    pub fn size(&self) -> Option<(usize, usize)> {
        let [height, width] = self.size.map(|side| side as usize);
        (height > 0 && width > 0).then_some((height, width))
    }

    fn new(hash: Sha256, length: usize, size: Option<(usize, usize)>) -> Self {
        let (height, width) = size.unwrap_or((0, 0));
        // Decoders refuse images with more than 4 billion rows or columns.
        let size = [height, width].map(|side| u32::try_from(side).unwrap_or(0));
        Self { hash: ContentHash::new(hash), length: length as u64, size }
    }

    /// The content of a record with the shape `[C, H, W]` and its pixels, channels first.
    fn of_record(shape: [usize; 3], pixels: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(format!("{shape:?}"));
        hash.update(pixels);
        Self::new(hash, pixels.len(), Some((shape[1], shape[2])))
    }

    /// The content of an image file.
    fn of_file(bytes: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(bytes);
        // An unreadable header is an error later, when the file is decoded.
        let dimensions = decode::dimensions(bytes).ok();
        Self::new(hash, bytes.len(), dimensions.map(|(width, height)| (height, width)))
    }
}

impl ContentHash {
    fn new(hash: Sha256) -> Self {
        let digest = hash.finalize();
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        Self(half)
    }

    /// Its first eight bytes, to sort by.
    pub fn prefix(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl Dataset {
    /// Reads the samples on all cores. A sample that cannot be read is an error, or `None`
    /// with `skip_unreadable`.
    pub fn contents(
        &self,
        samples: &[Sample],
        skip_unreadable: bool,
    ) -> Result<Vec<Option<Content>>> {
        let read = |samples: &[Sample]| self.contents_of(samples, skip_unreadable);
        let tasks: Vec<Result<Vec<Option<Content>>>> =
            samples.par_chunks(SAMPLES_A_TASK).map(read).collect();
        let mut contents = Vec::with_capacity(samples.len());
        // The first error in order, whichever thread came first.
        for task in tasks {
            contents.extend(task?);
        }
        Ok(contents)
    }

    /// [`Dataset::contents`] of a few samples, on this thread.
    fn contents_of(
        &self,
        samples: &[Sample],
        skip_unreadable: bool,
    ) -> Result<Vec<Option<Content>>> {
        interrupt::check()?;
        if let Some(contents) = self.consecutive_records(samples) {
            return Ok(contents);
        }
        let mut contents = Vec::with_capacity(samples.len());
        for &sample in samples {
            match self.content(sample) {
                Ok(content) => contents.push(Some(content)),
                Err(_) if skip_unreadable => contents.push(None),
                Err(error) => return Err(error),
            }
        }
        Ok(contents)
    }

    /// The contents of consecutive records of one file, read at once. `None` for other
    /// samples, and if the records cannot be read: reading them one by one then finds the
    /// bad one.
    fn consecutive_records(&self, samples: &[Sample]) -> Option<Vec<Option<Content>>> {
        let first = samples.first()?;
        let Store::Records(records) = &self.stores[first.store as usize] else {
            return None;
        };
        for (sample, record) in samples.iter().zip(first.record..) {
            if sample.store != first.store || sample.record != record {
                return None;
            }
        }
        let contents = record_contents(records, first.record as usize, samples.len());
        Some(contents.ok()?.into_iter().map(Some).collect())
    }

    fn content(&self, sample: Sample) -> Result<Content> {
        let i = sample.record as usize;
        match &self.stores[sample.store as usize] {
            Store::Records(records) => Ok(record_contents(records, i, 1)?.remove(0)),
            Store::Files(files) => {
                let bytes = files.read(i)?;
                let content = Content::of_file(&bytes);
                files.keep(sample.record, bytes);
                Ok(content)
            }
            Store::Packed(packed) => Ok(Content::of_file(&packed.read(i)?)),
        }
    }

    /// Feeds `hash` with what identifies `samples`: the names of the data set and its
    /// classes, and each sample's label, source and content hash.
    pub fn digest(
        &self,
        samples: &[Sample],
        contents: &[Option<Content>],
        hash: &mut Sha256,
    ) {
        let mut text = |s: &str| {
            hash.update((s.len() as u64).to_le_bytes());
            hash.update(s);
        };
        text(&self.name);
        self.classes.iter().for_each(|class| text(class));
        for store in &self.stores {
            if let Store::Records(records) = store {
                text(&records.name);
            }
        }
        for (sample, content) in samples.iter().zip(contents) {
            hash.update(sample.label.to_le_bytes());
            hash.update(sample.store.to_le_bytes());
            hash.update(sample.record.to_le_bytes());
            let store = &self.stores[sample.store as usize];
            if let Store::Files(_) | Store::Packed(_) = store {
                let source = self.source(*sample);
                hash.update((source.len() as u64).to_le_bytes());
                hash.update(source);
            }
            match content {
                Some(content) => hash.update(content.hash.0),
                None => hash.update(b"unreadable"),
            }
        }
    }
}

/// The contents of `count` records from number `first` on.
fn record_contents(
    records: &Records,
    first: usize,
    count: usize,
) -> Result<Vec<Content>> {
    let bytes = records.read_several(first, count)?;
    let mut contents = Vec::with_capacity(count);
    for record in bytes.chunks_exact(records.record_length()) {
        contents.push(Content::of_record(records.shape, &record[records.before..]));
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_for_each_image_is_small() {
        assert!(size_of::<Option<Content>>() <= 40);
        assert!(size_of::<Sample>() <= 12);
    }

    #[test]
    fn a_size_comes_back_as_it_went_in() {
        let content = Content::of_record([3, 7, 9], &[0; 189]);
        assert_eq!((content.size(), content.length), (Some((7, 9)), 189));
        let content = Content::of_file(b"not an image");
        assert_eq!((content.size(), content.length), (None, 12));
    }
}
