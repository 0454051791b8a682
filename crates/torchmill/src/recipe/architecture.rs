//! The built-in architectures: functions that write out a network's layers.
//!
//! Layers, names and initialisation are torchvision's, so that its weights load and
//! training from scratch starts as there. Everything else (summary, checkpoint, Python)
//! works only from the layers.

mod convnext;
mod efficientnet;
mod mobilenet;
mod parts;
mod resnet;
mod simple;
mod vgg;
mod vision_transformer;

use serde::{Deserialize, Serialize};

use super::{Initialise, Layer};
use crate::suggest::did_you_mean;
use crate::{Error, Result};

/// An architecture: its name, where it comes from, and the options that it takes.
pub struct Architecture {
    /// The name in torchvision.models, if it is there.
    pub name: &'static str,
    /// Where it comes from.
    pub about: &'static str,
    options: &'static [&'static str],
    network: fn(&Options, [usize; 3]) -> Result<Network>,
}

/// A network written out.
pub(super) struct Network {
    pub(super) layers: Vec<Layer>,
    pub(super) initialise: Vec<Initialise>,
}

/// The options of an architecture in a recipe. Those left out are as in torchvision.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs, reason = "recipe::Model describes them")]
pub struct Options {
    pub stem: Option<Stem>,
    pub dropout: Option<f64>,
    pub stochastic_depth_prob: Option<f64>,
    pub patch_size: Option<i64>,
}

impl Options {
    /// The names of the options that are set.
    fn given(&self) -> Vec<&'static str> {
        let all = [
            ("stem", self.stem.is_some()),
            ("dropout", self.dropout.is_some()),
            ("stochastic_depth_prob", self.stochastic_depth_prob.is_some()),
            ("patch_size", self.patch_size.is_some()),
        ];
        all.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
    }
}

/// How a ResNet begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stem {
    /// A 7x7 convolution of stride 2 and max pooling: for images of 224 x 224.
    #[default]
    Imagenet,
    /// A 3x3 convolution of stride 1 and no pooling: for images of 32 x 32.
    Cifar,
}

/// Every architecture.
pub const ARCHITECTURES: [Architecture; 14] = [
    Architecture {
        name: "article",
        about: "the article's: three convolutions, no activations",
        options: &[],
        network: simple::article,
    },
    Architecture {
        name: "lenet5",
        about: "Y. LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998",
        options: &[],
        network: simple::lenet5,
    },
    Architecture {
        name: "resnet18",
        about: "K. He et al., Deep Residual Learning for Image Recognition, 2015",
        options: &["stem"],
        network: resnet::resnet18,
    },
    Architecture {
        name: "resnet34",
        about: "as resnet18",
        options: &["stem"],
        network: resnet::resnet34,
    },
    Architecture {
        name: "resnet50",
        about: "as resnet18, with bottlenecks",
        options: &["stem"],
        network: resnet::resnet50,
    },
    Architecture {
        name: "vgg11_bn",
        about: "K. Simonyan, A. Zisserman, Very Deep Convolutional Networks, 2014, with batch norm",
        options: &["dropout"],
        network: vgg::vgg11_bn,
    },
    Architecture {
        name: "vgg16_bn",
        about: "as vgg11_bn",
        options: &["dropout"],
        network: vgg::vgg16_bn,
    },
    Architecture {
        name: "mobilenet_v2",
        about: "M. Sandler et al., Inverted Residuals and Linear Bottlenecks, 2018",
        options: &["dropout"],
        network: mobilenet::mobilenet_v2,
    },
    Architecture {
        name: "mobilenet_v3_small",
        about: "A. Howard et al., Searching for MobileNetV3, 2019",
        options: &["dropout"],
        network: mobilenet::mobilenet_v3_small,
    },
    Architecture {
        name: "mobilenet_v3_large",
        about: "as mobilenet_v3_small",
        options: &["dropout"],
        network: mobilenet::mobilenet_v3_large,
    },
    Architecture {
        name: "efficientnet_b0",
        about: "M. Tan, Q. Le, EfficientNet, 2019",
        options: &["dropout", "stochastic_depth_prob"],
        network: efficientnet::efficientnet_b0,
    },
    Architecture {
        name: "convnext_tiny",
        about: "Z. Liu et al., A ConvNet for the 2020s, 2022",
        options: &["stochastic_depth_prob"],
        network: convnext::convnext_tiny,
    },
    Architecture {
        name: "vit_tiny",
        about: "A. Dosovitskiy et al., An Image is Worth 16x16 Words, 2020; H. Touvron et al., DeiT, 2020",
        options: &["dropout", "patch_size"],
        network: vision_transformer::vit_tiny,
    },
    Architecture {
        name: "vit_b_16",
        about: "as vit_tiny",
        options: &["dropout", "patch_size"],
        network: vision_transformer::vit_b_16,
    },
];

/// The architecture of this name.
fn find(name: &str) -> Result<&'static Architecture> {
    ARCHITECTURES.iter().find(|a| a.name == name).ok_or_else(|| {
        let names = ARCHITECTURES.map(|a| a.name);
        Error::usage(format_args!(
            "[model] unknown architecture `{name}`: there are {}{}",
            names.join(", "),
            did_you_mean(name, names)
        ))
    })
}

/// Checks that the architecture exists and accepts these options.
pub(super) fn check(name: Option<&str>, options: &Options) -> Result<()> {
    let taken = match name {
        Some(name) => find(name)?.options,
        None => &[],
    };
    for option in options.given() {
        if taken.contains(&option) {
            continue;
        }
        return Err(Error::usage(match name {
            Some(name) => format!("[model] {name} has no option `{option}`"),
            None => format!("[model] `{option}` needs `architecture`"),
        }));
    }
    check_probability("dropout", options.dropout)?;
    check_probability("stochastic_depth_prob", options.stochastic_depth_prob)?;
    if options.patch_size.is_some_and(|n| n < 1) {
        return Err(Error::usage("[model] patch_size must be at least 1"));
    }
    Ok(())
}

fn check_probability(option: &str, p: Option<f64>) -> Result<()> {
    match p {
        Some(p) if !(0.0..1.0).contains(&p) => {
            Err(Error::usage(format_args!("[model] {option} must be from 0 to below 1")))
        }
        _ => Ok(()),
    }
}

/// Writes out an architecture's layers for images of shape `input`, `[C, H, W]`.
pub(super) fn network(
    name: &str,
    options: &Options,
    input: [usize; 3],
) -> Result<Network> {
    check(Some(name), options)?;
    (find(name)?.network)(options, input)
}
