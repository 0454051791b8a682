//! Reads image files into the network's input form.

use std::path::Path;

use rayon::prelude::*;
use tch::{Device, Tensor};
use torchmill::dataset::decode;
use torchmill::transform::{
    Exif, Grayscale, Image, Pipeline, Sample, SampleKind, SampleSpec, rng,
};
use torchmill::{Context, Error, Result};
use torchmill_nn::loader::Batch;
use torchmill_nn::spec::Spec;
use torchmill_nn::torch_error;

use super::Loaded;
use super::list::Source;

/// The shorter side of pictures on a page, in pixels.
const PICTURE: usize = 128;

/// Turns image files into inputs.
pub struct Reader {
    pipeline: Pipeline,
    input: [usize; 3],
}

/// Why an image could not be loaded.
enum Failure {
    /// The file cannot be read or is not an image: `--skip-bad` skips it.
    Bad(Error),
    /// Anything else.
    Other(Error),
}

impl Reader {
    /// Uses `transform`, or else the checkpoint's pipeline.
    pub fn new(spec: &Spec, transform: Option<&str>) -> Result<Self> {
        let text = transform.unwrap_or(&spec.transform);
        let mut pipeline = Pipeline::parse(text)?;
        if !pipeline.makes_tensors() {
            return Err(Error::usage(format_args!(
                "the pipeline `{text}` has no ToTensor, so a network cannot take its \
                 images: give one with --transform"
            )));
        }
        let gives = |pipeline: &Pipeline| {
            let rgb = SampleSpec { kind: SampleKind::Image, channels: 3, size: None };
            pipeline.output(rgb).map(|form| form.channels)
        };
        // MNIST's digits are stored with one channel, and their pipeline does not mention
        // colour. Files are read as RGB, so a network for one channel gets their
        // luminance.
        if spec.input[0] == 1 && gives(&pipeline).is_ok_and(|channels| channels == 3) {
            // ExifTranspose must stay first.
            let turn = usize::from(pipeline.exif() == Exif::Apply);
            let mut steps = pipeline.steps().to_vec();
            steps.insert(turn, Grayscale { num_output_channels: 1 }.into());
            pipeline = steps.into();
        }
        Ok(Self { pipeline, input: spec.input })
    }

    /// How the images' EXIF orientation is handled.
    pub fn exif(&self) -> Exif {
        self.pipeline.exif()
    }

    /// The shape of an input, `[C, H, W]`.
    pub fn input(&self) -> [usize; 3] {
        self.input
    }

    /// Loads these images. `first` is the index of the first one. The batch is `None` if
    /// no image can be read. The second result describes bad images, if these are
    /// skipped.
    pub fn load(
        &self,
        sources: Vec<Source>,
        first: usize,
        skip_bad: bool,
        device: Device,
    ) -> Result<(Option<Loaded>, Vec<String>)> {
        let read: Vec<_> = sources
            .par_iter()
            .enumerate()
            .map(|(i, source)| self.image(&source.path, first + i))
            .collect();
        let (mut kept, mut values, mut bad) = (Vec::new(), Vec::new(), Vec::new());
        for (source, image) in sources.into_iter().zip(read) {
            match image {
                Ok(mut image) => {
                    values.append(&mut image);
                    kept.push(source);
                }
                Err(Failure::Bad(error)) if skip_bad => bad.push(error.to_string()),
                Err(Failure::Bad(error) | Failure::Other(error)) => return Err(error),
            }
        }
        if kept.is_empty() {
            return Ok((None, bad));
        }
        let [c, h, w] = self.input.map(|n| n as i64);
        // In memory the channels come last, which is the fastest layout for the layers.
        let images = Tensor::f_from_slice(&values)
            .and_then(|values| values.f_view([kept.len() as i64, h, w, c]))
            .and_then(|images| images.f_permute([0, 3, 1, 2]))
            .map_err(|e| torch_error(&e))?;
        // The loss of images without labels is not used.
        let labels: Vec<i64> =
            kept.iter().map(|source| source.label.unwrap_or(0) as i64).collect();
        let batch = Batch::upload(&images, labels, device)?;
        Ok((Some(Loaded { sources: kept, batch }), bad))
    }

    /// An image's values, `[H, W, C]`.
    fn image(&self, path: &Path, index: usize) -> Result<Vec<f32>, Failure> {
        let image = decoded(path, self.pipeline.exif()).map_err(Failure::Bad)?;
        let size = (image.height, image.width);
        let place = |e: Error| Failure::Other(e.within(path.display()));
        let sample = self
            .pipeline
            .apply(Sample::Image(image), &mut rng(0, 0, index as u64))
            .map_err(place)?;
        let Sample::Tensor(tensor) = sample else {
            return Err(place(Error::failed("the pipeline makes no tensor")));
        };
        if tensor.shape != self.input {
            return Err(place(self.misfit(size, tensor.shape)));
        }
        let [channels, height, width] = tensor.shape;
        let plane = height * width;
        let values = (0..plane).flat_map(|i| (0..channels).map(move |c| c * plane + i));
        Ok(values.map(|at| tensor.values[at]).collect())
    }

    fn misfit(&self, (height, width): (usize, usize), [c, h, w]: [usize; 3]) -> Error {
        let [channels, rows, columns] = self.input;
        let pipeline = &self.pipeline;
        if channels != c {
            return Error::usage(format_args!(
                "has {c} channels after the pipeline `{pipeline}`, the network takes \
                 {channels}: give one that makes {channels} with --transform"
            ));
        }
        Error::usage(format_args!(
            "is {height} x {width} (height x width), and {h} x {w} after the pipeline \
             `{pipeline}`, the network takes {rows} x {columns}: put Resize into it, \
             --transform 'Resize(({rows}, {columns})) | {pipeline}'"
        ))
    }
}

fn decoded(path: &Path, exif: Exif) -> Result<Image> {
    let bytes = std::fs::read(path).doing("read", path)?;
    let decoded = decode::decode(&bytes, exif).map_err(|e| e.within(path.display()))?;
    Ok(decoded.image)
}

/// Reads an image file, scaled for a page.
pub fn picture(path: &Path, exif: Exif) -> Result<Image> {
    let image = decoded(path, exif)?;
    if image.width.min(image.height) <= PICTURE {
        return Ok(image);
    }
    let small = Pipeline::parse(&format!("Resize({PICTURE})"))?;
    match small.apply(Sample::Image(image), &mut rng(0, 0, 0))? {
        Sample::Image(image) => Ok(image),
        Sample::Tensor(_) => Err(Error::failed("a tensor after Resize")),
    }
}
