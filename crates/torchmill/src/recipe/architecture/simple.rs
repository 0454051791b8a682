//! Two small networks that torchvision does not have.

use super::parts::{biased_conv, flatten, head, linear, max_pool, sequential};
use super::{Network, Options};
use crate::Result;
use crate::recipe::Layer;

/// The article's network. Its class holds the layers in `module1`.
pub(super) fn article(_options: &Options, _input: [usize; 3]) -> Result<Network> {
    let layers = [
        biased_conv(32, 5),
        max_pool(2),
        biased_conv(32, 5),
        max_pool(2),
        biased_conv(64, 5),
        max_pool(2),
        flatten(),
        linear(64),
        head(),
    ];
    let layers = vec![sequential(layers).named("module1")];
    Ok(Network { layers, initialise: Vec::new() })
}

/// LeNet-5 with the names of PyTorch's tutorial. As usual today, its subsampling has no
/// weights, its third layer sees all maps, and its last is linear. The paper's images are
/// 32 x 32: those of 28 x 28 are padded to that.
pub(super) fn lenet5(_options: &Options, input: [usize; 3]) -> Result<Network> {
    let tanh = || Layer::new("Tanh");
    let pool = || Layer::new("AvgPool2d").with("kernel_size", 2);
    let padding = if input[1] < 32 { 2 } else { 0 };
    let layers = vec![
        biased_conv(6, 5).with("padding", padding).named("conv1"),
        tanh(),
        pool(),
        biased_conv(16, 5).with("padding", 0).named("conv2"),
        tanh(),
        pool(),
        flatten(),
        linear(120).named("fc1"),
        tanh(),
        linear(84).named("fc2"),
        tanh(),
        head().named("fc3"),
    ];
    Ok(Network { layers, initialise: Vec::new() })
}
