//! Image files as the network takes them.

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

/// The shorter side of a picture on a page, in pixels.
const PICTURE: usize = 128;

/// Files to inputs.
pub struct Reader {
    pipeline: Pipeline,
    input: [usize; 3],
}

/// Why an image did not come through.
enum Failure {
    /// The file cannot be read, or is no image: what `--skip-bad` leaves out.
    Bad(Error),
    /// Anything else.
    Other(Error),
}

impl Reader {
    /// Takes the checkpoint's pipeline, or this one.
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
        // Digits of MNIST are stored in one channel and their pipeline says nothing of
        // colour; files are read as RGB, and a network for one channel gets their
        // luminance.
        if spec.input[0] == 1 && gives(&pipeline).is_ok_and(|channels| channels == 3) {
            // After ExifTranspose, which comes first.
            let turn = usize::from(pipeline.exif() == Exif::Apply);
            let mut steps = pipeline.steps().to_vec();
            steps.insert(turn, Grayscale { num_output_channels: 1 }.into());
            pipeline = steps.into();
        }
        Ok(Self { pipeline, input: spec.input })
    }

    /// What is done with the images' EXIF orientation.
    pub fn exif(&self) -> Exif {
        self.pipeline.exif()
    }

    /// The shape that comes out, `[C, H, W]`.
    pub fn input(&self) -> [usize; 3] {
        self.input
    }

    /// Reads these images, the first of which is image number `first`. `None` if none can
    /// be read. The second list names bad ones, if these are skipped.
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
        // Stored with the channels last, which is the layout that the layers like.
        let images = Tensor::f_from_slice(&values)
            .and_then(|values| values.f_view([kept.len() as i64, h, w, c]))
            .and_then(|images| images.f_permute([0, 3, 1, 2]))
            .map_err(|e| torch_error(&e))?;
        // Without labels, nothing reads the loss.
        let labels: Vec<i64> =
            kept.iter().map(|source| source.label.unwrap_or(0) as i64).collect();
        let batch = Batch::upload(&images, labels, device)?;
        Ok((Some(Loaded { sources: kept, batch }), bad))
    }

    /// An image's values, the channels of a pixel side by side.
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

/// An image file in the size of a picture on a page.
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
