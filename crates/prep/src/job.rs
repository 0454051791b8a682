//! What is to be done for each split, decided and checked before anything is written.

use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use torchmill::dataset::Dataset;
use torchmill::transform::{Pipeline, SampleKind, SampleSpec};
use torchmill::{Error, Result, atomic, progress};

use crate::args::{Args, Elements, Format};
use crate::bake::{BadImages, Job};
use crate::format::{self, encode::Encoding};
use crate::pipelines::{Cut, Pipelines};
use crate::stats;

/// A job for each split: its pipeline cut, its first image baked to learn the size.
pub fn plan<'a>(
    set: &'a Dataset,
    splits: &[String],
    args: &Args,
) -> Result<Vec<Job<'a>>> {
    let dtype = args.pipeline.dtype.dtype();
    let encoding = format::encoding(args.output.format, args.output.tar_image, dtype)?;
    let pipelines = Pipelines::new(&args.pipeline)?;
    if splits.len() > 1 && splits.iter().any(|split| split == "train") {
        for warning in pipelines.warnings() {
            progress::note(format_args!("note: {warning}"));
        }
    }
    let job = |split: &String| {
        // Drawn copies are for training.
        let augment = args.pipeline.augment.filter(|_| split == "train");
        let cut = pipelines
            .cut(split, dtype, augment.is_some())
            .map_err(|e| e.within(split))?;
        let copies = augment.unwrap_or(1);
        if augment.is_some() && !cut.baked.is_random() {
            return Err(nothing_to_draw(&cut));
        }
        let mut job = Job {
            set,
            split: split.clone(),
            samples: set.splits.get(split).cloned().unwrap_or_default(),
            cut,
            copies: usize::try_from(copies).unwrap_or(1),
            dtype,
            seed: args.select.seed,
            encoding,
            shape: [0; 3],
            first: String::new(),
            overflowed: AtomicBool::new(false),
            bad: args.select.skip_bad.is_some().then(BadImages::default),
        };
        learn_shape(&mut job)?;
        Ok(job)
    };
    if args.pipeline.augment.is_some() && !splits.iter().any(|split| split == "train") {
        return Err(Error::usage(
            "--augment draws copies of the train split, which is not among those to write",
        ));
    }
    splits.iter().map(job).collect()
}

/// `--augment` where nothing that is baked draws anything.
fn nothing_to_draw(cut: &Cut) -> Error {
    let whole = &cut.whole;
    if whole.is_random() {
        return Error::usage(format_args!(
            "--augment: what is random in `{whole}` comes after ToTensor, and bytes are left to train before that: add \
             --dtype float32, or leave out --augment"
        ));
    }
    Error::usage(format_args!(
        "--augment: nothing in `{whole}` is random, so all copies would be equal: add a random transform, or leave \
         out --augment"
    ))
}

/// Bakes the first image: its shape is what all others must have, and what is left of the
/// pipeline must be able to take it.
fn learn_shape(job: &mut Job) -> Result<()> {
    if job.encoding == Encoding::JsonLine {
        return Ok(());
    }
    let waiting = job.cut.clone();
    // The statistics change no shape; they are worked out when it is known that something
    // is to be done.
    job.cut = waiting.with_statistics(&[0.0], &[1.0]);
    let mut baked = None;
    for i in 0..job.samples.len() {
        baked = job.unless_bad(i, job.bake(i))?;
        if baked.is_some() {
            job.first = job.set.location(job.samples[i]);
            break;
        }
    }
    let baked = baked.ok_or_else(|| {
        Error::failed(format_args!(
            "none of the {} images of the split `{}` can be read",
            job.len(),
            job.split
        ))
    })?;
    job.shape = baked.shape();
    let left = &job.cut.deferred;
    left.output(baked.spec())
        .map_err(|e| e.within(format_args!("{left} (left to train)")))?;
    job.cut = waiting;
    if let Some(bad) = &mut job.bad {
        bad.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }
    Ok(())
}

/// Gives every `Normalize(auto)` of these jobs the train split's mean and standard
/// deviation.
pub fn fill_in_statistics(jobs: &mut [Job], args: &Args) -> Result<()> {
    let Some(set) = jobs.iter().find(|job| job.cut.needs_statistics()).map(|job| job.set)
    else {
        return Ok(());
    };
    if !set.splits.contains_key("train") {
        return Err(Error::usage(
            "Normalize(auto) takes the train split's statistics, and there is none",
        ));
    }
    let mut args = args.clone();
    // Always of the whole bytes that the train pipeline's deterministic beginning makes.
    args.pipeline.dtype = Elements::Uint8;
    args.pipeline.augment = None;
    args.output.format = Format::Shard;
    for train in plan(set, &["train".to_owned()], &args)? {
        let stats = stats::of(&train)?;
        let (mean, std) = (stats.mean(), stats.std());
        if let Some(channel) = std.iter().position(|&s| s == 0.0) {
            return Err(Error::failed(format_args!(
                "Normalize(auto): all pixels of the train split have the same value in channel {channel}, so there is \
                 no deviation to divide by: give numbers, such as Normalize({}, 1)",
                mean[channel]
            )));
        }
        progress::note(format_args!(
            "Normalize(auto) is {}",
            stats::normalize(&mean, &std)
        ));
        for job in &mut *jobs {
            job.cut = job.cut.with_statistics(&mean, &std);
            if job.encoding != Encoding::JsonLine {
                check_filled(job, mean.len())?;
            }
        }
    }
    Ok(())
}

/// Fails where what is left of the pipeline cannot take the images now that it has its
/// statistics.
fn check_filled(job: &Job, channels: usize) -> Result<()> {
    let makes_tensors = job.cut.baked.makes_tensors();
    let kind = if makes_tensors { SampleKind::Tensor } else { SampleKind::Image };
    let baked = SampleSpec { kind, ..SampleSpec::image(job.shape) };
    let fits = job.cut.deferred.output(baked);
    fits.map(drop).map_err(|e| {
        Error::usage(format_args!(
            "{}: Normalize(auto) has the statistics of {channels} channels, which is what the train pipeline makes of \
             the images before its first random step; put steps that change the channels before that: {e}",
            job.split
        ))
    })
}

/// Writes the list of the images that were left out, one `path<TAB>reason` a line, and
/// says how many there are.
pub fn list_bad(jobs: &[Job], path: &Path) -> Result<()> {
    let mut text = String::new();
    let mut count = 0;
    for job in jobs {
        let Some(bad) = &job.bad else { continue };
        let mut bad = bad.lock().unwrap_or_else(PoisonError::into_inner);
        // Of several copies of an image one is enough.
        bad.iter_mut().for_each(|(i, ..)| *i %= job.samples.len());
        bad.sort();
        bad.dedup();
        for (_, place, reason) in bad.iter() {
            let start = format!("{place}: ");
            let reason = reason.strip_prefix(&start).unwrap_or(reason);
            text += &format!("{}\t{}\n", one_line(place), one_line(reason));
        }
        count += bad.len();
        let left_out: Vec<usize> = bad.iter().map(|&(i, ..)| i).collect();
        say_emptied_classes(job, &left_out);
    }
    atomic::write(path, text.as_bytes())?;
    let (count, path) = (progress::count(count as u64), path.display());
    progress::note(format_args!("{count} bad images were left out; {path} lists them"));
    Ok(())
}

/// A field of the list: line breaks, tabs and other control characters as escapes, so
/// that a file name cannot break a line.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars() {
        match character.is_control() {
            true => line.extend(character.escape_default()),
            false => line.push(character),
        }
    }
    line
}

/// Names the classes that have no images once these are left out.
fn say_emptied_classes(job: &Job, left_out: &[usize]) {
    let mut before = vec![0_usize; job.set.classes.len()];
    for sample in &job.samples {
        before[sample.label as usize] += 1;
    }
    let mut after = before.clone();
    for &i in left_out {
        after[job.samples[i].label as usize] -= 1;
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

/// Says what was written and what is left to do.
pub fn report(job: &Job, written: usize, files: usize, done: &str) {
    let [channels, height, width] = job.shape;
    let what = match job.encoding {
        Encoding::JsonLine => "a line each".to_owned(),
        Encoding::Png => "as PNG".to_owned(),
        Encoding::Jpg => "as JPEG".to_owned(),
        _ => format!("of [{channels}, {height}, {width}] {}", job.dtype.name()),
    };
    progress::note(format_args!(
        "{}: {} images {what}, {} classes, in {files} {}{done}",
        job.split,
        progress::count(written as u64),
        job.set.classes.len(),
        if files == 1 { "file" } else { "files" },
    ));
    if job.overflowed.load(Ordering::Relaxed) {
        progress::note(format_args!(
            "note: {}: float16 ends at 65,504, and larger values became inf: use --dtype \
             bfloat16 or float32",
            job.split
        ));
    }
    let Cut { baked, deferred, .. } = &job.cut;
    if job.encoding != Encoding::JsonLine {
        progress::note(format_args!(
            "  baked: {}; left to train: {}",
            or_nothing(baked),
            or_nothing(deferred)
        ));
    }
}

fn or_nothing(pipeline: &Pipeline) -> String {
    if pipeline.steps().is_empty() { "nothing".to_owned() } else { pipeline.to_string() }
}
