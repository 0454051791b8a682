//! STUB
#![allow(missing_docs)]
use crate::{Error, Result};
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    pub width: usize,
    pub height: usize,
    pub channels: usize,
    pub pixels: Vec<u8>,
}
pub struct Tensor {
    pub shape: [usize; 3],
    pub values: Vec<f32>,
}
pub enum Sample {
    Image(Image),
    Tensor(Tensor),
}
pub struct Rng;
pub fn rng(_: u64, _: u64, _: u64) -> Rng {
    Rng
}
#[derive(Debug, Clone, PartialEq)]
pub enum Transform {
    ToTensor,
    Normalize { mean: Vec<f32>, std: Vec<f32> },
}
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pipeline {
    steps: Vec<Transform>,
}
impl From<Vec<Transform>> for Pipeline {
    fn from(steps: Vec<Transform>) -> Self {
        Self { steps }
    }
}
impl Pipeline {
    pub fn parse(text: &str) -> Result<Self> {
        if text == "ToTensor" {
            Ok(Self { steps: vec![Transform::ToTensor] })
        } else {
            Err(Error::usage("stub"))
        }
    }
    pub fn steps(&self) -> &[Transform] {
        &self.steps
    }
    pub fn apply(&self, s: Sample, _: &mut Rng) -> Result<Sample> {
        Ok(s)
    }
    pub fn output_shape(&self, i: [usize; 3]) -> Result<[usize; 3]> {
        Ok(i)
    }
}
