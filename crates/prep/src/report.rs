//! The messages about a split, and the list of bad images.

use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use torchmill::progress::counted;
use torchmill::transform::Pipeline;
use torchmill::{Result, atomic, progress};

use crate::config::Config;
use crate::format::Format;
use crate::job::{BadImage, Job};

/// How many damaged images are named.
const EXAMPLES: usize = 3;

/// Reports what was written and which steps are deferred. `written` is the number of
/// images, and `end` is appended to the line.
pub fn written(job: &Job, format: &dyn Format, written: usize, files: usize, end: &str) {
    progress::note(format_args!(
        "{}: {} {}, {}, in {}{end}",
        job.split,
        counted(written as u64, "image", "images"),
        format.shown(job),
        counted(job.set.classes.len() as u64, "class", "classes"),
        counted(files as u64, "file", "files"),
    ));
    if job.overflowed.load(Ordering::Relaxed) {
        progress::note(format_args!(
            "note: {}: float16 ends at 65,504, and larger values became inf: use --dtype \
             bfloat16 or float32",
            job.split
        ));
    }
    if format.has_pixels() {
        progress::note(format_args!(
            "  baked: {}; left to train: {}",
            or_nothing(&job.pipeline.baked),
            or_nothing(&job.pipeline.deferred)
        ));
    }
}

fn or_nothing(pipeline: &Pipeline) -> String {
    if pipeline.is_empty() { "nothing".to_owned() } else { pipeline.to_string() }
}

/// Reports damaged images, and lists the bad ones in the file of `--skip-bad`.
pub fn problems(jobs: &[Job], config: &Config) -> Result<()> {
    jobs.iter().for_each(note_damaged);
    match &config.skip_bad {
        Some(path) => list_bad(jobs, path),
        None => Ok(()),
    }
}

/// Reports how many images have decoder warnings, and names the first.
fn note_damaged(job: &Job) {
    let warnings = job.warnings.lock().unwrap_or_else(PoisonError::into_inner);
    if warnings.is_empty() {
        return;
    }
    let mut examples = Vec::new();
    for (&i, warning) in warnings.iter().take(EXAMPLES) {
        examples.push(format!("{} ({warning})", job.location(i)));
    }
    let more = if warnings.len() > EXAMPLES { ", ..." } else { "" };
    let images = counted(
        warnings.len() as u64,
        "image is damaged and was",
        "images are damaged and were",
    );
    progress::note(format_args!(
        "note: {}: {images} read as PIL reads such files: {}{more}; --strict refuses \
         them",
        job.split,
        examples.join(", ")
    ));
}

/// Writes the list of the images that were left out, one `path<TAB>reason` per line, and
/// reports how many there are.
fn list_bad(jobs: &[Job], path: &Path) -> Result<()> {
    let mut text = String::new();
    let mut count = 0;
    for job in jobs {
        let bad = bad_images(job);
        for BadImage { location, reason, .. } in &bad {
            let place = format!("{location}: ");
            let reason = reason.strip_prefix(&place).unwrap_or(reason);
            text += &format!("{}\t{}\n", one_line(location), one_line(reason));
        }
        count += bad.len();
        note_emptied_classes(job, &bad);
    }
    atomic::write(path, text.as_bytes())?;
    let images = counted(count as u64, "bad image was", "bad images were");
    progress::note(format_args!("{images} left out and listed in {}", path.display()));
    Ok(())
}

/// A job's bad images in order, each once: its copies are not listed.
fn bad_images(job: &Job) -> Vec<BadImage> {
    let Some(bad) = &job.bad else { return Vec::new() };
    let mut bad = bad.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for image in &mut bad {
        image.index %= job.samples.len();
    }
    bad.sort();
    bad.dedup();
    bad
}

/// A field of the list: line breaks, tabs and other control characters as escapes, so
/// that a file name cannot break a line.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// Names the classes that have no images once these are left out.
fn note_emptied_classes(job: &Job, left_out: &[BadImage]) {
    let mut before = vec![0_usize; job.set.classes.len()];
    for sample in job.samples {
        before[sample.label as usize] += 1;
    }
    let mut after = before.clone();
    for image in left_out {
        after[job.samples[image.index].label as usize] -= 1;
    }
    for (label, class) in job.set.classes.iter().enumerate() {
        if before[label] > 0 && after[label] == 0 {
            progress::note(format_args!(
                "note: {}: the class {class} has no images left: all {} were bad",
                job.split, before[label]
            ));
        }
    }
}
