//! `RandomApply` and `RandomChoice`: transforms of transforms.

use rand::RngExt as _;

use super::Pipeline;
use super::arguments::{Argument, Place, transform};
use super::image::{Form, Kind, Sample};
use super::random::{Rng, happens};
use super::step::{Step, Wrong};
use super::value::{Item, Value};
use crate::{Error, Result};

transform! {
    /// Carries out all of some transforms with probability `p`, or none of them.
    pub struct RandomApply {
        /// The transforms, in order.
        pub transforms: Pipeline,
        /// How likely.
        pub p: f64 = 0.5,
    }
}

transform! {
    /// Carries out one of some transforms.
    pub struct RandomChoice {
        /// The transforms to choose from; a Compose is one of them.
        pub transforms: Vec<Pipeline>,
        /// How likely each is, relative to the others; `None`: all alike.
        pub p: Option<Vec<f64>> = None,
    }
}

impl Step for RandomApply {
    fn check(&self) -> std::result::Result<(), Wrong> {
        Wrong::unless_probability("p", self.p)
    }

    fn is_random(&self) -> bool {
        true
    }

    fn kind(&self, input: Kind) -> Kind {
        self.transforms.kind(input)
    }

    fn output(&self, input: Form) -> Result<Form> {
        either(input, self.transforms.output(input)?)
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        if happens(self.p, rng) { self.transforms.apply(sample, rng) } else { Ok(sample) }
    }
}

impl Step for RandomChoice {
    fn check(&self) -> std::result::Result<(), Wrong> {
        if self.transforms.is_empty() {
            return Err(Wrong::new("transforms", "must have at least one"));
        }
        let Some(p) = &self.p else {
            return Ok(());
        };
        if p.len() != self.transforms.len() {
            let why = format!(
                "has {} values for {} transforms",
                p.len(),
                self.transforms.len()
            );
            return Err(Wrong::new("p", why));
        }
        let sum: f64 = p.iter().sum();
        if p.iter().any(|&x| x < 0.0) || sum <= 0.0 || !sum.is_finite() {
            return Err(Wrong::new("p", "must be positive numbers"));
        }
        Ok(())
    }

    fn is_random(&self) -> bool {
        true
    }

    fn kind(&self, input: Kind) -> Kind {
        // `output` refuses those that differ.
        self.transforms.first().map_or(input, |first| first.kind(input))
    }

    fn output(&self, input: Form) -> Result<Form> {
        let mut forms = self.transforms.iter().map(|t| t.output(input));
        let first = forms.next().unwrap_or(Ok(input))?;
        forms.try_fold(first, |so_far, form| either(so_far, form?))
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        let weight =
            |i: usize| self.p.as_ref().map_or(1.0, |p| p.get(i).copied().unwrap_or(0.0));
        let total: f64 = (0..self.transforms.len()).map(weight).sum();
        let mut left = rng.random::<f64>() * total;
        for (i, transform) in self.transforms.iter().enumerate() {
            left -= weight(i);
            if left < 0.0 {
                return transform.apply(sample, rng);
            }
        }
        // Only rounding leads here.
        self.transforms.last().map_or(Ok(sample.clone()), |last| last.apply(sample, rng))
    }
}

/// What is known where it may be either: they may differ in size, but not in what train
/// must know.
fn either(a: Form, b: Form) -> Result<Form> {
    if (a.kind, a.channels) != (b.kind, b.channels) {
        return Err(Error::usage(
            "its alternatives differ in channels, or in being images or tensors",
        ));
    }
    Ok(Form { size: a.size.filter(|_| a.size == b.size), ..a })
}

impl Argument for Pipeline {
    fn read(item: &Item, place: &Place) -> Result<Self> {
        match &item.value {
            Value::List(_) => Self::read_list(place.text(), item),
            Value::Call(_) => Self::read_one(place.text(), item),
            _ => Err(place.must_be("a list of transforms", item)),
        }
    }
    fn value(&self) -> Value {
        let one = |step: &super::Transform| {
            Item::from(Value::Pipeline(Self::from(vec![step.clone()])))
        };
        Value::List(self.steps().iter().map(one).collect())
    }
}

impl Argument for Vec<Pipeline> {
    fn read(item: &Item, place: &Place) -> Result<Self> {
        match &item.value {
            Value::List(items) => {
                items.iter().map(|i| Pipeline::read_one(place.text(), i)).collect()
            }
            _ => Err(place.must_be("a list of transforms", item)),
        }
    }
    fn value(&self) -> Value {
        Value::List(self.iter().map(|p| Item::from(Value::Pipeline(p.clone()))).collect())
    }
}

impl Argument for Vec<f64> {
    fn read(item: &Item, place: &Place) -> Result<Self> {
        match &item.value {
            Value::List(items) => items.iter().map(|i| f64::read(i, place)).collect(),
            _ => Err(place.must_be("a list of numbers", item)),
        }
    }
    fn value(&self) -> Value {
        Value::tuple(self.iter().copied())
    }
}
