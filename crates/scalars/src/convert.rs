//! CSV to event files, once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use torchmill::progress::{count, note};
use torchmill::{Error, Result};

use crate::csv::source::{Feed, Source, quoted};
use crate::csv::table::Options;
use crate::event::encode::Encoding;
use crate::event::file::{EventFile, Outcome, Target};
use crate::runs;

/// One input and where it goes.
#[derive(Debug, Clone)]
pub struct Job {
    /// The CSV.
    pub source: Source,
    /// Its event file.
    pub target: Target,
}

/// Pairs each input with a folder below `logdir`. A `run` name overrides the input's own.
pub fn jobs(
    sources: &[Source],
    logdir: &std::path::Path,
    run: Option<&str>,
    encoding: Encoding,
) -> Result<Vec<Job>> {
    let names = match run {
        Some(name) => vec![PathBuf::from(name); sources.len()],
        None => runs::names(sources)?,
    };
    let job = |(source, name): (&Source, PathBuf)| Job {
        source: source.clone(),
        target: Target {
            folder: if name.as_os_str().is_empty() { logdir.to_owned() } else { logdir.join(name) },
            source: runs::source_name(source),
            encoding,
            hparams: BTreeMap::new(),
        },
    };
    Ok(sources.iter().zip(names).map(job).collect())
}

/// Converts each input. One that fails does not keep the others from being converted.
pub fn convert(jobs: &[Job], options: &Options) -> Result<()> {
    let mut failed = None;
    for job in jobs {
        match convert_one(job, options) {
            Err(Error::Interrupted(why)) => return Err(Error::Interrupted(why)),
            Err(error) => {
                if let Some(earlier) = failed.replace(error) {
                    eprintln!("scalars: {earlier}");
                }
            }
            Ok(()) => {}
        }
    }
    failed.map_or(Ok(()), Err)
}

fn convert_one(job: &Job, options: &Options) -> Result<()> {
    let now = now();
    let mut file = EventFile::open(job.target.clone())?;
    let feed = job.source.read(options, &mut |p| file.push(p.wall_time, now, p.step, p.tag, p.value))?;
    if let Some(why) = feed.emptiness() {
        return Err(Error::failed(why).within(&job.source));
    }
    let finished = file.finish()?;
    report(&job.source, &feed, options);
    let all = points(feed.tally().points);
    let path = finished.path.display();
    note(match finished.outcome {
        Outcome::Created => format!("{path}: {all}"),
        Outcome::UpToDate => format!("{path}: {all}, up to date"),
        Outcome::Appended(new) => format!("{path}: {all}, {} of them new", count(new)),
        Outcome::Replaced => format!("{path}: {all}; the run had changed, so the old file is replaced"),
    });
    Ok(())
}

/// Says what in the table the user should know about.
pub fn report(source: &Source, feed: &Feed, options: &Options) {
    let tally = feed.tally();
    if feed.table().is_some_and(crate::csv::table::Table::numbers_rows) {
        note(format_args!("{source}: no step column, so rows are numbered from 0 (--step names one)"));
    }
    if tally.bad.count > 0 {
        note(format_args!("{source}: {} left out, the first at {}", cells(tally.bad.count), tally.bad.first));
    }
    if tally.non_finite.count > 0 {
        let n = count(tally.non_finite.count);
        note(format_args!("{source}: {n} not finite, the first at {}", tally.non_finite.first));
    }
    if tally.not_increasing.count > 0 {
        note(format_args!(
            "{source}: {}; TensorBoard drops a curve's earlier points from such a step on",
            tally.not_increasing.first
        ));
    }
    let unused = options.select.unused(&tally.tags);
    if !unused.is_empty() {
        let unused: Vec<String> = unused.into_iter().map(str::to_owned).collect();
        note(format_args!(
            "{source}: there is no tag {}; the tags are {}",
            quoted(&unused),
            quoted(&tally.tags)
        ));
    }
}

fn points(n: u64) -> String {
    if n == 1 { "1 point".to_owned() } else { format!("{} points", count(n)) }
}

fn cells(n: u64) -> String {
    if n == 1 { "1 bad cell".to_owned() } else { format!("{} bad cells", count(n)) }
}

/// Seconds since 1970-01-01 00:00 UTC.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}
