//! `prep --stats`: mean and standard deviation per channel, class counts and image sizes.

use std::collections::BTreeMap;
use std::fmt::Write;

use rayon::prelude::*;
use serde_json::json;
use torchmill::progress::{Progress, Unit, count};
use torchmill::transform::{self, Image, Sample};
use torchmill::{Error, Result, cli, interrupt};

use crate::bake::{Failure, Job};

/// How many images are read between two looks at the clock.
const BLOCK: usize = 4096;

/// What was seen of a split's images. Sums are of whole bytes, so that they do not depend
/// on the order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// For each channel the sum of its values, and of their squares.
    sums: Vec<(u128, u128)>,
    /// Values in each channel.
    values: u64,
    /// How many images of each size, (width, height), before the pipeline.
    sizes: BTreeMap<(usize, usize), u64>,
    /// How many images of each class, by label.
    classes: BTreeMap<u32, u64>,
}

impl Stats {
    /// Each channel's mean, of values from 0 to 1 as after ToTensor, rounded to 6 places.
    pub fn mean(&self) -> Vec<f32> {
        self.sums
            .iter()
            .map(|&(sum, _)| rounded(sum as f64 / self.values as f64 / 255.0))
            .collect()
    }

    /// Each channel's standard deviation (of the population: divided by their number),
    /// rounded to 6 places.
    pub fn std(&self) -> Vec<f32> {
        let n = self.values as f64;
        let std = |&(sum, squares): &(u128, u128)| {
            let mean = sum as f64 / n;
            (squares as f64 / n - mean * mean).max(0.0).sqrt() / 255.0
        };
        self.sums.iter().map(|s| rounded(std(s))).collect()
    }

    fn images(&self) -> u64 {
        self.classes.values().sum()
    }

    fn add(&mut self, original: (usize, usize), label: u32, image: &Image) {
        self.sums.resize(self.sums.len().max(image.channels), (0, 0));
        for (c, (sum, squares)) in self.sums.iter_mut().enumerate() {
            let channel = image.pixels.iter().skip(c).step_by(image.channels);
            let (s, q) = channel
                .fold((0, 0), |(s, q), &v| (s + u64::from(v), q + u64::from(v).pow(2)));
            *sum += u128::from(s);
            *squares += u128::from(q);
        }
        self.values += (image.width * image.height) as u64;
        *self.sizes.entry(original).or_default() += 1;
        *self.classes.entry(label).or_default() += 1;
    }

    /// Fails if one is of grey images and the other of colour: they have no common mean.
    fn join(mut self, other: Self) -> Result<Self> {
        let (ours, theirs) = (self.sums.len(), other.sums.len());
        if ours != theirs && ours.min(theirs) > 0 {
            return Err(Error::failed(format_args!(
                "some images have {} channel and others {}: make them alike, with --transform Grayscale or \
                 'Grayscale(3)', or look at each input by itself",
                ours.min(theirs),
                ours.max(theirs)
            )));
        }
        self.sums.resize(ours.max(theirs), (0, 0));
        for ((sum, squares), (s, q)) in self.sums.iter_mut().zip(other.sums) {
            *sum += s;
            *squares += q;
        }
        self.values += other.values;
        other
            .sizes
            .into_iter()
            .for_each(|(size, n)| *self.sizes.entry(size).or_default() += n);
        other
            .classes
            .into_iter()
            .for_each(|(label, n)| *self.classes.entry(label).or_default() += n);
        Ok(self)
    }
}

fn rounded(value: f64) -> f32 {
    ((value * 1e6).round() / 1e6) as f32
}

/// The double-precision number that is written as this one is: 0.49139, not
/// 0.4913900136947632.
fn as_written(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| value.into())
}

/// `Normalize((0.49, 0.48, 0.44), (0.24, 0.24, 0.26))`.
pub fn normalize(mean: &[f32], std: &[f32]) -> String {
    let list =
        |values: &[f32]| values.iter().map(f32::to_string).collect::<Vec<_>>().join(", ");
    let comma = if mean.len() == 1 { "," } else { "" };
    format!("Normalize(({}{comma}), ({}{comma}))", list(mean), list(std))
}

/// Reads every image of a job, through the part of its pipeline that leaves whole bytes.
pub fn of(job: &Job) -> Result<Stats> {
    let total = Some(job.samples.len() as u64);
    let mut progress =
        Progress::new(format!("{} statistics", job.split), total, Unit::Count("images"));
    let mut all = Stats::default();
    for (block, samples) in job.samples.chunks(BLOCK).enumerate() {
        let images = (block * BLOCK..block * BLOCK + samples.len()).into_par_iter();
        let stats =
            images.map(|i| of_one(job, i)).try_reduce(Stats::default, Stats::join)?;
        all = all.join(stats)?;
        progress.add(samples.len() as u64);
    }
    progress.finish();
    Ok(all)
}

/// Image `i` alone; nothing for a bad one that is left out.
fn of_one(job: &Job, i: usize) -> Result<Stats> {
    interrupt::check()?;
    let sample = job.sample(i);
    let mut stats = Stats::default();
    let read = job.set.image(sample).map_err(Failure::Bad);
    let Some(image) = job.unless_bad(i, read)? else { return Ok(stats) };
    let original = (image.width, image.height);
    let mut rng = transform::rng(job.seed, 0, i as u64);
    let baked = job.cut.baked.apply(Sample::Image(image), &mut rng);
    match baked.map_err(|e| e.within(job.set.location(sample)))? {
        Sample::Image(image) => stats.add(original, sample.label, &image),
        Sample::Tensor(_) => {
            return Err(Error::usage("--stats is of whole bytes: leave out --dtype"));
        }
    }
    Ok(stats)
}

/// Prints the statistics of each job on standard output, as text or as JSON, one object a
/// line.
pub fn print(jobs: &[Job], as_json: bool) -> Result<()> {
    for job in jobs {
        let stats = of(job)?;
        let text = if as_json { json(job, &stats) } else { text(job, &stats) };
        cli::print(text.as_bytes())?;
    }
    Ok(())
}

fn text(job: &Job, stats: &Stats) -> String {
    let classes = &job.set.classes;
    let mut lines = vec![format!(
        "{}: {} images, {} classes",
        job.split,
        count(stats.images()),
        classes.len()
    )];
    for (label, class) in (0..).zip(classes) {
        let n = stats.classes.get(&label).copied().unwrap_or_default();
        lines.push(format!("  {label:>6}  {class:<24} {:>12}", count(n)));
    }
    let mut sizes: Vec<_> = stats.sizes.iter().map(|(&size, &n)| (size, n)).collect();
    if let (Some(small), Some(large)) = (
        sizes.iter().min_by_key(|((w, h), _)| w * h),
        sizes.iter().max_by_key(|((w, h), _)| w * h),
    ) && sizes.len() > 1
    {
        let ((w, h), (wide, high)) = (small.0, large.0);
        lines.push(format!(
            "  {} sizes, from {w} x {h} to {wide} x {high}",
            count(sizes.len() as u64)
        ));
    }
    sizes.sort_by_key(|&(size, n)| (std::cmp::Reverse(n), size));
    lines.extend(
        sizes
            .iter()
            .take(5)
            .map(|((w, h), n)| format!("  {w} x {h} (width x height): {}", count(*n))),
    );
    lines.push(format!("  {}", normalize(&stats.mean(), &stats.std())));
    lines.iter().fold(String::new(), |mut text, line| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{line}");
        text
    })
}

fn json(job: &Job, stats: &Stats) -> String {
    let by_name = |(label, class): (u32, &String)| {
        (class.clone(), stats.classes.get(&label).copied().unwrap_or_default().into())
    };
    let classes: serde_json::Map<_, _> =
        (0..).zip(&job.set.classes).map(by_name).collect();
    let size = |((width, height), n): (&(usize, usize), &u64)| json!({"width": width, "height": height, "images": n});
    let mut line = json!({
        "split": job.split,
        "images": stats.images(),
        "classes": classes,
        "sizes": stats.sizes.iter().map(size).collect::<Vec<_>>(),
        "baked": job.cut.baked.to_string(),
        "mean": stats.mean().into_iter().map(as_written).collect::<Vec<_>>(),
        "std": stats.std().into_iter().map(as_written).collect::<Vec<_>>(),
    })
    .to_string();
    line.push('\n');
    line
}
