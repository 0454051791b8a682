//! How shards store the images of a split: in one array if all have one size, and
//! otherwise each with its own size, as pixels or as the image file that it came from.

use clap::ValueEnum;
use torchmill::dataset::Content;
use torchmill::shard::{DType, Storage};
use torchmill::transform::{Exif, Pipeline, SampleKind, SampleSpec};
use torchmill::{Error, Result};

use crate::config::Config;
use crate::job::Job;

/// `--store`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "a doc comment would be a second help text")]
pub enum Store {
    // As the pipeline and the images' sizes suggest
    Auto,
    // Image files as they are
    Encoded,
    // Pixels after the deterministic steps at the start of the pipeline
    Pixels,
}

impl Store {
    /// Refuses options that do not fit this choice.
    pub fn check(self, config: &Config) -> Result<()> {
        if self != Self::Auto && !config.format.describes_itself() {
            return Err(Error::usage(format_args!(
                "--store is only for shards: leave it out with --format {}",
                config.format.name()
            )));
        }
        if self != Self::Encoded {
            return Ok(());
        }
        if config.dtype != DType::Uint8 {
            return Err(Error::usage(format_args!(
                "--store encoded keeps image files as they are: leave out --dtype {}",
                config.dtype.name()
            )));
        }
        if config.augment.is_some() {
            return Err(Error::usage(
                "--store encoded keeps image files as they are, and --augment changes \
                 them: leave out one of the two",
            ));
        }
        Ok(())
    }
}

/// Decides how a job's images are stored. `contents` are those of its samples.
///
/// With `auto` it is an array if all images have one size after the baked steps.
/// Otherwise it is the image files if nothing is baked, and pixels if something is.
pub fn decide(job: &mut Job, store: Store, contents: &[Option<Content>]) -> Result<()> {
    if store == Store::Encoded {
        return store_encoded(job, contents);
    }
    let can_differ = job.dtype == DType::Uint8 && one_size(job, &job.pipeline.deferred);
    if !can_differ || have_one_size(job, contents)? {
        // Images that differ after all are refused when they are baked.
        return Ok(());
    }
    let is_all_files = job.samples.iter().all(|&s| job.set.record_shape(s).is_none());
    if store == Store::Auto && job.pipeline.baked.is_empty() && is_all_files {
        return store_encoded(job, contents);
    }
    job.storage = Storage::Pixels;
    let steps = baked(job);
    let bytes_of = |(i, content): (usize, &Option<Content>)| {
        pixel_bytes(job, &steps, i, content.as_ref())
    };
    job.stored_bytes =
        contents.iter().enumerate().map(bytes_of).collect::<Result<_>>()?;
    Ok(())
}

/// The bytes of sample `i`'s pixels after these steps; 0 if its header cannot be read.
fn pixel_bytes(
    job: &Job,
    steps: &Pipeline,
    i: usize,
    content: Option<&Content>,
) -> Result<u64> {
    let (height, width) = size_after(job, steps, i, content)?.unwrap_or((0, 0));
    Ok((job.shape[0] * height * width) as u64 * job.dtype.size())
}

/// Estimates the bytes that each image takes in a file of a format that encodes images one
/// by one: those of its image file, if such files are copied, and otherwise its pixels.
/// Does nothing if all images have one size. `contents` are those of the job's samples.
pub fn estimate(
    job: &mut Job,
    copies_files: bool,
    contents: &[Option<Content>],
) -> Result<()> {
    let is_copied = copies_files && job.pipeline.baked.is_empty();
    if !is_copied && have_one_size(job, contents)? {
        return Ok(());
    }
    let steps = baked(job);
    let bytes_of = |(i, content): (usize, &Option<Content>)| match content {
        Some(content) if is_copied => Ok(content.length),
        _ => pixel_bytes(job, &steps, i, content.as_ref()),
    };
    job.stored_bytes =
        contents.iter().enumerate().map(bytes_of).collect::<Result<_>>()?;
    Ok(())
}

/// Leaves the whole pipeline to train.
fn store_encoded(job: &mut Job, contents: &[Option<Content>]) -> Result<()> {
    let of_records = job.samples.iter().find(|&&s| job.set.record_shape(s).is_some());
    if let Some(&sample) = of_records {
        return Err(Error::usage(format_args!(
            "--store encoded keeps image files as they are, and {} is not an image file: \
             leave out --store",
            job.set.location(sample)
        )));
    }
    if job.pipeline.whole.exif() == Exif::Apply {
        return Err(Error::usage(
            "--store encoded keeps image files as they are, and ExifTranspose turns them: \
             leave out one of the two",
        ));
    }
    if !one_size(job, &job.pipeline.whole) {
        return Err(Error::usage(format_args!(
            "--store encoded leaves `{}` to train, which needs images of one size: end \
             with Resize((height, width)) or a crop",
            job.pipeline.whole
        )));
    }
    job.storage = Storage::Encoded;
    job.pipeline.deferred = job.pipeline.whole.clone();
    job.pipeline.baked = Pipeline::default();
    job.stored_bytes =
        contents.iter().map(|content| content.map_or(0, |c| c.length)).collect();
    Ok(())
}

/// Whether these steps bring images of different sizes to one size.
fn one_size(job: &Job, steps: &Pipeline) -> bool {
    let channels =
        job.set.record_shape(job.samples[0]).map_or(3, |[channels, ..]| channels);
    let any = SampleSpec { kind: SampleKind::Image, channels, size: None };
    // Statistics do not affect the shape.
    let steps = steps.with_statistics(&[0.0], &[1.0]);
    steps.output_shape(any).is_ok()
}

/// Whether all images have one size after the baked steps, according to their headers.
fn have_one_size(job: &Job, contents: &[Option<Content>]) -> Result<bool> {
    if one_size(job, &job.pipeline.baked) {
        return Ok(true);
    }
    if job.pipeline.whole.exif() == Exif::Apply {
        // Headers give the size before an image is rotated.
        return Ok(false);
    }
    let steps = baked(job);
    let mut first = None;
    for (i, content) in contents.iter().enumerate() {
        let size = size_after(job, &steps, i, content.as_ref())?;
        if size.is_some() && first.is_some() && size != first {
            return Ok(false);
        }
        first = first.or(size);
    }
    Ok(true)
}

/// The baked steps. Statistics do not affect the shape.
fn baked(job: &Job) -> Pipeline {
    job.pipeline.baked.with_statistics(&[0.0], &[1.0])
}

/// Height and width of sample `i` after these steps; `None` if its header cannot be read.
fn size_after(
    job: &Job,
    steps: &Pipeline,
    i: usize,
    content: Option<&Content>,
) -> Result<Option<(usize, usize)>> {
    let Some((height, width)) = content.and_then(Content::size) else {
        return Ok(None);
    };
    let channels =
        job.set.record_shape(job.sample(i)).map_or(3, |[channels, ..]| channels);
    let spec = SampleSpec::image([channels, height, width]);
    Ok(steps.output(spec).map_err(|e| e.within(job.location(i)))?.size)
}
