//! What is said of layers that are misspelt, misused or do not fit.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use tch::{Device, Kind, Tensor};
use torchmill::recipe::{Model as Layers, default_loss};
use torchmill_nn::generator::Generator;
use torchmill_nn::model::{self, Mode, Model};
use torchmill_nn::spec::Spec;

fn layers(keys: &str) -> Layers {
    toml::from_str(keys).unwrap()
}

fn spec(keys: &str) -> Spec {
    Spec {
        model: layers(keys),
        input: [3, 8, 8],
        classes: vec!["a".into(), "b".into(), "c".into()],
        transform: "ToTensor".into(),
        batch_size: 1,
        dataset: String::new(),
        loss: default_loss(),
    }
}

fn build(spec: &Spec) -> Result<Model, torchmill::Error> {
    Model::new(spec, &mut Generator::new(0), Device::Cpu)
}

/// What is wrong with these layers, found without building them.
fn refused(list: &str) -> String {
    let error = model::complete(&layers(&format!("layer = [{list}]"))).unwrap_err();
    assert_eq!(error.exit_status(), 2, "{error}");
    error.to_string()
}

#[test]
fn misspelt_layers_and_arguments_are_named() {
    for (list, message) in [
        (
            "{type = \"Flatten\"}, {type = \"Linaer\"}",
            "[model] layer 1 (Linaer): no layer is called `Linaer` (did you mean Linear?)",
        ),
        ("{type = \"Qwertyuiop\"}", "there are AdaptiveAvgPool2d, AvgPool2d, Batch"),
        (
            "{type = \"Linear\", out_feature = 3}",
            "[model] layer 0 (Linear): unknown field `out_feature`",
        ),
        ("{type = \"Linear\", out_feature = 3}", "(did you mean out_features?)"),
        (
            "{name = \"a\", type = \"ReLU\", slope = 1}",
            "layer a (ReLU): unknown field `slope`",
        ),
        ("{name = \"a\", type = \"Conv2d\", out = 1}", "unknown field `out`"),
        ("{type = \"Conv2d\", out_channels = 1}", "missing field `kernel_size`"),
        (
            "{type = \"Conv2d\", out_channels = 1, kernel_size = 3, padding = \"smae\"}",
            "padding: `smae` is neither a number nor `same` nor `valid` (did you mean same?)",
        ),
        (
            "{type = \"Conv2d\", out_channels = 1, kernel_size = 3, padding_mode = \"refelct\"}",
            "(did you mean reflect?)",
        ),
        (
            "{type = \"MaxPool2d\", kernel_size = \"two\"}",
            "expected a number, or two: [height, width]",
        ),
        ("{type = \"Dropout\", p = \"half\"}", "expected a number"),
        (
            "{type = \"Residual\", name = \"r\", layer = [{type = \"ReLU\"}, {type = \"Rleu\"}]}",
            "layer r (Residual): layer 1 (Rleu): no layer is called `Rleu` (did you mean ReLU?)",
        ),
        ("{type = \"Sequential\"}", "missing field `layer`"),
    ] {
        let error = refused(list);
        assert!(error.contains(message), "{list}: {error}");
    }
}

#[test]
fn layers_that_do_not_fit_are_named_with_what_they_get() {
    for (list, message) in [
        (
            "{type = \"Conv2d\", out_channels = 4, kernel_size = 9}, {type = \"Flatten\"}, {type = \"Linear\"}",
            "layer 0 (Conv2d), which gets [3, 8, 8]: Calculated padded input size",
        ),
        (
            "{type = \"Linear\", in_features = 3}",
            "layer 0 (Linear), which gets [3, 8, 8]: in_features is 3, but it gets 8",
        ),
        (
            "{type = \"Sequential\", layer = [{type = \"Flatten\"}, {type = \"MaxPool2d\", kernel_size = 2}]}",
            "layer 0.1 (MaxPool2d), which gets [192]: ",
        ),
        (
            "{type = \"Residual\", layer = [{type = \"Conv2d\", out_channels = 4, kernel_size = 1}]}",
            "layer 0 (Residual), which gets [3, 8, 8]: its layers give [4, 8, 8], its shortcut [3, 8, 8]",
        ),
        (
            "{type = \"Linear\"}, {type = \"Linear\", out_features = 2}",
            "out_features is missing",
        ),
        ("{type = \"Flatten\", start_dim = 0}", "start_dim = 0 is the batch's dimension"),
        (
            "{type = \"Sequential\", name = \"a\", layer = [{type = \"ReLU\", name = \"b.c\"}]}",
            "layer a has a layer called `b.c`",
        ),
        (
            "{type = \"Repeat\", times = 100000, layer = [{type = \"ReLU\"}]}",
            "the network has more than 10000 layers",
        ),
        ("{type = \"Flatten\"}", "the last layer (Flatten) gives [192] for each image"),
    ] {
        let error = build(&spec(&format!("layer = [{list}]"))).err().unwrap();
        assert_eq!(error.exit_status(), 2, "{list}: {error}");
        assert!(error.to_string().contains(message), "{list}: {error}");
    }
}

#[test]
fn a_layer_that_fails_in_a_step_is_named() {
    let keys = "layer = [{type = \"Sequential\", layer = [{type = \"Flatten\"}, {type = \"Linear\"}]}]";
    let model = build(&spec(keys)).unwrap();
    let wrong = Tensor::zeros([1, 3, 4, 4], (Kind::Float, Device::Cpu));
    let error = model.forward(&wrong, Mode { training: true, kind: Kind::Float });
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("layer 0.1 (Linear): "), "{error}");
}

#[test]
fn nll_loss_needs_log_softmax() {
    let mut spec = spec("");
    spec.loss = toml::from_str("type = \"NLLLoss\"").unwrap();
    for (end, fits) in [
        ("{type = \"Identity\"}", false),
        ("{type = \"LogSoftmax\", dim = 1}", true),
        ("{type = \"LogSoftmax\", dim = -1}", true),
        ("{type = \"Softmax\", dim = 1}", false),
        (
            "{type = \"Sequential\", layer = [{type = \"LogSoftmax\", dim = 1}, {type = \"Identity\"}]}",
            true,
        ),
    ] {
        spec.model = layers(&format!(
            "layer = [{{type = \"Flatten\"}}, {{type = \"Linear\"}}, {end}]"
        ));
        let built = build(&spec);
        assert_eq!(built.is_ok(), fits, "{end}");
        if let Err(error) = built {
            let message = "must end in { type = \"LogSoftmax\", dim = 1 }";
            assert!(error.to_string().contains(message), "{error}");
            assert_eq!(error.exit_status(), 2);
        }
    }
    spec.model = layers("architecture = \"lenet5\"");
    spec.input = [3, 32, 32];
    assert!(build(&spec).err().unwrap().to_string().contains("NLLLoss"));
}

#[test]
fn complete_layers_have_every_argument_and_stay_as_they_are() {
    let short = layers(
        "layer = [{type = \"Conv2d\", out_channels = 4, kernel_size = 3}, {type = \"Residual\", \
         layer = [{type = \"BatchNorm2d\"}]}]",
    );
    let long = model::complete(&short).unwrap();
    let text = toml::to_string(&long).unwrap();
    for part in
        ["padding_mode = \"zeros\"", "stride = 1", "eps = 0.00001", "momentum = 0.1"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(toml::from_str::<Layers>(&text).unwrap(), long);
    assert_eq!(model::complete(&long).unwrap(), long);
}
