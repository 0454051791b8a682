//! What every transform can be asked.

use super::image::{Form, Kind, Sample};
use super::random::Rng;
use super::rearrangement::Rearrangement;
use super::value::Value;
use crate::{Error, Result};

/// What [`arguments!`](super::arguments) generates for each transform.
pub(super) trait Declared {
    /// torchvision's name.
    fn name(&self) -> &'static str;
    /// What a canonical text has between the parentheses: each argument that is not its
    /// default, with its name where it cannot stand by position.
    fn written(&self) -> Vec<(Option<&'static str>, Value)>;
}

/// What a transform does. Its arguments are its struct's fields.
pub(super) trait Step: Declared {
    /// Whether the arguments are in range, called once when a text is parsed.
    fn check(&self) -> std::result::Result<(), Wrong> {
        Ok(())
    }

    /// Whether it draws random numbers.
    fn is_random(&self) -> bool {
        false
    }

    /// Whether bytes or floats come out for what goes in.
    fn kind(&self, input: Kind) -> Kind {
        input
    }

    /// The form that comes out for the form that goes in, or an error where it cannot
    /// take it.
    fn output(&self, input: Form) -> Result<Form> {
        Ok(input)
    }

    /// For a transform that does nothing but move whole rows and columns: where they come
    /// from in an image of this height and width. That is all there is to say of it;
    /// other transforms have [`Step::apply`].
    fn rearrangement(
        &self,
        _height: usize,
        _width: usize,
        _rng: &mut Rng,
    ) -> Result<Option<Rearrangement>> {
        Ok(None)
    }

    /// The work itself. A sample's length agrees with its shape, here and in what is
    /// returned.
    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        let [_, height, width] = sample.shape();
        match self.rearrangement(height, width, rng)? {
            Some(rearrangement) => rearrangement.apply(&sample),
            None => Err(Error::failed("has nothing to do to an image")),
        }
    }
}

/// An argument out of range.
#[derive(Debug)]
pub(super) struct Wrong {
    /// Which argument, by torchvision's name.
    pub parameter: &'static str,
    /// What is wrong with it: `must be from 0 to 1, not 1.5`.
    pub why: String,
}

impl Wrong {
    pub(super) fn new(parameter: &'static str, why: impl Into<String>) -> Self {
        Self { parameter, why: why.into() }
    }

    /// Unless this is a probability.
    pub(super) fn unless_probability(
        parameter: &'static str,
        p: f64,
    ) -> std::result::Result<(), Self> {
        if (0.0..=1.0).contains(&p) {
            return Ok(());
        }
        Err(Self::new(parameter, format!("must be from 0 to 1, not {p}")))
    }
}
