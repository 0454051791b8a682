//! Two small ones that torchvision does not have.

use super::parts::{conv, flatten, head, linear, max_pool, named, sequential};
use super::{Network, Options};
use crate::Result;
use crate::recipe::{Module, Pair};

/// The article's. Its class holds the layers in `module1`.
pub(super) fn article(_options: &Options, _input: [usize; 3]) -> Result<Network> {
    let layers = [
        conv(32, 5).bias().into(),
        max_pool(2, 2, 0),
        conv(32, 5).bias().into(),
        max_pool(2, 2, 0),
        conv(64, 5).bias().into(),
        max_pool(2, 2, 0),
        flatten(),
        linear(64),
        head(),
    ];
    Ok(Network {
        layers: vec![named("module1", sequential(layers))],
        initialise: Vec::new(),
    })
}

/// LeNet-5 with the names of PyTorch's tutorial. As usual today, its subsampling has no
/// weights, its third layer sees all maps, and its last is linear. The paper's images are
/// 32 x 32: those of 28 x 28 are padded to that.
pub(super) fn lenet5(_options: &Options, input: [usize; 3]) -> Result<Network> {
    let tanh = || Module::Tanh {}.into();
    let pool = || {
        let two = Pair::Both(2);
        let none = Pair::Both(0);
        Module::AvgPool2d {
            kernel_size: two,
            stride: None,
            padding: none,
            ceil_mode: false,
            count_include_pad: true,
            divisor_override: None,
        }
        .into()
    };
    let padding = if input[1] < 32 { 2 } else { 0 };
    let layers = vec![
        named("conv1", conv(6, 5).padding(padding).bias()),
        tanh(),
        pool(),
        named("conv2", conv(16, 5).padding(0).bias()),
        tanh(),
        pool(),
        flatten(),
        named("fc1", linear(120)),
        tanh(),
        named("fc2", linear(84)),
        tanh(),
        named("fc3", head()),
    ];
    Ok(Network { layers, initialise: Vec::new() })
}
