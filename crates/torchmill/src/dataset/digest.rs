//! What the bytes of samples are. By these prep tells one state of a data set from
//! another, and finds images that are there more than once. Nothing else is trusted: a
//! file can change and keep its size, its time and its published checksum.

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::store::Store;
use super::{Dataset, Sample, decode};
use crate::pixels::Layout;
use crate::{Result, interrupt};

/// How many samples a thread hashes before it looks for other work: a small one takes a
/// few microseconds.
const SAMPLES_A_TASK: usize = 16;

/// The first half of the SHA-256 of a sample's bytes: those of an image file, or a
/// record's shape and pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash([u8; 16]);

/// What is known of a sample when its bytes are read, without decoding it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// By which equal samples are found.
    pub hash: ContentHash,
    /// The length of the image file, or of the record's pixels, in bytes.
    pub length: u64,
    /// Height and width, as the header says. `None` if the header cannot be read.
    pub size: Option<(usize, usize)>,
}

impl Dataset {
    /// Reads the samples on all cores. A sample that cannot be read is an error, or `None`
    /// with `skip_unreadable`.
    pub fn contents(
        &self,
        samples: &[Sample],
        skip_unreadable: bool,
    ) -> Result<Vec<Option<Content>>> {
        let read = |&sample: &Sample| {
            interrupt::check()?;
            match self.content(sample) {
                Ok(content) => Ok(Some(content)),
                Err(_) if skip_unreadable => Ok(None),
                Err(error) => Err(error),
            }
        };
        let contents: Vec<Result<Option<Content>>> =
            samples.par_iter().with_min_len(SAMPLES_A_TASK).map(read).collect();
        // The first error in order, whichever thread came first.
        contents.into_iter().collect()
    }

    fn content(&self, sample: Sample) -> Result<Content> {
        let mut hash = Sha256::new();
        let mut length = 0;
        let mut size = None;
        match self.record_shape(sample) {
            Some(shape) => {
                let mut pixels = vec![0; shape.iter().product()];
                self.read_pixels(sample, Layout::ChannelsFirst, &mut pixels)?;
                length = pixels.len();
                size = Some((shape[1], shape[2]));
                hash.update(format!("{shape:?}"));
                hash.update(pixels);
            }
            None => {
                if let Some(bytes) = self.encoded(sample) {
                    let bytes = bytes?;
                    length = bytes.len();
                    // A header that cannot be read is an error when it is decoded.
                    let dimensions = decode::dimensions(&bytes).ok();
                    size = dimensions.map(|(width, height)| (height, width));
                    hash.update(bytes);
                }
            }
        }
        let digest = hash.finalize();
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        Ok(Content { hash: ContentHash(half), length: length as u64, size })
    }

    /// Feeds `hash` with what `samples` are: the names of the data set and its classes, and
    /// of each sample its label, where it comes from and the hash of its content.
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
