//! `dirac_` and `whitening_` compared with PyTorch (golden/initialise.json, made by
//! golden/initialise.py), and the messages if they do not fit.

use serde::Deserialize;
use tch::{Device, Tensor};
use torchmill::recipe::Model as Layers;
use torchmill_nn::generator::Generator;
use torchmill_nn::model::Model;
use torchmill_nn::tensor::floats;

#[derive(Deserialize)]
struct Golden {
    dirac: Vec<Dirac>,
    whitening: Vec<Whitening>,
}

#[derive(Deserialize)]
struct Dirac {
    shape: [i64; 4],
    groups: i64,
    values: Vec<f32>,
}

#[derive(Deserialize)]
struct Whitening {
    images: [usize; 4],
    kernel: [usize; 2],
    eps: f64,
    values: Vec<f32>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/initialise.json")).unwrap()
}

fn build(layers: &str, input: [usize; 3]) -> Result<Model, torchmill::Error> {
    let layers: Layers = toml::from_str(&format!("layer = [{layers}]")).unwrap();
    Model::body(&layers, input, &mut Generator::new(0), Device::Cpu)
}

/// A convolution with this initial weight.
fn conv(out: i64, kernel: [i64; 2], weight: &str) -> String {
    format!(
        "{{type = \"Conv2d\", out_channels = {out}, kernel_size = {kernel:?}, \
         initialise = [{{weight = {{{weight}}}}}]}}"
    )
}

fn weight(model: &Model) -> Vec<f32> {
    floats(&model.parameters()[0].tensor)
}

#[test]
fn dirac_is_pytorchs() {
    for g in golden().dirac {
        let [out, inputs, height, width] = g.shape;
        let dirac = format!("type = \"dirac_\", groups = {}", g.groups);
        let input = [inputs as usize, 8, 8];
        let drawn = build(&conv(out, [height, width], &dirac), input).unwrap();
        assert_eq!(weight(&drawn), g.values, "{:?}", g.shape);

        let keep = format!("{dirac}, keep_rest = true");
        let kept = weight(&build(&conv(out, [height, width], &keep), input).unwrap());
        let plain =
            build(&conv(out, [height, width], "type = \"ones_\""), input).unwrap();
        assert_eq!(plain.parameter_count(), drawn.parameter_count());
        let length = (inputs * height * width) as usize;
        for (kept, dirac) in kept.chunks(length).zip(g.values.chunks(length)) {
            let has_input = dirac.contains(&1.0);
            assert_eq!(kept == dirac, has_input, "{:?}", g.shape);
            assert!(kept.iter().any(|x| *x != 0.0));
        }
    }
}

/// An eigenvector's sign is arbitrary.
fn equal_but_for_the_sign(a: &[f32], b: &[f32]) -> bool {
    let close = |sign: f32| a.iter().zip(b).all(|(a, b)| (a - sign * b).abs() < 1e-3);
    close(1.0) || close(-1.0)
}

#[test]
fn whitening_filters_are_pytorchs() {
    for g in golden().whitening {
        let [count, channels, height, width] = g.images;
        let length = channels * g.kernel[0] * g.kernel[1];
        let init = format!("type = \"whitening_\", eps = {:?}", g.eps);
        let kernel = g.kernel.map(|n| n as i64);
        let layers = conv(2 * length as i64, kernel, &init);
        let mut model = build(&layers, [channels, height, width]).unwrap();
        assert_eq!(model.images_to_start_from(), 5000);
        let total = count * channels * height * width;
        let values: Vec<f32> =
            (0..total).map(|i| ((i * i) as f64).sin() as f32).collect();
        let images = Tensor::from_slice(&values).reshape(g.images.map(|n| n as i64));
        model.start_from(&images).unwrap();
        let got = weight(&model);
        assert_eq!(got.len(), g.values.len());
        for (row, (got, expected)) in
            got.chunks(length).zip(g.values.chunks(length)).enumerate()
        {
            assert!(
                equal_but_for_the_sign(got, expected),
                "filter {row}: {got:?}, PyTorch has {expected:?}"
            );
        }
        // The second half is the first, negated.
        let (first, second) = got.split_at(got.len() / 2);
        assert!(first.iter().zip(second).all(|(a, b)| a == &-b));
    }
}

#[test]
fn what_does_not_fit_is_said() {
    let whitening = "type = \"whitening_\"";
    for (layers, message) in [
        (
            conv(8, [2, 2], whitening),
            "layer 0 (Conv2d): whitening_ gives 24 filters of [3, 2, 2], twice",
        ),
        (
            format!("\"ReLU\", {}", conv(24, [2, 2], whitening)),
            "layer 1 (Conv2d): whitening_ is for the first layer",
        ),
        (
            "{type = \"Linear\", out_features = 3, initialise = [{weight = {type = \
             \"dirac_\"}}]}"
                .to_owned(),
            "layer 0 (Linear): dirac_ is for a Conv2d's weight",
        ),
        (
            conv(4, [1, 1], "type = \"dirac_\", groups = 3"),
            "dirac_: groups = 3 does not divide 4 output channels",
        ),
    ] {
        let error = build(&layers, [3, 8, 8]).err().unwrap();
        assert!(error.to_string().contains(message), "{layers}: {error}");
        assert_eq!(error.exit_status(), 2, "{error}");
    }
    let mut model = build(&conv(24, [2, 2], whitening), [3, 8, 8]).unwrap();
    let nan = Tensor::from(f32::NAN).expand([1, 3, 8, 8], false);
    assert!(model.start_from(&nan).is_err());
}
