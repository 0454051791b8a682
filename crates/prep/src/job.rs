//! The images of one split and how they are baked.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use torchmill::dataset::decode::{self, Decoded};
use torchmill::dataset::{self, Dataset};
use torchmill::pixels::Layout;
use torchmill::shard::{DType, Storage};
use torchmill::transform::{self, Exif, Image, Pipeline, Rng, Sample};
use torchmill::{Error, Result};

use crate::elements::{overflows, write_elements};
use crate::jpeg_file::JpegFile;
use crate::pipelines::SplitPipeline;
use crate::ranges;

/// The images of one split and what is done with them.
pub struct Job<'a> {
    /// The data set.
    pub set: &'a Dataset,
    /// `train`, `test`, `val`.
    pub split: String,
    /// The split's samples, in order.
    pub samples: &'a [dataset::Sample],
    /// The pipeline that they go through.
    pub pipeline: SplitPipeline,
    /// How many randomly drawn copies of each are made; 1 if nothing random is baked.
    pub copies: usize,
    /// The type of the written elements.
    pub dtype: DType,
    /// The order of an image's elements.
    pub layout: Layout,
    /// Whether all images must have one shape.
    pub needs_equal_sizes: bool,
    /// How shards store the images.
    pub storage: Storage,
    /// The bytes that each sample takes in a file; empty if all take the same.
    pub stored_bytes: Vec<u64>,
    /// The name of the files' format.
    pub format: &'static str,
    /// The seed for everything random.
    pub seed: u64,
    /// The shape of the first image, `[C, H, W]`.
    pub shape: [usize; 3],
    /// Where the first image came from.
    pub first: String,
    /// Whether an image whose decoder warns is bad.
    pub strict: bool,
    /// Whether a value was too large for float16.
    pub overflowed: AtomicBool,
    /// The images that cannot be read. `None` if the first of them is an error.
    pub bad: Option<Mutex<Vec<BadImage>>>,
    /// The decoder's warning about each damaged image that was read anyway, by its
    /// index in the split.
    pub warnings: Mutex<BTreeMap<usize, String>>,
}

/// An image that is left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BadImage {
    /// Its index, counting copies.
    pub index: usize,
    /// Where it is.
    pub location: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Why an image could not be baked.
pub enum Failure {
    /// The image itself cannot be read. `--skip-bad` leaves it out.
    Bad(Error),
    /// Anything else.
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl Job<'_> {
    /// How many images there are to write.
    pub fn len(&self) -> usize {
        self.samples.len() * self.copies
    }

    /// Bytes of pixels in one image.
    pub fn image_bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.size() as usize
    }

    /// The images of each file, of at most `limit` bytes of images.
    pub fn files(&self, limit: u64) -> Vec<Range<usize>> {
        if self.stored_bytes.is_empty() {
            return ranges::files(self.len(), self.image_bytes(), limit);
        }
        let sizes = (0..self.len()).map(|i| self.stored_bytes[i % self.samples.len()]);
        ranges::files_of_sizes(sizes, limit)
    }

    /// Image `i`'s sample. All samples come once, and then again for each further copy.
    pub fn sample(&self, i: usize) -> dataset::Sample {
        self.samples[i % self.samples.len()]
    }

    /// Image `i`'s label, as stored in files.
    pub fn label(&self, i: usize) -> i64 {
        self.sample(i).label.into()
    }

    /// Where image `i` is, for a message.
    pub fn location(&self, i: usize) -> String {
        self.set.location(self.sample(i))
    }

    /// Reads image `i` as it is before the pipeline, turned by its EXIF data if the pipeline
    /// begins with ExifTranspose.
    pub fn image(&self, i: usize) -> Result<Image, Failure> {
        let exif = self.pipeline.whole.exif();
        let decoded = self.set.decode(self.sample(i), exif).map_err(Failure::Bad)?;
        self.accept(i, decoded)
    }

    /// Reads image `i`'s file, and decodes it.
    pub fn file(&self, i: usize) -> Result<(Vec<u8>, Image), Failure> {
        let Some(bytes) = self.set.encoded(self.sample(i)) else {
            return Err(Failure::Other(Error::failed(format_args!(
                "{}: is not an image file",
                self.location(i)
            ))));
        };
        let bytes = bytes.map_err(Failure::Bad)?;
        let image = self.decode(i, &bytes)?;
        Ok((bytes, image))
    }

    /// Decodes image `i`'s file.
    fn decode(&self, i: usize, bytes: &[u8]) -> Result<Image, Failure> {
        let decoded = decode::decode(bytes, Exif::Ignore)
            .map_err(|e| Failure::Bad(e.within(self.location(i))))?;
        self.accept(i, decoded)
    }

    /// Returns the decoded image and records the decoder's warning, which makes the image
    /// bad with `--strict`.
    fn accept(&self, i: usize, decoded: Decoded) -> Result<Image, Failure> {
        self.accept_warning(i, decoded.warning)?;
        Ok(decoded.image)
    }

    fn accept_warning(&self, i: usize, warning: Option<String>) -> Result<(), Failure> {
        let Some(warning) = warning else { return Ok(()) };
        if self.strict {
            return Err(Failure::Bad(Error::failed(format_args!(
                "{}: is damaged ({warning}), which --strict refuses",
                self.location(i)
            ))));
        }
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        // Copies of an image are read from the same file.
        warnings.insert(i % self.samples.len(), warning);
        Ok(())
    }

    /// Image `i` through the baked part of the pipeline.
    pub fn bake(&self, i: usize) -> Result<Sample, Failure> {
        self.apply(&self.pipeline.baked, i)
    }

    /// Image `i` through these steps.
    pub fn apply(&self, steps: &Pipeline, i: usize) -> Result<Sample, Failure> {
        // Each copy is drawn like the image of one epoch.
        let copy = i / self.samples.len();
        let index = i % self.samples.len();
        let mut rng = transform::rng(self.seed, copy as u64, index as u64);
        let baked = match self.file_for(steps, i)? {
            Some(bytes) => self.apply_to_file(steps, i, &bytes, &mut rng)?,
            None => steps.apply(Sample::Image(self.image(i)?), &mut rng),
        };
        Ok(baked.map_err(|e| e.within(self.location(i)))?)
    }

    /// Image `i`'s file, if these steps may need only a part of it.
    fn file_for(&self, steps: &Pipeline, i: usize) -> Result<Option<Vec<u8>>, Failure> {
        if self.pipeline.whole.exif() != Exif::Ignore || !steps.needs_part() {
            return Ok(None);
        }
        self.set.encoded(self.sample(i)).transpose().map_err(Failure::Bad)
    }

    /// Image `i` through these steps, from its file. The inner error is one of the steps.
    fn apply_to_file(
        &self,
        steps: &Pipeline,
        i: usize,
        bytes: &[u8],
        rng: &mut Rng,
    ) -> Result<Result<Sample>, Failure> {
        if !decode::is_jpeg(bytes) {
            return Ok(steps.apply(Sample::Image(self.decode(i, bytes)?), rng));
        }
        let bad = |e: Error| Failure::Bad(e.within(self.location(i)));
        let jpeg = JpegFile::new(bytes).map_err(bad)?;
        let baked = steps.apply_to_file(&jpeg, rng);
        let warning = jpeg.into_warning().map_err(bad)?;
        self.accept_warning(i, warning)?;
        Ok(baked)
    }

    /// Image `i`'s shape after the pipeline, `[C, H, W]`, and its elements.
    pub fn elements(&self, i: usize) -> Result<([usize; 3], Vec<u8>), Failure> {
        let baked = self.bake(i)?;
        let shape = baked.shape();
        self.check_shape(i, shape)?;
        let size = shape.iter().product::<usize>() * self.dtype.size() as usize;
        let mut elements = vec![0; size];
        self.write_elements(&baked, &mut elements);
        Ok((shape, elements))
    }

    /// Writes a baked image's elements, and records whether one becomes infinite as
    /// float16.
    pub fn write_elements(&self, baked: &Sample, out: &mut [u8]) {
        if self.dtype == DType::Float16
            && let Sample::Tensor(tensor) = baked
            && overflows(&tensor.values)
        {
            self.overflowed.store(true, Ordering::Relaxed);
        }
        write_elements(baked, self.layout, self.dtype, out);
    }

    /// Refuses a shape other than the first image's, if all must be equal.
    pub fn check_shape(&self, i: usize, shape: [usize; 3]) -> Result<()> {
        if shape == self.shape || !self.needs_equal_sizes {
            return Ok(());
        }
        let [_, height, width] = self.shape;
        let other_formats = match self.format {
            "shard" => "",
            _ => "; shards and tars can hold images of different sizes",
        };
        Err(Error::failed(format_args!(
            "{}: is {shape:?} ([channels, height, width]) after the pipeline, but {} is \
             {:?}, and all must be of one size: put Resize(({height}, {width})), or \
             Resize({height}) | CenterCrop({height}), into the pipeline{other_formats}",
            self.location(i),
            self.first,
            self.shape
        )))
    }

    /// Returns `None` for a bad image and records it, if bad images are left out.
    pub fn unless_bad<T>(
        &self,
        i: usize,
        result: Result<T, Failure>,
    ) -> Result<Option<T>> {
        match (result, &self.bad) {
            (Ok(value), _) => Ok(Some(value)),
            (Err(Failure::Bad(error)), Some(bad)) => {
                let mut bad = bad.lock().unwrap_or_else(PoisonError::into_inner);
                bad.push(BadImage {
                    index: i,
                    location: self.location(i),
                    reason: error.to_string(),
                });
                Ok(None)
            }
            (Err(Failure::Bad(error)), None) => Err(error.with_advice(
                "--skip-bad FILE leaves out such images and lists them in FILE",
            )),
            (Err(Failure::Other(error)), _) => Err(error),
        }
    }

    /// The indices of the images that were bad, so far, in order.
    pub fn left_out(&self) -> Vec<usize> {
        let Some(bad) = &self.bad else { return Vec::new() };
        let bad = bad.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left_out: Vec<usize> = bad.iter().map(|image| image.index).collect();
        left_out.sort_unstable();
        left_out
    }

    /// Forgets the bad images and the warnings so far.
    pub fn forget_problems(&mut self) {
        if let Some(bad) = &mut self.bad {
            bad.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        }
        self.warnings.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
