//! A sequence of transforms, as text and as work.

use std::fmt;
use std::str::FromStr;

use super::image::{Form, Image, Kind, Sample};
use super::random::Rng;
use super::rearrangement::Rearrangement;
use super::table::Transform;
use super::value::{Call, Item, Value};
use super::{ConvertImageDtype, Dtype, Normalize, ToDtype, syntax};
use crate::{Error, Result};

/// Transforms in order. The empty one changes nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pipeline {
    steps: Vec<Transform>,
}

impl Pipeline {
    /// Reads a text such as `Resize(32) | ToTensor`. `Compose([...])` is the same as its
    /// parts in order.
    ///
    /// Errors are [`Error::Usage`], with the column and the transform.
    pub fn parse(text: &str) -> Result<Self> {
        let mut steps = Vec::new();
        for call in syntax::parse(text)? {
            Self::read(text, &call, &mut steps)?;
        }
        Ok(Self { steps })
    }

    /// Appends the transform that this call is, or those of a `Compose([...])`.
    fn read(text: &str, call: &Call, steps: &mut Vec<Transform>) -> Result<()> {
        if call.name != "Compose" {
            steps.push(Transform::read(text, call)?);
            return Ok(());
        }
        match &call.arguments[..] {
            [given]
                if given.name.as_ref().is_none_or(|(name, _)| name == "transforms") =>
            {
                steps.append(&mut Self::read_list(text, &given.item)?.steps);
                Ok(())
            }
            _ => Err(syntax::wrong_at(
                text,
                call.at,
                "Compose takes one list of transforms",
            )),
        }
    }

    /// The transforms of a list, as RandomApply and Compose have them.
    pub(super) fn read_list(text: &str, list: &Item) -> Result<Self> {
        let Value::List(items) = &list.value else {
            let why = format_args!(
                "expected a list of transforms, not {}",
                list.value.described()
            );
            return Err(syntax::wrong_at(text, list.at, why));
        };
        let mut steps = Vec::new();
        for item in items {
            steps.append(&mut Self::read_one(text, item)?.steps);
        }
        Ok(Self { steps })
    }

    /// One transform of a list; more than one where it is a Compose.
    pub(super) fn read_one(text: &str, item: &Item) -> Result<Self> {
        let Value::Call(call) = &item.value else {
            let why =
                format_args!("expected a transform, not {}", item.value.described());
            return Err(syntax::wrong_at(text, item.at, why));
        };
        let mut steps = Vec::new();
        Self::read(text, call, &mut steps)?;
        Ok(Self { steps })
    }

    /// The steps, in order.
    pub fn steps(&self) -> &[Transform] {
        &self.steps
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// (baked, deferred): the longest prefix that is deterministic and leaves uint8
    /// pixels, and the rest, from ToTensor or the first random step on. A
    /// `Normalize(auto)` is no obstacle: it comes after ToTensor.
    pub fn split(&self) -> (Self, Self) {
        let bakes = |t: &&Transform| {
            !t.step().is_random() && t.step().kind(Kind::Image) == Kind::Image
        };
        let n = self.steps.iter().take_while(bakes).count();
        self.split_at(n)
    }

    /// The last steps that turn pixels into floats level by level, whatever is beside
    /// them, and those before: (before, last). `last` is empty where there are none, as
    /// where floats are made earlier.
    pub fn split_levels(&self) -> (Self, Self) {
        let of_levels = |t: &&Transform| match t {
            Transform::ToTensor(_)
            | Transform::ToImage(_)
            | Transform::PILToTensor(_) => true,
            Transform::ToDtype(ToDtype { dtype, .. })
            | Transform::ConvertImageDtype(ConvertImageDtype { dtype }) => {
                *dtype == Dtype::Float32
            }
            Transform::Normalize(normalize) => !normalize.is_auto(),
            _ => false,
        };
        let last = self.steps.iter().rev().take_while(of_levels).count();
        let (before, last) = self.split_at(self.steps.len() - last);
        if before.makes_tensors() || !last.makes_tensors() {
            (self.clone(), Self::default())
        } else {
            (before, last)
        }
    }

    /// What the last steps of [`Pipeline::split_levels`] make of each of the 256 levels,
    /// channel by channel.
    pub fn levels(&self, channels: usize) -> Result<Vec<[f32; 256]>> {
        let pixels =
            (0..=255).flat_map(|level| std::iter::repeat_n(level, channels)).collect();
        let ramp = Sample::Image(Image { width: 256, height: 1, channels, pixels });
        match self.apply(ramp, &mut super::rng(0, 0, 0))? {
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

    /// Whether any step draws random numbers.
    pub fn is_random(&self) -> bool {
        self.steps.iter().any(|t| t.step().is_random())
    }

    /// Refuses a `Normalize(auto)` that the train split's statistics are not for: one
    /// whose values are not those from 0 to 1 that ToTensor makes, and one within a
    /// random choice.
    pub fn check_statistics(&self) -> Result<()> {
        let refuse = |why: &str| Err(Error::usage(format_args!("Normalize(auto) {why}")));
        let (mut kind, mut changed) = (Kind::Image, None);
        for transform in &self.steps {
            let step = transform.step();
            match transform {
                Transform::Normalize(n) if n.is_auto() => {
                    if let Some(why) = changed {
                        return refuse(why);
                    }
                }
                Transform::ToDtype(ToDtype { dtype: Dtype::Float32, scale: false })
                    if kind == Kind::Image =>
                {
                    changed = Some(
                        "is for values from 0 to 1, and ToDtype(float32) leaves them from 0 to 255: write \
                         ToDtype(float32, scale=True), or ToTensor",
                    );
                }
                Transform::RandomApply(one) if one.transforms.needs_statistics() => {
                    return refuse("cannot be within RandomApply: put it after it");
                }
                Transform::RandomChoice(some)
                    if some.transforms.iter().any(Self::needs_statistics) =>
                {
                    return refuse("cannot be within RandomChoice: put it after it");
                }
                _ => {}
            }
            if matches!(transform, Transform::Normalize(_)) {
                changed = Some("comes after another Normalize: leave out one of them");
            }
            kind = step.kind(kind);
            if kind == Kind::Image {
                changed = None;
            }
        }
        Ok(())
    }

    /// Whether a `Normalize(auto)` still waits for its statistics.
    pub fn needs_statistics(&self) -> bool {
        let needs = |transform: &Transform| match transform {
            Transform::Normalize(n) => n.is_auto(),
            Transform::RandomApply(one) => one.transforms.needs_statistics(),
            Transform::RandomChoice(some) => {
                some.transforms.iter().any(Self::needs_statistics)
            }
            _ => false,
        };
        self.steps.iter().any(needs)
    }

    /// The same pipeline with every `Normalize(auto)` given these, one value a channel.
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

    /// Whether this, as shards have it, is what `asked` asks for. Any statistics will do
    /// for a `Normalize(auto)`.
    pub fn carries_out(&self, asked: &Self) -> bool {
        let same = |(done, asked): (&Transform, &Transform)| match (done, asked) {
            (Transform::Normalize(_), Transform::Normalize(asked)) if asked.is_auto() => {
                true
            }
            _ => done == asked,
        };
        self.steps.len() == asked.steps.len()
            && self.steps.iter().zip(&asked.steps).all(same)
    }

    /// Carries out the steps on one sample, drawing from its generator (see
    /// [`rng`](super::rng)).
    ///
    /// Errors name the step: a size that does not fit, a transform of pixels after
    /// ToTensor.
    pub fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        sample.check()?;
        let mut sample = sample;
        let mut steps = &self.steps[..];
        while let Some((first, rest)) = steps.split_first() {
            let step = first.step();
            // What a crop cuts off again need not be resized first.
            let (done, rest) = match (first, rest, sample) {
                (
                    Transform::Resize(resize),
                    [Transform::CenterCrop(crop), rest @ ..],
                    Sample::Image(image),
                ) => (resize.then_crop(image, crop).map(Sample::Image), rest),
                (_, rest, sample) => (step.apply(sample, rng), rest),
            };
            sample = done.map_err(|e| e.within(step.name()))?;
            steps = rest;
        }
        Ok(sample)
    }

    /// All steps at once, for a uint8 image of this height and width, where they do
    /// nothing but move whole rows and columns and would fill what is missing with the
    /// same; `None` otherwise, which does not depend on what is drawn. It draws what
    /// [`Pipeline::apply`] draws.
    pub fn rearrangement(
        &self,
        height: usize,
        width: usize,
        rng: &mut Rng,
    ) -> Result<Option<Rearrangement>> {
        let mut all = Rearrangement::nothing(height, width);
        for step in self.steps.iter().map(Transform::step) {
            let (height, width) = (all.rows.len(), all.columns.len());
            let next = step
                .rearrangement(height, width, rng)
                .map_err(|e| e.within(step.name()))?;
            match next.and_then(|next| all.then(next)) {
                Some(both) => all = both,
                None => return Ok(None),
            }
        }
        Ok(Some(all))
    }

    /// What comes out for what goes in, without doing it. The size is `None` where it may
    /// differ from image to image.
    pub fn output(&self, input: Form) -> Result<Form> {
        input.check()?;
        self.steps.iter().try_fold(input, |form, transform| {
            let step = transform.step();
            let output = step.output(form).and_then(|o| o.check().map(|()| o));
            output.map_err(|e| e.within(step.name()))
        })
    }

    /// `[C, H, W]` out for `[C, H, W]` of a uint8 image in; an error where a step cannot
    /// take it, or where the size would differ from image to image.
    pub fn output_shape(&self, input: [usize; 3]) -> Result<[usize; 3]> {
        let form = self.output(Form::image(input))?;
        match form.size {
            Some((height, width)) => Ok([form.channels, height, width]),
            None => Err(Error::usage(
                "the images would come out in different sizes: end with Resize((height, width)) or a crop",
            )),
        }
    }

    /// Whether uint8 images come out as float32 tensors.
    pub fn makes_tensors(&self) -> bool {
        self.kind(Kind::Image) == Kind::Tensor
    }

    /// Whether bytes or floats come out for what goes in.
    pub(super) fn kind(&self, input: Kind) -> Kind {
        self.steps.iter().fold(input, |kind, t| t.step().kind(kind))
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

/// The canonical text, which parses back to an equal pipeline: arguments that are
/// defaults are left out.
impl fmt::Display for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_joined(f, &self.steps, " | ")
    }
}

impl Pipeline {
    /// The text of this pipeline as one item of a list: a transform, or a Compose.
    pub(super) fn nested(&self) -> impl fmt::Display {
        struct Nested<'a>(&'a [Transform]);
        impl fmt::Display for Nested<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                if let [one] = self.0 {
                    return write!(f, "{one}");
                }
                f.write_str("Compose([")?;
                write_joined(f, self.0, ", ")?;
                f.write_str("])")
            }
        }
        Nested(&self.steps)
    }
}

fn write_joined(
    f: &mut fmt::Formatter<'_>,
    steps: &[Transform],
    between: &str,
) -> fmt::Result {
    for (i, step) in steps.iter().enumerate() {
        if i > 0 {
            f.write_str(between)?;
        }
        write!(f, "{step}")?;
    }
    Ok(())
}

/// `Name(positional, name=value)`, or the bare name.
impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = self.step();
        f.write_str(step.name())?;
        let mut before = "(";
        for (name, value) in step.written() {
            f.write_str(before)?;
            match name {
                Some(name) => write!(f, "{name}={value}")?,
                None => write!(f, "{value}")?,
            }
            before = ", ";
        }
        if before == "(" { Ok(()) } else { f.write_str(")") }
    }
}

#[cfg(test)]
mod tests;
