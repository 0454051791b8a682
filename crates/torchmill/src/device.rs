//! The values of `--device`. Only libtorch can tell whether the machine has the device.

use std::fmt;

use clap::builder::TypedValueParser;

use crate::cli::Named;
use crate::{Error, Result};

/// A device as it is named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// The first GPU if there is one, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU with this index, from 0.
    Cuda(usize),
}

impl Device {
    /// A parser for the command line.
    pub fn parser() -> impl TypedValueParser<Value = Self> {
        Named::new(["auto", "cpu", "cuda", "cuda:0", "cuda:1"], Self::parse).synonyms(&[
            ("gpu", "cuda"),
            ("GPU", "cuda"),
            ("CUDA", "cuda"),
        ])
    }

    /// Reads `auto`, `cpu`, `cuda` or `cuda:N`.
    pub fn parse(text: &str) -> Result<Self> {
        let number = text.strip_prefix("cuda:").and_then(|n| n.parse().ok());
        match (text, number) {
            ("auto", _) => Ok(Self::Auto),
            ("cpu", _) => Ok(Self::Cpu),
            ("cuda", _) => Ok(Self::Cuda(0)),
            (_, Some(n)) => Ok(Self::Cuda(n)),
            _ => Err(Error::usage(format_args!(
                "`{text}` is not one of auto, cpu, cuda and cuda:N (such as cuda:0)"
            ))),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(n) => write!(f, "cuda:{n}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for name in ["auto", "cpu", "cuda:0", "cuda:12"] {
            assert_eq!(Device::parse(name).unwrap().to_string(), name);
        }
        assert_eq!(Device::parse("cuda").unwrap(), Device::Cuda(0));
        for wrong in ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "CPU"] {
            assert!(Device::parse(wrong).is_err(), "{wrong}");
        }
    }
}
