//! A sequence of transforms: reading and writing its text, and applying it.

use std::fmt;
use std::str::FromStr;

use super::argument::{Argument, Parameter};
use super::dtype::Dtype;
use super::literal::{Call, CallArgument, Item, Literal};
use super::pixel_map::PixelMap;
use super::random::{Rng, rng};
use super::sample::{Exif, FilePart, Image, ImageFile, Sample, SampleKind, SampleSpec};
use super::{ConvertImageDtype, Normalize, ToDtype, Transform, syntax};
use crate::{Error, Result};

/// Transforms in order. An empty pipeline changes nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pipeline {
    steps: Vec<Transform>,
}

impl Pipeline {
    /// Reads text such as `Resize(32) | ToTensor`. `Compose([...])` is the same as its
    /// parts in order.
    ///
    /// Errors are usage errors that name the column and the transform.
    pub fn parse(text: &str) -> Result<Self> {
        let mut steps = Vec::new();
        for call in syntax::parse(text)? {
            Self::read(text, &call, &mut steps)?;
        }
        if steps.iter().skip(1).any(is_exif_transpose)
            || steps.iter().any(contains_exif_transpose)
        {
            return Err(Error::usage(
                "ExifTranspose must be the first step: an image is turned when its file \
                 is decoded",
            ));
        }
        Ok(Self { steps })
    }

    /// Appends the transform of a call, or those in a `Compose([...])`.
    fn read(text: &str, call: &Call, steps: &mut Vec<Transform>) -> Result<()> {
        if call.name != "Compose" {
            steps.push(Transform::read(text, call)?);
            return Ok(());
        }
        let is_transforms = |argument: &CallArgument| match &argument.name {
            Some((name, _)) => name == "transforms",
            None => true,
        };
        match &call.arguments[..] {
            [argument] if is_transforms(argument) => {
                steps.append(&mut Self::read_list(text, &argument.item)?.steps);
                Ok(())
            }
            _ => {
                let why = "Compose takes one list of transforms";
                Err(syntax::error_at(text, call.offset, why))
            }
        }
    }

    /// The transforms of a list, for RandomApply and Compose.
    fn read_list(text: &str, list: &Item) -> Result<Self> {
        let Literal::List(items) = &list.literal else {
            let found = list.literal.describe();
            let why = format_args!("expected a list of transforms, not {found}");
            return Err(syntax::error_at(text, list.offset, why));
        };
        let mut steps = Vec::new();
        for item in items {
            steps.append(&mut Self::read_one(text, item)?.steps);
        }
        Ok(Self { steps })
    }

    /// One transform of a list, or all of a Compose.
    fn read_one(text: &str, item: &Item) -> Result<Self> {
        let Literal::Call(call) = &item.literal else {
            let found = item.literal.describe();
            let why = format_args!("expected a transform, not {found}");
            return Err(syntax::error_at(text, item.offset, why));
        };
        let mut steps = Vec::new();
        Self::read(text, call, &mut steps)?;
        Ok(Self { steps })
    }

    /// The steps, in order.
    pub fn steps(&self) -> &[Transform] {
        &self.steps
    }

    /// Whether there are no steps.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Splits into (baked, deferred). The baked steps are those before the first one that
    /// is random or makes a tensor.
    pub fn split(&self) -> (Self, Self) {
        let can_be_baked = |transform: &&Transform| {
            let step = transform.step();
            !step.is_random() && step.output_kind(SampleKind::Image) == SampleKind::Image
        };
        let baked = self.steps.iter().take_while(can_be_baked).count();
        self.split_at(baked)
    }

    /// Splits into (before, last). `last` is the final steps that turn each level into a
    /// float, whatever the other pixels are: [`Pipeline::levels`] makes a table of them.
    /// It is empty if there are no such steps, or if earlier ones make floats.
    pub fn split_levels(&self) -> (Self, Self) {
        let last = self.steps.iter().rev().take_while(|t| maps_levels(t)).count();
        let (before, last) = self.split_at(self.steps.len() - last);
        if before.makes_tensors() || !last.makes_tensors() {
            return (self.clone(), Self::default());
        }
        (before, last)
    }

    /// For each channel, the value into which the last steps of
    /// [`Pipeline::split_levels`] turn each of the 256 levels.
    pub fn levels(&self, channels: usize) -> Result<Vec<[f32; 256]>> {
        let mut pixels = Vec::with_capacity(256 * channels);
        for level in 0..=255 {
            pixels.extend(std::iter::repeat_n(level, channels));
        }
        let ramp = Sample::Image(Image { width: 256, height: 1, channels, pixels });
        match self.apply(ramp, &mut rng(0, 0, 0))? {
            Sample::Tensor(tensor) => Ok(tensor.values.as_chunks::<256>().0.to_vec()),
            Sample::Image(_) => {
                Err(Error::failed(format_args!("`{self}` makes no floats of levels")))
            }
        }
    }

    /// The first `n` steps, and the rest.
    pub fn split_at(&self, n: usize) -> (Self, Self) {
        let (before, after) = self.steps.split_at(n.min(self.steps.len()));
        (Self { steps: before.to_vec() }, Self { steps: after.to_vec() })
    }

    /// What the pipeline does with an image file's EXIF orientation; the decoder applies
    /// it.
    pub fn exif(&self) -> Exif {
        if self.steps.first().is_some_and(is_exif_transpose) {
            Exif::Apply
        } else {
            Exif::Ignore
        }
    }

    /// Whether any step draws random numbers.
    pub fn is_random(&self) -> bool {
        self.steps.iter().any(|t| t.step().is_random())
    }

    /// Rejects a `Normalize(auto)` for which the train split's statistics are wrong: one
    /// whose input is not the values from 0 to 1 that ToTensor makes, and one within a
    /// random choice.
    pub fn check_statistics(&self) -> Result<()> {
        let refuse = |why: &str| Err(Error::usage(format_args!("Normalize(auto) {why}")));
        let mut kind = SampleKind::Image;
        // The reason why the statistics would be wrong here.
        let mut wrong: Option<&str> = None;
        for transform in &self.steps {
            match transform {
                Transform::Normalize(n) if n.is_auto() => {
                    if let Some(why) = wrong {
                        return refuse(why);
                    }
                }
                Transform::ToDtype(ToDtype { dtype: Dtype::Float32, scale: false })
                    if kind == SampleKind::Image =>
                {
                    wrong = Some(UNSCALED);
                }
                Transform::RandomApply(_) | Transform::RandomChoice(_)
                    if needs_statistics(transform) =>
                {
                    let name = transform.step().name();
                    return refuse(&format!("cannot be within {name}: put it after it"));
                }
                _ => {}
            }
            if matches!(transform, Transform::Normalize(_)) {
                wrong = Some("comes after another Normalize: leave out one of them");
            }
            kind = transform.step().output_kind(kind);
            if kind == SampleKind::Image {
                wrong = None;
            }
        }
        Ok(())
    }

    /// Whether a `Normalize(auto)` has no statistics yet.
    pub fn needs_statistics(&self) -> bool {
        self.steps.iter().any(needs_statistics)
    }

    /// The pipeline with these statistics, one value for each channel, in every
    /// `Normalize(auto)`.
    #[must_use]
    pub fn with_statistics(&self, mean: &[f32], std: &[f32]) -> Self {
        let filled = |t: &Transform| match t {
            Transform::Normalize(n) if n.is_auto() => {
                Normalize { mean: mean.to_vec(), std: std.to_vec() }.into()
            }
            other => other.clone(),
        };
        Self { steps: self.steps.iter().map(filled).collect() }
    }

    /// Whether this pipeline, which shards were made with, is the `requested` one. A
    /// `Normalize(auto)` in the requested one matches any statistics.
    pub fn satisfies(&self, requested: &Self) -> bool {
        let same = |(own, requested): (&Transform, &Transform)| match (own, requested) {
            (Transform::Normalize(_), Transform::Normalize(r)) if r.is_auto() => true,
            _ => own == requested,
        };
        self.steps.len() == requested.steps.len()
            && self.steps.iter().zip(&requested.steps).all(same)
    }

    /// Applies the steps to one sample, with random numbers from the sample's generator
    /// (see [`rng`](super::rng)).
    ///
    /// Errors name the step, for instance if a crop does not fit or a transform for images
    /// comes after ToTensor.
    pub fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        apply_steps(&self.steps, sample, rng)
    }

    /// Like [`Pipeline::apply`], for an image file, decoding only the part that the first
    /// steps need. The file's errors are returned as they are.
    pub fn apply_to_file(&self, file: &dyn ImageFile, rng: &mut Rng) -> Result<Sample> {
        if let Some((Transform::RandomResizedCrop(crop), rest)) = self.steps.split_first()
        {
            let image = crop.apply_to_file(file, rng);
            let image = image.map_err(|e| e.within("RandomResizedCrop"))?;
            return apply_steps(rest, Sample::Image(image), rng);
        }
        if let [Transform::Resize(resize), Transform::CenterCrop(crop), rest @ ..] =
            &self.steps[..]
            && let Some(crop) = resize.then_crop_file(crop, file.shape())
        {
            let decoded = file.decode(crop.part())?;
            let image = crop.apply(&decoded).map_err(|e| e.within("Resize"))?;
            return apply_steps(rest, Sample::Image(image), rng);
        }
        let whole = FilePart::whole(file.shape());
        self.apply(Sample::Image(file.decode(&whole)?.image), rng)
    }

    /// Whether [`Pipeline::apply_to_file`] needs only a part of some files.
    pub fn needs_part(&self) -> bool {
        matches!(
            &self.steps[..],
            [Transform::RandomResizedCrop(_), ..]
                | [Transform::Resize(_), Transform::CenterCrop(_), ..]
        )
    }

    /// One map for all steps, for a uint8 image of this height and width, or `None` if a
    /// step does more than move whole rows and columns, or if two steps fill with
    /// different values. Whether it is `None` does not depend on random numbers. Draws
    /// the same numbers as [`Pipeline::apply`].
    pub fn pixel_map(
        &self,
        height: usize,
        width: usize,
        rng: &mut Rng,
    ) -> Result<Option<PixelMap>> {
        let mut map = PixelMap::identity(height, width);
        for step in self.steps.iter().map(Transform::step) {
            let next = step
                .pixel_map(map.rows.len(), map.columns.len(), rng)
                .map_err(|e| e.within(step.name()))?;
            match next.and_then(|next| map.then(next)) {
                Some(both) => map = both,
                None => return Ok(None),
            }
        }
        Ok(Some(map))
    }

    /// The spec of the output for this input, without applying anything. The size is
    /// `None` if it may differ between images.
    pub fn output(&self, input: SampleSpec) -> Result<SampleSpec> {
        input.check()?;
        let mut spec = input;
        for step in self.steps.iter().map(Transform::step) {
            let output = step.output(spec).map_err(|e| e.within(step.name()))?;
            output.check().map_err(|e| e.within(step.name()))?;
            spec = output;
        }
        Ok(spec)
    }

    /// The output's shape `[C, H, W]` for this input. An error if a step cannot be
    /// applied, or if the size would differ between images.
    pub fn output_shape(&self, input: SampleSpec) -> Result<[usize; 3]> {
        let spec = self.output(input)?;
        match spec.size {
            Some((height, width)) => Ok([spec.channels, height, width]),
            None => Err(Error::usage(
                "the images would have different sizes: end with Resize((height, width)) \
                 or a crop",
            )),
        }
    }

    /// Whether it turns uint8 images into float32 tensors.
    pub fn makes_tensors(&self) -> bool {
        self.output_kind(SampleKind::Image) == SampleKind::Tensor
    }

    /// The kind of the output for this kind of input.
    pub(super) fn output_kind(&self, input: SampleKind) -> SampleKind {
        self.steps.iter().fold(input, |kind, t| t.step().output_kind(kind))
    }

    /// The pipeline as one element of a list: a transform, or a Compose.
    fn to_literal(&self) -> Literal {
        match &self.steps[..] {
            [one] => one.step().to_call().into(),
            _ => {
                let list = CallArgument::positional(Argument::literal(self));
                Call::new("Compose", vec![list]).into()
            }
        }
    }
}

/// Applies steps in order.
fn apply_steps(steps: &[Transform], sample: Sample, rng: &mut Rng) -> Result<Sample> {
    sample.check()?;
    let mut sample = sample;
    let mut steps = steps;
    while let Some((first, rest)) = steps.split_first() {
        let step = first.step();
        // Only the pixels that the crop keeps need to be resized.
        let (result, rest) = match (first, rest, sample) {
            (
                Transform::Resize(resize),
                [Transform::CenterCrop(crop), rest @ ..],
                Sample::Image(image),
            ) => (resize.then_crop(image, crop).map(Sample::Image), rest),
            (_, rest, sample) => (step.apply(sample, rng), rest),
        };
        sample = result.map_err(|e| e.within(step.name()))?;
        steps = rest;
    }
    Ok(sample)
}

const UNSCALED: &str = "is for values from 0 to 1, and ToDtype(float32) leaves them from 0 \
     to 255: write ToDtype(float32, scale=True), or ToTensor";

/// Whether a step maps each level by itself.
fn maps_levels(transform: &Transform) -> bool {
    match transform {
        Transform::ToTensor(_) | Transform::ToImage(_) | Transform::PILToTensor(_) => {
            true
        }
        Transform::ToDtype(ToDtype { dtype, .. })
        | Transform::ConvertImageDtype(ConvertImageDtype { dtype }) => {
            *dtype == Dtype::Float32
        }
        Transform::Normalize(normalize) => !normalize.is_auto(),
        _ => false,
    }
}

fn is_exif_transpose(transform: &Transform) -> bool {
    matches!(transform, Transform::ExifTranspose(_))
}

/// Whether a random choice has an ExifTranspose among its steps.
fn contains_exif_transpose(transform: &Transform) -> bool {
    let is_in = |pipeline: &Pipeline| {
        pipeline
            .steps
            .iter()
            .any(|step| is_exif_transpose(step) || contains_exif_transpose(step))
    };
    match transform {
        Transform::RandomApply(apply) => is_in(&apply.transforms),
        Transform::RandomChoice(choice) => choice.transforms.iter().any(is_in),
        _ => false,
    }
}

/// Whether a step is, or contains, a `Normalize(auto)` without statistics.
fn needs_statistics(transform: &Transform) -> bool {
    match transform {
        Transform::Normalize(normalize) => normalize.is_auto(),
        Transform::RandomApply(apply) => apply.transforms.needs_statistics(),
        Transform::RandomChoice(choice) => {
            choice.transforms.iter().any(Pipeline::needs_statistics)
        }
        _ => false,
    }
}

impl FromStr for Pipeline {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl From<Vec<Transform>> for Pipeline {
    fn from(steps: Vec<Transform>) -> Self {
        Self { steps }
    }
}

/// A list of transforms, all of which are applied.
impl Argument for Pipeline {
    fn read(item: &Item, parameter: &Parameter) -> Result<Self> {
        match &item.literal {
            Literal::List(_) => Self::read_list(parameter.text(), item),
            Literal::Call(_) => Self::read_one(parameter.text(), item),
            _ => Err(parameter.must_be("a list of transforms", item)),
        }
    }

    fn literal(&self) -> Literal {
        Literal::list(self.steps.iter().map(|transform| transform.step().to_call()))
    }
}

/// A list of alternatives.
impl Argument for Vec<Pipeline> {
    fn read(item: &Item, parameter: &Parameter) -> Result<Self> {
        let Literal::List(items) = &item.literal else {
            return Err(parameter.must_be("a list of transforms", item));
        };
        items.iter().map(|item| Pipeline::read_one(parameter.text(), item)).collect()
    }

    fn literal(&self) -> Literal {
        Literal::list(self.iter().map(Pipeline::to_literal))
    }
}

/// The canonical text, which parses to an equal pipeline. It leaves out arguments that are
/// defaults.
impl fmt::Display for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, transform) in self.steps.iter().enumerate() {
            if i > 0 {
                f.write_str(" | ")?;
            }
            write!(f, "{transform}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.step().to_call())
    }
}

#[cfg(test)]
mod tests;
