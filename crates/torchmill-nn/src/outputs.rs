//! What a network's outputs are, as far as a loss has to know.

use torchmill::recipe::Loss;
use torchmill::{Error, Result};

/// What a layer's outputs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outputs {
    /// Numbers of any kind: logits, if the layer is the last.
    Any,
    /// What its inputs are.
    Inputs,
    /// Softmax's over the classes.
    Probabilities,
    /// LogSoftmax's over the classes.
    LogProbabilities,
    /// Sigmoid's.
    Sigmoid,
}

impl Outputs {
    /// Those of layers in a row.
    pub(crate) fn of_last(layers: impl DoubleEndedIterator<Item = Self>) -> Self {
        layers.rev().find(|outputs| *outputs != Self::Inputs).unwrap_or(Self::Inputs)
    }
}

/// Refuses a network whose outputs the loss cannot take.
pub(crate) fn check(outputs: Outputs, loss: &Loss) -> Result<()> {
    let takes_logarithms = matches!(loss, Loss::NLLLoss { .. });
    if !takes_logarithms || outputs == Outputs::LogProbabilities {
        return Ok(());
    }
    Err(Error::usage(
        "[train] loss: NLLLoss takes logarithms of probabilities, so the network must end \
         in { type = \"LogSoftmax\", dim = 1 }; CrossEntropyLoss does both",
    ))
}
