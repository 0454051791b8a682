//! The messages for layers that are misspelt, misused or do not fit.

use std::collections::BTreeMap;

use serde::Deserialize;
use tch::{Device, Kind, Tensor};
use torchmill::recipe::{Model as Layers, Typed, default_loss};
use torchmill_nn::generator::Generator;
use torchmill_nn::model::{self, Mode, Model};
use torchmill_nn::outputs::{self, Outputs};
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

/// The error for these layers, which are checked but not built.
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
            "[model] layer 1 (Linaer): no layer is called `Linaer` (did you mean \
             Linear?)",
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
            "padding: `smae` is neither a number nor `same` nor `valid` (did you mean \
             same?)",
        ),
        (
            "{type = \"Conv2d\", out_channels = 1, kernel_size = 3, padding_mode = \
             \"refelct\"}",
            "(did you mean reflect?)",
        ),
        (
            "{type = \"MaxPool2d\", kernel_size = \"two\"}",
            "expected a number, or two: [height, width]",
        ),
        ("{type = \"Dropout\", p = \"half\"}", "expected a number"),
        (
            "{type = \"Residual\", name = \"r\", layer = [{type = \"ReLU\"}, {type = \
             \"Rleu\"}]}",
            "layer r (Residual): layer 1 (Rleu): no layer is called `Rleu` (did you \
             mean ReLU?)",
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
            "{type = \"Conv2d\", out_channels = 4, kernel_size = 9}, {type = \
             \"Flatten\"}, {type = \"Linear\"}",
            "layer 0 (Conv2d), which gets [3, 8, 8]: Calculated padded input size",
        ),
        (
            "{type = \"Linear\", in_features = 3}",
            "layer 0 (Linear), which gets [3, 8, 8]: in_features is 3, but it gets 8",
        ),
        (
            "{type = \"Sequential\", layer = [{type = \"Flatten\"}, {type = \
             \"MaxPool2d\", kernel_size = 2}]}",
            "layer 0.1 (MaxPool2d), which gets [192]: ",
        ),
        (
            "{type = \"Residual\", layer = [{type = \"Conv2d\", out_channels = 4, \
             kernel_size = 1}]}",
            "layer 0 (Residual), which gets [3, 8, 8]: its layers give [4, 8, 8], its \
             shortcut [3, 8, 8]",
        ),
        (
            "{type = \"Linear\"}, {type = \"Linear\", out_features = 2}",
            "out_features is missing",
        ),
        ("{type = \"Flatten\", start_dim = 0}", "start_dim = 0 is the batch's dimension"),
        (
            "{type = \"Sequential\", name = \"a\", layer = [{type = \"ReLU\", name = \
             \"b.c\"}]}",
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
            "{type = \"Sequential\", layer = [{type = \"LogSoftmax\", dim = 1}, {type = \
             \"Identity\"}]}",
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
fn a_second_softmax_is_doubtful() {
    let loss =
        |kind: &str| -> Typed { toml::from_str(&format!("type = \"{kind}\"")).unwrap() };
    for (end, kind, says) in [
        ("{type = \"Softmax\", dim = 1}", "CrossEntropyLoss", true),
        (
            "{type = \"Softmax\", dim = -1}, {type = \"Identity\"}",
            "CrossEntropyLoss",
            true,
        ),
        ("{type = \"Sigmoid\"}", "BCEWithLogitsLoss", true),
        ("{type = \"Sigmoid\"}", "MSELoss", false),
        ("{type = \"LogSoftmax\", dim = 1}", "CrossEntropyLoss", false),
        ("{type = \"Identity\"}", "CrossEntropyLoss", false),
        ("{type = \"Softmax\", dim = 1}, {type = \"ReLU\"}", "CrossEntropyLoss", false),
    ] {
        let keys =
            format!("layer = [{{type = \"Flatten\"}}, {{type = \"Linear\"}}, {end}]");
        let model = build(&spec(&keys)).unwrap();
        let note = outputs::advice(model.outputs(), &loss(kind)).unwrap();
        assert_eq!(note.is_some(), says, "{end} {kind}: {note:?}");
    }
    for (outputs, kind, part) in [
        (
            Outputs::Probabilities,
            "CrossEntropyLoss",
            "ends in Softmax, and CrossEntropyLoss applies Softmax itself",
        ),
        (
            Outputs::Sigmoid,
            "BCEWithLogitsLoss",
            "ends in Sigmoid, and BCEWithLogitsLoss applies Sigmoid itself",
        ),
        (
            Outputs::Sigmoid,
            "CrossEntropyLoss",
            "ends in Sigmoid, but CrossEntropyLoss takes logits, to which it applies \
             Softmax",
        ),
        (
            Outputs::Probabilities,
            "BCEWithLogitsLoss",
            "ends in Softmax, but BCEWithLogitsLoss takes logits, to which it applies \
             Sigmoid",
        ),
    ] {
        let note = outputs::advice(outputs, &loss(kind)).unwrap().unwrap();
        assert!(note.contains(part), "{note}");
    }
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

fn complete(layer: &str) -> Result<Layers, torchmill::Error> {
    model::complete(&layers(&format!("layer = [{layer}]")))
}

#[test]
fn a_layer_as_text_is_the_same_as_its_table() {
    for (text, table) in [
        (
            "Conv2d(3, 32, 5, padding=2)",
            "in_channels = 3, out_channels = 32, kernel_size = 5, padding = 2",
        ),
        (
            "nn.MaxPool2d((2, 1), 2, 0, 1, False, True)",
            "kernel_size = [2, 1], stride = 2, ceil_mode = true",
        ),
        ("ReLU(True)", ""),
        ("ReLU(inplace=True)", ""),
        ("Dropout(0.2, inplace=True)", "p = 0.2"),
        ("GELU('tanh')", "approximate = \"tanh\""),
        (
            "Sequential(Linear(4, 3), Tanh())",
            "layer = [\"Linear(4, 3)\", {type = \"Tanh\"}]",
        ),
        (
            "Residual([Tanh()], [Identity()])",
            "layer = [\"Tanh\"], shortcut = [\"Identity\"]",
        ),
        ("Repeat(2, [Tanh])", "times = 2, layer = [\"Tanh\"]"),
    ] {
        let class = text.trim_start_matches("nn.").split('(').next().unwrap();
        let comma = if table.is_empty() { "" } else { ", " };
        let table = format!("{{type = \"{class}\"{comma}{table}}}");
        let from_text = complete(&format!("\"\"\"{text}\"\"\"")).unwrap();
        assert_eq!(from_text, complete(&table).unwrap(), "{text}");
    }
    for (text, why) in [
        ("Linear(1, 2, True, 3)", "4 arguments without a name, but there are only 3"),
        ("Linear(1, in_features=1)", "`in_features` is given twice"),
        ("Linear(1, out=1)", "unknown field `out`"),
        ("MaxPool2d(2, return_indicse=True)", "(did you mean return_indices?)"),
        ("Linaer(1)", "no layer is called `Linaer` (did you mean Linear?)"),
    ] {
        let error = complete(&format!("\"{text}\"")).unwrap_err();
        assert!(error.to_string().contains(why), "{text}: {error}");
        assert_eq!(error.exit_status(), 2);
    }
}

/// Each positional argument is the one that PyTorch has in this position.
#[test]
fn arguments_without_names_are_in_pytorchs_order() {
    let signatures: BTreeMap<String, Vec<String>> =
        serde_json::from_str(include_str!("../golden/signatures.json")).unwrap();
    for (class, arguments) in signatures {
        // Too many for any layer: the message then lists the names in order.
        let many = vec!["0"; 30].join(", ");
        let error = complete(&format!("\"{class}({many})\"")).unwrap_err().to_string();
        let (_, ours) = error.split_once("but there are only ").unwrap();
        let (_, ours) = ours.split_once(": ").unwrap();
        for (ours, theirs) in ours.split(", ").zip(&arguments) {
            assert_eq!(ours, theirs, "{class}");
        }
    }
}

/// Copies of a text in which one whole number each is replaced by one out of range.
fn with_numbers_out_of_range(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let mut texts = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let length = text[at..].bytes().take_while(u8::is_ascii_digit).count();
        let before = if at == 0 { b' ' } else { bytes[at - 1] };
        let after = *bytes.get(at + length).unwrap_or(&b' ');
        let in_a_word = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
        if length > 0 && !in_a_word(before) && !in_a_word(after) {
            for number in ["-9223372036854775808", "9223372036854775807", "-1", "0"] {
                texts.push(format!("{}{number}{}", &text[..at], &text[at + length..]));
            }
        }
        at += length.max(1);
    }
    texts
}

#[derive(Deserialize)]
struct Golden {
    layers: Vec<GoldenLayer>,
}

#[derive(Deserialize)]
struct GoldenLayer {
    layer: String,
    input: [usize; 3],
}

/// Whatever the numbers are, the result is a model or an error, not a panic.
#[test]
fn numbers_out_of_range_are_errors() {
    let golden: Golden = serde_json::from_str(include_str!("../golden/nn.json")).unwrap();
    let mut refused = 0;
    for g in golden.layers {
        for text in with_numbers_out_of_range(&g.layer) {
            let layers = layers(&format!("layer = [{text}]"));
            let mut generator = Generator::new(0);
            let built = Model::body(&layers, g.input, &mut generator, Device::Cpu);
            refused += usize::from(built.is_err());
        }
    }
    assert!(refused > 300, "{refused}");
}

#[test]
fn a_checkpoints_numbers_out_of_range_are_errors() {
    for keys in ["architecture = \"article\"", "architecture = \"convnext_tiny\""] {
        let spec = Spec { input: [3, 32, 32], ..spec(keys) };
        let json = spec.to_json().unwrap();
        // Only the first ones: the blocks of ConvNeXt are alike.
        for text in with_numbers_out_of_range(&json).into_iter().take(100) {
            if let Ok(spec) = Spec::from_json(&text) {
                let _ = Model::empty(&spec, Device::Cpu);
            }
        }
    }
}

#[test]
fn images_that_are_too_large_are_refused() {
    for input in [[1, 65_535, 65_535], [3, 30_000, 30_000], [3, usize::MAX, 1]] {
        let spec = Spec { input, ..spec("architecture = \"lenet5\"") };
        let error = Model::empty(&spec, Device::Cpu).err().unwrap();
        assert!(error.to_string().contains("which is the most"), "{error}");
        assert_eq!(error.exit_status(), 2);
    }
}
