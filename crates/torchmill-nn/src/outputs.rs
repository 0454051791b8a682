//! What a network's outputs are, as far as a loss has to know.

use torchmill::recipe::Typed;
use torchmill::{Error, Result};

use crate::loss;

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

/// What to say of a network whose outputs the loss can take, but learns worse from.
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
