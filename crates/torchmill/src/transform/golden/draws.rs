//! Random transforms with given draws: see tests/golden/draws.py.

use std::collections::HashMap;

use super::super::argument_types::{Fill, Interpolation};
use super::super::augment::mix;
use super::super::augment::tests::apply_named;
use super::super::pixels::grid::{Displacement, displace};
use super::super::pixels::perspective::perspective;
use super::super::{Image, Pipeline, Sample, Transform};

/// Applies the transform and the draws in a golden's name.
pub fn apply(text: &str, image: &Image, goldens: &HashMap<String, Sample>) -> Image {
    let (name, rest) = text.split_once(' ').unwrap();
    match name {
        "crop" => crop(rest, image),
        "perspective" => perspective_of(rest, image),
        "elastic" => elastic(rest, image, goldens),
        "jitter" => jitter(rest, image),
        "mix" => mixed(rest, image),
        _ => panic!("{name}"),
    }
}

fn numbers(text: &str) -> Vec<f64> {
    text.split_whitespace().map(|word| word.parse().unwrap()).collect()
}

/// `TOP LEFT HEIGHT WIDTH: RandomResizedCrop(...)`.
fn crop(text: &str, image: &Image) -> Image {
    let (part, pipeline) = text.split_once(": ").unwrap();
    let part: Vec<usize> = numbers(part).into_iter().map(|x| x as usize).collect();
    let pipeline = Pipeline::parse(pipeline).unwrap();
    let [Transform::RandomResizedCrop(crop)] = pipeline.steps() else { panic!("{text}") };
    let (rows, columns) = (part[0]..part[0] + part[2], part[1]..part[1] + part[3]);
    crop.resize(image, rows, columns).unwrap()
}

/// `INTERPOLATION FILL X Y X Y X Y X Y`: the corners' new positions.
fn perspective_of(text: &str, image: &Image) -> Image {
    let (filter, rest) = text.split_once(' ').unwrap();
    let numbers = numbers(rest);
    let corner = |i: usize| [numbers[1 + 2 * i], numbers[2 + 2 * i]];
    let corners = [corner(0), corner(1), corner(2), corner(3)];
    let fill = Fill(vec![numbers[0]]);
    perspective(image, corners, interpolation(filter), &fill).unwrap().unwrap()
}

fn interpolation(name: &str) -> Interpolation {
    match name {
        "nearest" => Interpolation::Nearest,
        "bilinear" => Interpolation::Bilinear,
        _ => Interpolation::Bicubic,
    }
}

/// `INTERPOLATION FILL NAME`: the displacement is the tensor of that name.
fn elastic(text: &str, image: &Image, goldens: &HashMap<String, Sample>) -> Image {
    let words: Vec<&str> = text.split(' ').collect();
    let Sample::Tensor(tensor) = &goldens[words[2]] else { panic!("{text}") };
    let (x, y) = tensor.values.split_at(tensor.values.len() / 2);
    let displacement = Displacement { x: x.to_vec(), y: y.to_vec() };
    let fill = Fill(vec![words[1].parse().unwrap()]);
    displace(image, &displacement, interpolation(words[0]), &fill).unwrap()
}

/// `SCALE: ScaleJitter(...)`.
fn jitter(text: &str, image: &Image) -> Image {
    let (scale, pipeline) = text.split_once(": ").unwrap();
    let pipeline = Pipeline::parse(pipeline).unwrap();
    let [Transform::ScaleJitter(jitter)] = pipeline.steps() else { panic!("{text}") };
    jitter.resize(image.clone(), scale.parse().unwrap()).unwrap()
}

/// `OWN WEIGHT...: OPERATION MAGNITUDE, OPERATION MAGNITUDE; ...`: the weights, and the
/// operations of each chain.
fn mixed(text: &str, image: &Image) -> Image {
    let (weights, chains) = text.split_once(": ").unwrap();
    let weights: Vec<f32> = numbers(weights).into_iter().map(|x| x as f32).collect();
    let chain = |text: &str| {
        let operations = text.split(", ");
        operations.fold(image.clone(), |image, operation| apply_named(operation, &image))
    };
    let chains: Vec<Image> = chains.split("; ").map(chain).collect();
    mix(image, weights[0], &chains, &weights[1..])
}
