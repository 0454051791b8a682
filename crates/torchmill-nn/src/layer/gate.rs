//! An input times the output of layers applied to it, as in squeeze and excitation (J. Hu
//! et al., "Squeeze-and-Excitation Networks", 2017).

use serde::{Deserialize, Serialize};
use tch::Tensor;
use torchmill::Error;

use super::{Arguments, Builder, CheckedLayers, Layer, LayerError, Mode};
use super::{NamedLayer, export_all, forward_all};
use crate::kernel::gate::gate;
use crate::onnx::{Graph, Value};

/// `x * layers(x)`, in the shape of `x`. Parameters are named as in a Sequential.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Gate {
    #[serde(rename = "layer")]
    layers: CheckedLayers,
}

impl Arguments for Gate {
    fn build(&self, builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        let before = builder.example();
        let layers = builder.sequence(&self.layers)?;
        let after = before.f_mul(&builder.example())?;
        if after.size() != before.size() {
            return Err(
                Error::usage("its layers' output is larger than its input").into()
            );
        }
        builder.set_example(after);
        Ok(Box::new(GateLayer { layers }))
    }
}

struct GateLayer {
    layers: Vec<NamedLayer>,
}

impl Layer for GateLayer {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, LayerError> {
        let factors = forward_all(&self.layers, x, mode)?;
        match gate(x, &factors)? {
            Some(y) => Ok(y),
            None => Ok(x.f_mul(&factors)?),
        }
    }

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        let factors = export_all(&self.layers, graph, x)?;
        Ok(graph.op("Mul", &[&x.name, &factors], &[]))
    }

    fn has_layers(&self) -> bool {
        true
    }
}
