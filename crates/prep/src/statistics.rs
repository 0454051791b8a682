//! Mean and standard deviation of each channel, class counts and image sizes.

use std::collections::BTreeMap;

use rayon::prelude::*;
use torchmill::progress::{Progress, Unit};
use torchmill::transform::{self, Image, Sample};
use torchmill::{Error, Result, interrupt};

use crate::job::Job;

/// How many images are read between two updates of the progress.
const BLOCK: usize = 4096;

/// Statistics of a split's images. The sums are integers, so they do not depend on the
/// order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Statistics {
    /// For each channel the sum of its values, and of their squares.
    sums: Vec<(u128, u128)>,
    /// Values in each channel.
    values: u64,
    /// How many images of each size, (width, height), before the pipeline.
    pub sizes: BTreeMap<(usize, usize), u64>,
    /// How many images of each class, by label.
    classes: BTreeMap<u32, u64>,
}

impl Statistics {
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

    /// How many images of this class.
    pub fn images_of(&self, label: u32) -> u64 {
        self.classes.get(&label).copied().unwrap_or(0)
    }

    /// How many images.
    pub fn images(&self) -> u64 {
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

    /// Fails if one has grey images and the other colour images: they have no common
    /// mean.
    fn join(mut self, other: Self) -> Result<Self> {
        let (ours, theirs) = (self.sums.len(), other.sums.len());
        if ours != theirs && ours.min(theirs) > 0 {
            return Err(Error::failed(format_args!(
                "some images have {} channel and others {}: convert them with \
                 --transform Grayscale or 'Grayscale(3)', or read each input by itself",
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
        for (size, n) in other.sizes {
            *self.sizes.entry(size).or_default() += n;
        }
        for (label, n) in other.classes {
            *self.classes.entry(label).or_default() += n;
        }
        Ok(self)
    }
}

fn rounded(value: f64) -> f32 {
    ((value * 1e6).round() / 1e6) as f32
}

/// `Normalize((0.49, 0.48, 0.44), (0.24, 0.24, 0.26))`.
pub fn normalize(mean: &[f32], std: &[f32]) -> String {
    let list =
        |values: &[f32]| values.iter().map(f32::to_string).collect::<Vec<_>>().join(", ");
    let comma = if mean.len() == 1 { "," } else { "" };
    format!("Normalize(({}{comma}), ({}{comma}))", list(mean), list(std))
}

/// Computes the statistics of a job's images after its baked steps, which give uint8
/// pixels.
pub fn of(job: &Job) -> Result<Statistics> {
    let total = Some(job.samples.len() as u64);
    let mut progress =
        Progress::new(format!("{} statistics", job.split), total, Unit::Count("images"));
    let mut all = Statistics::default();
    for (block, samples) in job.samples.chunks(BLOCK).enumerate() {
        let images = (block * BLOCK..block * BLOCK + samples.len()).into_par_iter();
        let of_block = images
            .map(|i| of_one(job, i))
            .try_reduce(Statistics::default, Statistics::join)?;
        all = all.join(of_block)?;
        progress.add(samples.len() as u64);
    }
    progress.finish();
    Ok(all)
}

/// The statistics of image `i`; empty if it is bad and left out.
fn of_one(job: &Job, i: usize) -> Result<Statistics> {
    interrupt::check()?;
    let mut statistics = Statistics::default();
    let Some(image) = job.unless_bad(i, job.image(i))? else { return Ok(statistics) };
    let original = (image.width, image.height);
    let mut rng = transform::rng(job.seed, 0, i as u64);
    let baked = job.pipeline.baked.apply(Sample::Image(image), &mut rng);
    match baked.map_err(|e| e.within(job.location(i)))? {
        Sample::Image(image) => statistics.add(original, job.sample(i).label, &image),
        Sample::Tensor(_) => {
            return Err(Error::usage("--stats needs uint8 images: leave out --dtype"));
        }
    }
    Ok(statistics)
}
