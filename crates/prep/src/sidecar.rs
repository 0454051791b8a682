//! `train.json`: describes a split's files in formats that cannot describe themselves. A
//! rerun uses it to see that the files are up to date. Shards have the same in their
//! headers.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use torchmill::{Context, Error, Result, atomic};

use crate::job::Job;

/// The contents of `SPLIT.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sidecar {
    /// The data set's name.
    pub dataset: String,
    /// The split's name.
    pub split: String,
    /// The class names; a label is an index into them.
    pub classes: Vec<String>,
    /// How many images.
    pub count: usize,
    /// The shape of an image, `[C, H, W]`.
    pub shape: [usize; 3],
    /// The elements' type, by PyTorch's name.
    pub dtype: String,
    /// The whole pipeline.
    pub pipeline: String,
    /// The steps that were applied.
    pub baked: String,
    /// The steps that are left to the reader.
    pub deferred: String,
    /// The digest of the inputs and options, as in a shard's header.
    pub digest: String,
    /// The program that wrote it.
    pub writer: String,
    /// The files and their sizes in bytes.
    pub files: BTreeMap<String, u64>,
    /// The files' CRC-32C, in hexadecimal.
    #[serde(default)]
    pub crc32c: BTreeMap<String, String>,
    /// The indices of the images that were left out as bad, in the split's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<usize>,
}

impl Sidecar {
    /// Describes a job's files.
    pub fn new(
        job: &Job,
        count: usize,
        digest: &str,
        sums: BTreeMap<String, Checksum>,
    ) -> Self {
        let files = sums.iter().map(|(name, sum)| (name.clone(), sum.length)).collect();
        let crc32c = sums.iter().map(|(name, sum)| (name.clone(), sum.text())).collect();
        Self {
            dataset: job.set.name.clone(),
            split: job.split.clone(),
            classes: job.set.classes.clone(),
            count,
            shape: job.shape,
            dtype: job.dtype.name().to_owned(),
            pipeline: job.pipeline.whole.to_string(),
            baked: job.pipeline.baked.to_string(),
            deferred: job.pipeline.deferred.to_string(),
            digest: digest.to_owned(),
            writer: crate::WRITER.to_owned(),
            files,
            crc32c,
            left_out: job.left_out(),
        }
    }

    /// Reads one; `None` if it is missing or was not written by prep.
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    /// Writes one.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|e| Error::failed(e).within(path.display()))?;
        text.push('\n');
        atomic::write(path, text.as_bytes())
    }

    /// Whether every file named here is in `folder` with its size and checksum.
    pub fn is_whole(&self, folder: &Path) -> Result<bool> {
        let whole = self.files.par_iter().map(|(name, &length)| {
            let path = folder.join(name);
            let sum = match Checksum::of_file(&path) {
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
                sum => sum.doing("read", &path)?,
            };
            Ok(sum.length == length && self.crc32c.get(name) == Some(&sum.text()))
        });
        whole.try_reduce(|| true, |a, b| Ok(a && b))
    }
}

/// A file's length and CRC-32C.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checksum {
    /// In bytes.
    pub length: u64,
    crc32c: u32,
}

impl Checksum {
    /// Adds the next bytes of the file.
    pub fn update(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
    }

    fn of_file(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut block = vec![0; 1 << 20];
        let mut sum = Self::default();
        loop {
            match file.read(&mut block)? {
                0 => return Ok(sum),
                n => sum.update(&block[..n]),
            }
        }
    }

    fn text(self) -> String {
        format!("{:08x}", self.crc32c)
    }
}
