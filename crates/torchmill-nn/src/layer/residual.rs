//! A residual connection (K. He et al., "Deep Residual Learning for Image Recognition",
//! 2015).

use serde::{Deserialize, Serialize};
use tch::Tensor;
use torchmill::Error;

use super::{Arguments, Builder, CheckedLayers, Fused, Layer, LayerError, Mode};
use super::{NamedLayer, export_all, forward_all};
use crate::kernel::Activation;
use crate::kernel::batch_norm::adds_before;
use crate::onnx::{Graph, Value};

/// `shortcut(x) + layers(x)`. The default shortcut is the identity. Parameters are named
/// `INDEX.layers.0.weight` and `INDEX.shortcut.0.weight`, or `INDEX.NAME.weight` for
/// layers that have a name.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Residual {
    #[serde(rename = "layer")]
    layers: CheckedLayers,
    #[serde(default, skip_serializing_if = "CheckedLayers::is_empty")]
    shortcut: CheckedLayers,
}

impl Arguments for Residual {
    fn build(&self, builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        let before = builder.example();
        let layers = builder.sequence_called("layers.", &self.layers)?;
        let after = builder.example();
        builder.set_example(before);
        let shortcut = builder.sequence_called("shortcut.", &self.shortcut)?;
        let skipped = builder.shape();
        builder.set_example(after);
        let gives = builder.shape();
        if skipped != gives {
            return Err(Error::usage(format_args!(
                "its layers give {gives:?}, its shortcut {skipped:?}"
            ))
            .into());
        }
        Ok(Box::new(ResidualLayer { layers, shortcut }))
    }
}

struct ResidualLayer {
    layers: Vec<NamedLayer>,
    shortcut: Vec<NamedLayer>,
}

impl ResidualLayer {
    /// The last layer, if it can add the shortcut itself, and the layers before it.
    fn split_adding(&self) -> Option<(&NamedLayer, &[NamedLayer])> {
        self.layers.split_last().filter(|(last, _)| last.layer.fuses_add())
    }
}

impl Layer for ResidualLayer {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, LayerError> {
        self.forward_fused(x, Fused::default(), mode)
    }

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        let y = export_all(&self.layers, graph, x)?;
        let shortcut = export_all(&self.shortcut, graph, x)?;
        Ok(graph.op("Add", &[&y, &shortcut], &[]))
    }

    fn has_layers(&self) -> bool {
        true
    }

    fn fuses(&self, activation: Activation) -> bool {
        let Some((last, _)) = self.split_adding() else { return false };
        adds_before(activation) && last.layer.fuses(activation)
    }

    fn allows_inplace(&self) -> bool {
        true
    }

    fn forward_fused(
        &self,
        x: &Tensor,
        fused: Fused,
        mode: Mode,
    ) -> Result<Tensor, LayerError> {
        let Some((last, before)) = self.split_adding() else {
            let y = forward_all(&self.layers, x, mode)?;
            let y = y.f_add(&forward_all(&self.shortcut, x, mode)?)?;
            return fused.after(y);
        };
        let inner = forward_all(before, x, mode)?;
        let shortcut = forward_all(&self.shortcut, x, mode)?;
        last.forward_fused(&inner, Fused { add: Some(&shortcut), ..fused }, mode)
    }
}
