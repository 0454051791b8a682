//! `--preview`: draws some images of each class after the pipeline, as one picture.

use std::path::Path;

use image::RgbImage;
use torchmill::contact_sheet::{self, Caption, Picture, Section};
use torchmill::transform::{self, Image, Pipeline, Sample, Tensor, Transform};
use torchmill::{Result, atomic, cli, interrupt, progress};

use crate::auto_normalize;
use crate::config::Config;
use crate::job::Job;
use crate::show;

/// Pictures in a row.
const COLUMNS: usize = 10;
/// Rows of pictures for a split. If the pipeline is random, each image has its own row.
const ROWS: usize = 10;
/// Random versions of each image, if the pipeline is random.
const DRAWS: usize = COLUMNS - 1;

/// Draws a contact sheet and writes it as PNG to `path`, or to standard output for `-`.
///
/// The images are the first of each class of each split, then the second of each, and so
/// on; with `--show` there is only one. With a deterministic pipeline each image has one
/// picture. With a random one it has a row: the image from the file, then the image in
/// each of the first epochs, which is what `train` draws with the same seed.
pub fn write(path: &Path, jobs: &mut [Job], config: &Config) -> Result<()> {
    auto_normalize::fill_in(jobs, config)?;
    // `--show` is for the first split.
    let looked_at = if config.show.is_some() { 1 } else { jobs.len() };
    let jobs = &jobs[..looked_at.min(jobs.len())];
    let mut sections = Vec::new();
    for job in jobs {
        sections.push(section(job, config.show)?);
    }
    let png = contact_sheet::draw(&sections, &contact_sheet::NORMAL)?;
    if path == Path::new("-") {
        cli::print(&png)?;
    } else {
        atomic::write(path, &png)?;
        progress::note(format_args!("{}: look at it before you train", path.display()));
    }
    // Splits have the same classes.
    let classes = jobs.first().map_or(&[][..], |job| &job.set.classes);
    let labels = jobs.iter().flat_map(|job| {
        shown(job, config.show).into_iter().map(|i| job.samples[i].label)
    });
    let labels = labels.map(|label| label as usize);
    if let Some(numbered) = contact_sheet::numbered(classes, labels) {
        progress::note(numbered);
    }
    Ok(())
}

/// One split's part of the sheet, with one image if `only` names it.
fn section(job: &Job, only: Option<usize>) -> Result<Section> {
    if let Some(index) = only {
        show::check(index, job)?;
    }
    let whole = &job.pipeline.whole;
    let mut pictures = Vec::new();
    for i in shown(job, only) {
        interrupt::check()?;
        let Some(original) = job.unless_bad(i, job.image(i))? else { continue };
        let label = job.samples[i].label as usize;
        let class = contact_sheet::class_name(&job.set.classes, label);
        for image in draws(job, i, &original)? {
            let caption = Caption { text: class.clone(), right: None };
            pictures.push(Picture { image, captions: vec![caption] });
        }
    }
    let mut titles = Vec::new();
    if whole.is_random() {
        titles.push("original".to_owned());
        titles.extend((1..=DRAWS).map(|epoch| format!("epoch {epoch}")));
    }
    let pipeline =
        if whole.is_empty() { "no transform".to_owned() } else { whole.to_string() };
    Ok(Section {
        heading: format!("{}: {pipeline}", job.split),
        titles,
        columns: COLUMNS,
        pictures,
    })
}

/// Image `i` after the pipeline. If the pipeline is random: the image from the file, and
/// then the image after the pipeline in the first epochs.
fn draws(job: &Job, i: usize, original: &Image) -> Result<Vec<RgbImage>> {
    let whole = &job.pipeline.whole;
    let mut images = Vec::new();
    let mut epochs = 1;
    if whole.is_random() {
        images.push(contact_sheet::to_rgb(original));
        epochs = DRAWS;
    }
    for epoch in 0..epochs {
        images.push(to_picture(&draw(job, i, epoch as u64, original)?, whole));
    }
    Ok(images)
}

/// Image `i` after the pipeline, as `train` draws it in this epoch.
pub fn draw(job: &Job, i: usize, epoch: u64, original: &Image) -> Result<Sample> {
    let mut rng = transform::rng(job.seed, epoch, i as u64);
    let drawn = job.pipeline.whole.apply(Sample::Image(original.clone()), &mut rng);
    drawn.map_err(|e| e.within(job.location(i)))
}

/// The indices of the images to draw. Each takes a row if the pipeline is random.
fn shown(job: &Job, only: Option<usize>) -> Vec<usize> {
    if let Some(index) = only {
        return vec![index];
    }
    let most = if job.pipeline.whole.is_random() { ROWS } else { ROWS * COLUMNS };
    class_by_class(job).take(most).collect()
}

/// The indices of a split's images: the first of each class, then the second of each, and
/// so on.
fn class_by_class(job: &Job) -> impl Iterator<Item = usize> {
    let mut by_class = vec![Vec::new(); job.set.classes.len()];
    for (i, sample) in job.samples.iter().enumerate() {
        // A sheet never shows more images of a class.
        if let Some(class) = by_class
            .get_mut(sample.label as usize)
            .filter(|class| class.len() < ROWS * COLUMNS)
        {
            class.push(i);
        }
    }
    (0..ROWS * COLUMNS).flat_map(move |n| {
        by_class.iter().filter_map(|class| class.get(n).copied()).collect::<Vec<_>>()
    })
}

/// Turns a pipeline's output into a picture. For a tensor, `Normalize` is undone and
/// values outside 0 to 1 are clipped.
pub fn to_picture(sample: &Sample, pipeline: &Pipeline) -> RgbImage {
    match sample {
        Sample::Image(image) => contact_sheet::to_rgb(image),
        Sample::Tensor(tensor) => from_tensor(tensor, pipeline),
    }
}

fn from_tensor(tensor: &Tensor, pipeline: &Pipeline) -> RgbImage {
    let [channels, height, width] = tensor.shape;
    let normalized: Vec<_> = pipeline
        .steps()
        .iter()
        .filter_map(
            |step| if let Transform::Normalize(n) = step { Some(n) } else { None },
        )
        .collect();
    // A single value applies to all channels.
    let of = |values: &[f32], c: usize| values.get(c).or(values.first()).copied();
    contact_sheet::rgb(width, height, |c, at| {
        let channel = c.min(channels.saturating_sub(1));
        let value = tensor.values[channel * height * width + at];
        let value = normalized.iter().rev().fold(value, |x, n| {
            x * of(&n.std, channel).unwrap_or(1.0) + of(&n.mean, channel).unwrap_or(0.0)
        });
        // The cast clips, and turns NaN into 0.
        (value * 255.0).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalize_is_undone() {
        let pipeline =
            Pipeline::parse("ToTensor | Normalize((0.5, 0.25, 0.0), (0.5, 0.25, 2.0))")
                .unwrap();
        let pixels = vec![0, 128, 255, 7, 200, 31];
        let image = Image { width: 2, height: 1, channels: 3, pixels: pixels.clone() };
        let made =
            pipeline.apply(Sample::Image(image), &mut transform::rng(0, 0, 0)).unwrap();
        assert!(matches!(&made, Sample::Tensor(t) if t.values.iter().any(|&x| x < 0.0)));
        assert_eq!(to_picture(&made, &pipeline).into_raw(), pixels);
        let tensor = Tensor { shape: [1, 1, 3], values: vec![-1.0, f32::NAN, 9.0] };
        assert_eq!(
            from_tensor(&tensor, &Pipeline::default()).into_raw(),
            [0, 0, 0, 0, 0, 0, 255, 255, 255]
        );
    }
}
