//! `Normalize(auto)`: the train split's mean and standard deviation.

use torchmill::transform::{SampleKind, SampleSpec};
use torchmill::{Error, Result, progress};

use crate::config::Config;
use crate::job::Job;
use crate::{plan, statistics};

/// Replaces every `Normalize(auto)` in these jobs with the train split's statistics, for
/// which it reads that split.
pub fn fill_in(jobs: &mut [Job], config: &Config) -> Result<()> {
    let Some(job) = jobs.iter().find(|job| job.pipeline.needs_statistics()) else {
        return Ok(());
    };
    if !job.set.splits.contains_key("train") {
        return Err(Error::usage(
            "Normalize(auto) needs a train split for its statistics, and there is none",
        ));
    }
    let statistics = statistics::of(&plan::statistics_job(job.set, config)?)?;
    let mean = statistics.mean();
    let std = statistics.std();
    if let Some(channel) = std.iter().position(|&s| s == 0.0) {
        return Err(Error::failed(format_args!(
            "Normalize(auto): all pixels of the train split have the same value in \
             channel {channel}, so its deviation is 0 and cannot be divided by: give \
             numbers, such as Normalize({}, 1)",
            mean[channel]
        )));
    }
    let normalize = statistics::normalize(&mean, &std);
    progress::note(format_args!("Normalize(auto) is {normalize}"));
    for job in jobs {
        job.pipeline = job.pipeline.with_statistics(&mean, &std);
        if config.format.has_pixels() {
            check_filled_in(job, mean.len())?;
        }
    }
    Ok(())
}

/// Fails if the deferred steps cannot be applied to the images, now that the statistics
/// are filled in.
fn check_filled_in(job: &Job, channels: usize) -> Result<()> {
    let makes_tensors = job.pipeline.baked.makes_tensors();
    let kind = if makes_tensors { SampleKind::Tensor } else { SampleKind::Image };
    let baked = SampleSpec { kind, ..SampleSpec::image(job.shape) };
    job.pipeline.deferred.output(baked).map(drop).map_err(|e| {
        Error::usage(format_args!(
            "{}: Normalize(auto) has the statistics of {channels} channels, which is what \
             the train pipeline makes of the images before its first random step; put \
             steps that change the channels before that: {e}",
            job.split
        ))
    })
}
