//! VGG (K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale
//! Image Recognition", 2014), configurations A and D, with batch norm, as torchvision has
//! it.

use super::parts::{
    average_pool_to, batch_norm, biased_conv, dropout, flatten, head,
    kaiming_convolutions, linear, max_pool, normal_linears, relu, sequential,
};
use super::{Network, Options};
use crate::Result;
use crate::recipe::Layer;

pub(super) fn vgg11_bn(options: &Options, _input: [usize; 3]) -> Result<Network> {
    Ok(vgg(options, &[&[64], &[128], &[256, 256], &[512, 512], &[512, 512]]))
}

pub(super) fn vgg16_bn(options: &Options, _input: [usize; 3]) -> Result<Network> {
    Ok(vgg(
        options,
        &[&[64, 64], &[128, 128], &[256, 256, 256], &[512, 512, 512], &[512, 512, 512]],
    ))
}

/// The widths of the convolutions before each pooling.
fn vgg(options: &Options, stages: &[&[i64]]) -> Network {
    let mut features: Vec<Layer> = Vec::new();
    for stage in stages {
        for &width in *stage {
            features.extend([biased_conv(width, 3), batch_norm(), relu()]);
        }
        features.push(max_pool(2));
    }
    let p = options.dropout.unwrap_or(0.5);
    let classifier =
        [linear(4096), relu(), dropout(p), linear(4096), relu(), dropout(p), head()];
    let layers = vec![
        sequential(features).named("features"),
        average_pool_to(7).named("avgpool"),
        flatten().named("flatten"),
        sequential(classifier).named("classifier"),
    ];
    Network { layers, initialise: vec![kaiming_convolutions(), normal_linears()] }
}
