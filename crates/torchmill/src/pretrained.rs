//! Weights that torchvision publishes: `fetch-data` fetches them and `train --init`
//! accepts them by name.
//!
//! Source: torchvision 0.26's `WeightsEnum`s. A file's name ends with the beginning of its
//! SHA-256 sum, which torch.hub checks too.

use std::path::{Path, PathBuf};

use crate::suggest::did_you_mean;
use crate::{Error, Result};

/// Where `fetch-data` puts weights and `train` looks for them.
pub const FOLDER: &str = "data/weights";
/// The publisher's folder of the files.
pub const URL: &str = "https://download.pytorch.org/models";

/// A published file of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pretrained {
    /// Its name here: torchvision's name of the architecture, with `-v2` for later
    /// weights of it.
    pub name: &'static str,
    /// torchvision's name of the architecture.
    pub architecture: &'static str,
    /// torchvision's name of the weights: a member of the architecture's `Weights`.
    pub weights: &'static str,
    /// The file's name.
    pub file: &'static str,
    /// The approximate size in bytes.
    pub bytes: u64,
}

impl Pretrained {
    /// The hexadecimal digits that the file's SHA-256 sum begins with; `None` if its name
    /// has none.
    pub fn hash(&self) -> Option<&'static str> {
        let stem = self.file.rsplit_once('.')?.0;
        stem.rsplit_once('-').map(|(_, hash)| hash)
    }

    /// Its path relative to the working folder.
    pub fn path(&self) -> PathBuf {
        Path::new(FOLDER).join(self.file)
    }
}

/// Declares a file of weights: name, architecture, weights, file, mebibytes.
macro_rules! table {
    ($( $name:literal, $architecture:literal, $weights:literal, $file:literal, $size:literal; )*) => {
        /// All of them.
        pub const WEIGHTS: &[Pretrained] = &[$( Pretrained {
            name: $name,
            architecture: $architecture,
            weights: $weights,
            file: $file,
            bytes: $size << 20,
        }, )*];
    };
}

table! {
    "resnet18", "resnet18", "IMAGENET1K_V1", "resnet18-f37072fd.pth", 45;
    "resnet34", "resnet34", "IMAGENET1K_V1", "resnet34-b627a593.pth", 83;
    "resnet50", "resnet50", "IMAGENET1K_V1", "resnet50-0676ba61.pth", 98;
    "resnet50-v2", "resnet50", "IMAGENET1K_V2", "resnet50-11ad3fa6.pth", 98;
    "vgg11_bn", "vgg11_bn", "IMAGENET1K_V1", "vgg11_bn-6002323d.pth", 507;
    "vgg16_bn", "vgg16_bn", "IMAGENET1K_V1", "vgg16_bn-6c64b313.pth", 528;
    "mobilenet_v2", "mobilenet_v2", "IMAGENET1K_V1", "mobilenet_v2-b0353104.pth", 14;
    "mobilenet_v2-v2", "mobilenet_v2", "IMAGENET1K_V2", "mobilenet_v2-7ebf99e0.pth", 14;
    "mobilenet_v3_small", "mobilenet_v3_small", "IMAGENET1K_V1", "mobilenet_v3_small-047dcff4.pth", 10;
    "mobilenet_v3_large", "mobilenet_v3_large", "IMAGENET1K_V1", "mobilenet_v3_large-8738ca79.pth", 21;
    "mobilenet_v3_large-v2", "mobilenet_v3_large", "IMAGENET1K_V2", "mobilenet_v3_large-5c1a4163.pth", 21;
    "efficientnet_b0", "efficientnet_b0", "IMAGENET1K_V1", "efficientnet_b0_rwightman-7f5810bc.pth", 20;
    "convnext_tiny", "convnext_tiny", "IMAGENET1K_V1", "convnext_tiny-983f1562.pth", 109;
    "vit_b_16", "vit_b_16", "IMAGENET1K_V1", "vit_b_16-c867db91.pth", 330;
}

/// The weights of this name.
pub fn find(name: &str) -> Option<&'static Pretrained> {
    WEIGHTS.iter().find(|weights| weights.name == name)
}

/// The file that `init` stands for: published weights if `init` is their name, or
/// torchvision's name of the weights of `architecture`; otherwise `init` itself. `None`
/// for `none`, which turns off a recipe's own weights.
pub fn resolve(init: &Path, architecture: Option<&str>) -> Result<Option<PathBuf>> {
    let Some(name) = init.to_str() else { return Ok(Some(init.to_path_buf())) };
    if name == "none" {
        return Ok(None);
    }
    // A file of the user's own comes first.
    if init.exists() {
        return Ok(Some(init.to_path_buf()));
    }
    if let Some(weights) = find(name) {
        return Ok(Some(weights.path()));
    }
    if !name.starts_with("IMAGENET1K_") {
        return Ok(Some(init.to_path_buf()));
    }
    let Some(architecture) = architecture else {
        return Err(Error::usage(format_args!(
            "{name} are weights of an architecture, and the recipe has layers of its own: \
             give the file of the weights"
        )));
    };
    let mut of_architecture = WEIGHTS.iter().filter(|w| w.architecture == architecture);
    match of_architecture.clone().find(|weights| weights.weights == name) {
        Some(weights) => Ok(Some(weights.path())),
        None => {
            let known: Vec<&str> = of_architecture.by_ref().map(|w| w.weights).collect();
            let there = match known.is_empty() {
                true => "none are known".to_owned(),
                false => format!("there are {}", known.join(", ")),
            };
            Err(Error::usage(format_args!(
                "there are no weights {name} of {architecture}, {there}{}",
                did_you_mean(name, known)
            )))
        }
    }
}

/// Fails if published weights have not been fetched, with the command that fetches them.
pub fn check_fetched(path: &Path) -> Result<()> {
    let weights = WEIGHTS.iter().find(|weights| weights.path() == path);
    match weights {
        Some(weights) if !path.exists() => Err(Error::failed(format_args!(
            "{} is not here: `fetch-data {}` fetches it (about {} MiB); --init none \
             starts from random weights",
            path.display(),
            weights.name,
            weights.bytes >> 20
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::ARCHITECTURES;

    #[test]
    fn the_table_is_sound() {
        for (i, weights) in WEIGHTS.iter().enumerate() {
            assert!(ARCHITECTURES.iter().any(|a| a.name == weights.architecture));
            assert!(WEIGHTS[..i].iter().all(|other| other.name != weights.name));
            let hash = weights.hash().unwrap();
            assert!(hash.len() == 8 && hash.bytes().all(|b| b.is_ascii_hexdigit()));
        }
    }

    #[test]
    fn names_stand_for_files() {
        let resolved = |init: &str, architecture| {
            resolve(Path::new(init), architecture).map_err(|e| e.to_string())
        };
        let file = |name: &str| Ok(Some(Path::new("data/weights").join(name)));
        assert_eq!(resolved("resnet18", None), file("resnet18-f37072fd.pth"));
        let v2 = resolved("IMAGENET1K_V2", Some("resnet50"));
        assert_eq!(v2, file("resnet50-11ad3fa6.pth"));
        assert_eq!(resolved("my.pth", None), Ok(Some("my.pth".into())));
        assert_eq!(resolved("none", None), Ok(None));
        let error = resolved("IMAGENET1K_V2", Some("resnet18")).unwrap_err();
        assert!(error.contains("resnet18, there are IMAGENET1K_V1"), "{error}");
        let error = resolved("IMAGENET1K_V1", Some("vit_tiny")).unwrap_err();
        assert!(error.contains("none are known"), "{error}");
        assert!(
            resolved("IMAGENET1K_V1", None).unwrap_err().contains("layers of its own")
        );
    }

    #[test]
    fn missing_weights_are_named_with_the_command_that_fetches_them() {
        let path = find("convnext_tiny").unwrap().path();
        let error = check_fetched(&path).unwrap_err().to_string();
        assert!(error.contains("`fetch-data convnext_tiny` fetches it"), "{error}");
        assert!(check_fetched(Path::new("other.pth")).is_ok());
    }
}
