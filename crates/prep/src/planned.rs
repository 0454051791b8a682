//! The files of each job, and which of them an earlier run has written.

use std::ops::Range;
use std::path::Path;

use rayon::prelude::*;
use torchmill::Result;
use torchmill::shard::Shard;

use crate::args::Part;
use crate::config::Config;
use crate::contents::Contents;
use crate::format::Format;
use crate::job::Job;
use crate::sidecar::Sidecar;
use crate::{bake, digest, file_names};

/// The files of a job.
pub struct Planned {
    /// The images of each file, including the files of other parts.
    pub ranges: Vec<Range<usize>>,
    /// The files that are ours to write.
    pub ours: Range<usize>,
    /// The number of images in our files, if an earlier run has written them already.
    pub done: Option<usize>,
    /// The digest of the job.
    pub digest: String,
}

/// Plans the files of every job.
pub fn files(
    folder: &Path,
    jobs: &[Job],
    contents: &Contents,
    config: &Config,
) -> Result<Vec<Planned>> {
    let mut all = Vec::new();
    for job in jobs {
        let ranges = job.files(config.shard_size);
        let ours = config.part.map_or(0..ranges.len(), |part| part.share(ranges.len()));
        let digest = digest::of(job, config.format.as_ref(), ranges.len(), contents);
        let mut planned = Planned { ranges, ours, done: None, digest };
        planned.done = planned.find_done(folder, job, config)?;
        all.push(planned);
    }
    Ok(all)
}

impl Planned {
    /// How many images are in our files, including bad ones.
    fn images(&self) -> usize {
        self.ranges[self.ours.clone()].iter().map(ExactSizeIterator::len).sum()
    }

    /// The names of all files and descriptions, including those of other parts.
    pub fn all_names(&self, job: &Job, config: &Config) -> Vec<String> {
        let format = config.format.as_ref();
        let files = self.ranges.len();
        let mut names = Vec::new();
        for i in 0..files {
            names.extend(file_names::of_file(&job.split, i, files, format));
        }
        if format.describes_itself() {
            return names;
        }
        match config.part {
            Some(Part { parts, .. }) => {
                for index in 1..=parts {
                    let part = Some(Part { index, parts });
                    names.push(file_names::of_description(&job.split, part));
                }
            }
            None => names.push(file_names::of_description(&job.split, None)),
        }
        names
    }

    /// The number of images that an earlier run with the same digest has written, if all
    /// its files are there and undamaged. Images that it left out are recorded as bad
    /// again.
    fn find_done(
        &self,
        folder: &Path,
        job: &Job,
        config: &Config,
    ) -> Result<Option<usize>> {
        let format = config.format.as_ref();
        let left_out = if format.describes_itself() {
            self.left_out_of_shards(folder, job, format)
        } else {
            let name = file_names::of_description(&job.split, config.part);
            match Sidecar::read(&folder.join(name)) {
                Some(about)
                    if about.digest == self.digest && about.is_whole(folder)? =>
                {
                    Some(about.left_out)
                }
                _ => None,
            }
        };
        let Some(left_out) = left_out else { return Ok(None) };
        for &i in &left_out {
            if i >= job.len() {
                return Ok(None);
            }
            // If the image can be read now, the files have to be written again.
            if job.unless_bad(i, bake::try_image(job, format, i))?.is_some() {
                return Ok(None);
            }
        }
        Ok(Some(self.images() - left_out.len()))
    }

    /// The images that are not in our files; `None` if a file is damaged or differs from
    /// what we would write. Every byte is read, on all cores.
    fn left_out_of_shards(
        &self,
        folder: &Path,
        job: &Job,
        format: &dyn Format,
    ) -> Option<Vec<usize>> {
        let in_shard = |i: usize| {
            let names = file_names::of_file(&job.split, i, self.ranges.len(), format);
            self.left_out_of_shard(i, &folder.join(&names[0]), job)
        };
        let each: Option<Vec<Vec<usize>>> =
            self.ours.clone().into_par_iter().map(in_shard).collect();
        Some(each?.concat())
    }

    /// The images that are not in file `i`; `None` if it is damaged or differs from what
    /// we would write.
    fn left_out_of_shard(&self, i: usize, path: &Path, job: &Job) -> Option<Vec<usize>> {
        let shard = Shard::open(path).ok()?;
        let meta = &shard.header().meta;
        let is_file_i =
            meta.index as usize == i && meta.shards as usize == self.ranges.len();
        if !is_file_i || meta.digest != self.digest || shard.verify().is_err() {
            return None;
        }
        let range = self.ranges[i].clone();
        if shard.len() == range.len() {
            return Some(Vec::new());
        }
        // The shard has the images of the range in the same order, except those left out.
        let mut next = 0;
        let mut left_out = Vec::new();
        for i in range {
            let source = job.set.source(job.sample(i));
            if next < shard.len() && shard.source(next).is_ok_and(|s| s == source) {
                next += 1;
            } else {
                left_out.push(i);
            }
        }
        let is_whole = next == shard.len() && job.bad.is_some();
        is_whole.then_some(left_out)
    }
}
