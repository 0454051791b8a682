//! Networks with known outputs, and shards for them.

use std::path::Path;
use std::process::Output;

use tch::Device;
use torchmill::recipe::Recipe;
use torchmill_nn::checkpoint;
use torchmill_nn::generator::Generator;
use torchmill_nn::model::Model;
use torchmill_nn::spec::Spec;
use torchmill_testing::{STRIPES, Sandbox, device, program, write_stripes};

/// A linear network.
pub const RECIPE: &str = "name = \"linear\"\n[[model.layer]]\ntype = \"Flatten\"\n[[model.layer]]\ntype = \"Linear\"\n";

fn spec(recipe: &Recipe, channels: usize) -> Spec {
    Spec {
        model: recipe.model.clone(),
        input: [channels, 8, 8],
        classes: STRIPES.map(String::from).to_vec(),
        transform: "ToTensor".into(),
        batch_size: 64,
        dataset: "stripes".into(),
        loss: recipe.train.loss.clone(),
    }
}

/// Writes a checkpoint of the linear network. The number of weights determines the number
/// of channels.
pub fn write_network(
    folder: &Path,
    name: &str,
    full: bool,
    weights: &tch::Tensor,
    bias: [f32; 3],
) {
    write_network_of(RECIPE, folder, name, full, weights, bias);
}

/// Writes a checkpoint of the network in this recipe.
pub fn write_network_of(
    text: &str,
    folder: &Path,
    name: &str,
    full: bool,
    weights: &tch::Tensor,
    bias: [f32; 3],
) {
    std::fs::write(folder.join("linear.toml"), RECIPE).unwrap();
    let recipe = Recipe::parse(text).unwrap();
    let spec = spec(&recipe, weights.size()[1] as usize / 64);
    let mut model = Model::new(&spec, &mut Generator::new(0), Device::Cpu).unwrap();
    let weights = [
        ("1.weight".to_owned(), weights.shallow_clone()),
        ("1.bias".to_owned(), tch::Tensor::from_slice(&bias)),
    ];
    model.load_state_dict(&Vec::from(weights).into()).unwrap();
    checkpoint::write(&folder.join(name), &model, full.then_some(&spec)).unwrap();
}

/// Shards of 100 test images. `full.safetensors` and `weights.safetensors` hold a network
/// that always predicts `middle`: the weights are 0, the biases 0, 1, 0.
/// `sees.safetensors` predicts where an image is bright.
pub fn sandbox() -> Sandbox {
    let folder = Sandbox::new();
    let path = folder.path();
    write_stripes(&path.join("shards"), "test", 100, "d");
    let zeros = tch::Tensor::zeros([3, 64], (tch::Kind::Float, Device::Cpu));
    write_network(path, "full.safetensors", true, &zeros, [0.0, 1.0, 0.0]);
    write_network(path, "weights.safetensors", false, &zeros, [0.0, 1.0, 0.0]);
    // Class i's pixels are those with indices 21 i to 21 i + 20.
    let stripe = |class: usize| {
        (0..64).map(move |pixel| if pixel / 21 == class { 1.0_f32 } else { 0.0 })
    };
    let stripes: Vec<f32> = (0..3).flat_map(stripe).collect();
    write_network(
        path,
        "sees.safetensors",
        true,
        &tch::Tensor::from_slice(&stripes).view([3, 64]),
        [0.0; 3],
    );
    folder
}

/// Runs the program in `folder`.
pub fn evaluate(folder: &Path, arguments: &[&str]) -> Output {
    program("evaluate")
        .current_dir(folder)
        .args(["--device", &device()])
        .args(arguments)
        .output()
        .unwrap()
}
