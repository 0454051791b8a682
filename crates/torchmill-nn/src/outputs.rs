//! What a network's outputs are, for the choice of a loss.

use torchmill::recipe::Typed;
use torchmill::{Error, Result};

use crate::loss;

/// What a layer's outputs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outputs {
    /// Any numbers: logits, if the layer is the last.
    Any,
    /// The same as the layer's inputs.
    Inputs,
    /// Softmax over the classes.
    Probabilities,
    /// LogSoftmax over the classes.
    LogProbabilities,
    /// Sigmoid.
    Sigmoid,
}

impl Outputs {
    /// The outputs of layers in sequence.
    pub(crate) fn of_last(layers: impl DoubleEndedIterator<Item = Self>) -> Self {
        layers.rev().find(|outputs| *outputs != Self::Inputs).unwrap_or(Self::Inputs)
    }
}

/// Fails if the loss cannot be computed from the network's outputs.
pub(crate) fn check(outputs: Outputs, typed: &Typed) -> Result<()> {
    let (loss, _) = loss::read(typed)?;
    if !loss.takes_log_probabilities() || outputs == Outputs::LogProbabilities {
        return Ok(());
    }
    Err(Error::usage(format_args!(
        "[train] loss: {} takes logarithms of probabilities, so the network must end in \
         {{ type = \"LogSoftmax\", dim = 1 }}; CrossEntropyLoss does both",
        typed.name
    )))
}

/// A warning for outputs that the loss accepts but learns worse from.
pub fn advice(outputs: Outputs, typed: &Typed) -> Result<Option<String>> {
    let last = match outputs {
        Outputs::Probabilities => "Softmax",
        Outputs::Sigmoid => "Sigmoid",
        Outputs::Any | Outputs::Inputs | Outputs::LogProbabilities => return Ok(None),
    };
    let (loss, _) = loss::read(typed)?;
    let Some(own) = loss.activation() else { return Ok(None) };
    let name = &typed.name;
    Ok(Some(if own == last {
        format!(
            "the network ends in {last}, and {name} applies {own} itself: it learns \
             better without this layer"
        )
    } else {
        format!(
            "the network ends in {last}, but {name} takes logits, to which it applies \
             {own} itself: it learns better without this layer"
        )
    }))
}
