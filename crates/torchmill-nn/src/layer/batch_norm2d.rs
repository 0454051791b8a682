//! torch.nn.BatchNorm2d (S. Ioffe, C. Szegedy, "Batch Normalization", 2015).

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};
use torchmill::Error;

use super::arguments::{agreed, epsilon, yes};
use super::builder::FLOAT;
use super::{Arguments, Builder, Fused, Layer, LayerError, Mode, activate};
use crate::kernel::Activation;
use crate::kernel::batch_norm::{Parameters, batch_norm};
use crate::onnx::{Attribute, Graph, Value};

/// torch.nn.BatchNorm2d over the channels of `[N, C, H, W]`. The output has the input's
/// shape.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchNorm2d {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    num_features: Option<i64>,
    #[serde(default = "epsilon")]
    eps: f64,
    #[serde(default = "momentum")]
    momentum: f64,
    #[serde(default = "yes")]
    affine: bool,
    #[serde(default = "yes")]
    track_running_stats: bool,
}

fn momentum() -> f64 {
    0.1
}

impl Arguments for BatchNorm2d {
    fn build(&self, builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        let channels = agreed("num_features", self.num_features, builder.channels()?)?;
        let mut affine = None;
        if self.affine {
            affine = Some(builder.ones_and_zeros(&[channels])?);
        }
        let mut running = None;
        if self.track_running_stats {
            running = Some(RunningStatistics::new(builder, channels)?);
        }
        let is_frozen = builder.is_frozen("running_mean");
        if !is_frozen || running.is_none() {
            builder.needs_whole_batch();
        }
        Ok(Box::new(BatchNorm2dLayer {
            affine,
            running,
            momentum: self.momentum,
            eps: self.eps,
            is_frozen,
        }))
    }
}

struct BatchNorm2dLayer {
    /// Weight and bias, float32 `[C]`.
    affine: Option<[Tensor; 2]>,
    running: Option<RunningStatistics>,
    momentum: f64,
    eps: f64,
    /// Whether it computes as in eval(), even in training.
    is_frozen: bool,
}

struct RunningStatistics {
    /// Float32 `[C]`, like the variance.
    mean: Tensor,
    var: Tensor,
    /// Int64, a scalar: the number of batches seen.
    batches: Tensor,
}

impl RunningStatistics {
    fn new(builder: &mut Builder, channels: i64) -> Result<Self, LayerError> {
        let options = (Kind::Float, Device::Cpu);
        let mean = Tensor::f_zeros([channels], options)?;
        let var = Tensor::f_ones([channels], options)?;
        Ok(Self {
            mean: builder.buffer("running_mean", mean),
            var: builder.buffer("running_var", var),
            batches: builder.buffer("num_batches_tracked", Tensor::from(0_i64)),
        })
    }
}

impl Layer for BatchNorm2dLayer {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, LayerError> {
        self.forward_fused(x, Fused::default(), mode)
    }

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        let channels = [x.shape()[1]];
        let ones = Tensor::f_ones(channels, FLOAT)?;
        let zeros = Tensor::f_zeros(channels, FLOAT)?;
        let [weight, bias] = match &self.affine {
            Some([weight, bias]) => [weight, bias],
            None => [&ones, &zeros],
        };
        let Some(running) = &self.running else {
            return self.export_by_batch(graph, x, weight, bias);
        };
        let weight = graph.tensor(weight)?;
        let bias = graph.tensor(bias)?;
        let mean = graph.tensor(&running.mean)?;
        let var = graph.tensor(&running.var)?;
        let inputs = [x.name.as_str(), &weight, &bias, &mean, &var];
        let eps = [("epsilon", Attribute::Float(self.eps))];
        Ok(graph.op("BatchNormalization", &inputs, &eps))
    }

    fn fuses(&self, _activation: Activation) -> bool {
        true
    }

    fn fuses_add(&self) -> bool {
        true
    }

    fn forward_fused(
        &self,
        x: &Tensor,
        fused: Fused,
        mode: Mode,
    ) -> Result<Tensor, LayerError> {
        let training = mode.training && !self.is_frozen;
        if training && let Some(running) = &self.running {
            // A number, unlike a tensor, need not be copied to the device, which would
            // wait.
            let _ = running.batches.shallow_clone().f_add_scalar_(1)?;
        }
        let by_batch = training || self.running.is_none();
        if by_batch {
            more_than_one_value(&x.size())?;
            if let Some(y) = self.by_our_kernel(x, fused, training)? {
                return Ok(y);
            }
        }
        let affine = self.affine.as_ref();
        let running = self.running.as_ref();
        let mut y = x.f_batch_norm(
            affine.map(|a| &a[0]),
            affine.map(|a| &a[1]),
            running.map(|r| &r.mean),
            running.map(|r| &r.var),
            by_batch,
            self.momentum,
            self.eps,
            true,
        )?;
        if let Some(other) = fused.add {
            y = y.f_add_(other)?;
        }
        Ok(activate(y, fused.activation)?)
    }
}

impl BatchNorm2dLayer {
    /// Normalises with the mean and the variance of the batch.
    fn export_by_batch(
        &self,
        graph: &mut Graph,
        x: &Value,
        weight: &Tensor,
        bias: &Tensor,
    ) -> Result<String, LayerError> {
        let axes = graph.ints(&[0, 2, 3]);
        let mean = graph.op("ReduceMean", &[&x.name, &axes], &[]);
        let centred = graph.op("Sub", &[&x.name, &mean], &[]);
        let squares = graph.op("Mul", &[&centred, &centred], &[]);
        let var = graph.op("ReduceMean", &[&squares, &axes], &[]);
        let eps = graph.number(self.eps);
        let var = graph.op("Add", &[&var, &eps], &[]);
        let deviation = graph.op("Sqrt", &[&var], &[]);
        let y = graph.op("Div", &[&centred, &deviation], &[]);
        let weight = graph.tensor(&weight.f_reshape([-1, 1, 1])?)?;
        let bias = graph.tensor(&bias.f_reshape([-1, 1, 1])?)?;
        let y = graph.op("Mul", &[&y, &weight], &[]);
        Ok(graph.op("Add", &[&y, &bias], &[]))
    }

    /// `None` if our kernel does not support this case.
    fn by_our_kernel(
        &self,
        x: &Tensor,
        fused: Fused,
        training: bool,
    ) -> Result<Option<Tensor>, LayerError> {
        let running = self.running.as_ref().filter(|_| training);
        let parameters = Parameters {
            affine: self.affine.as_ref(),
            running: running.map(|r| [&r.mean, &r.var]),
            momentum: self.momentum,
            eps: self.eps,
        };
        Ok(batch_norm(x, &parameters, fused.add, fused.activation)?)
    }
}

/// PyTorch's check: a single value per channel has no variance.
fn more_than_one_value(shape: &[i64]) -> Result<(), Error> {
    let mut values = 1;
    for (dim, size) in shape.iter().enumerate() {
        if dim != 1 {
            values *= size;
        }
    }
    if values != 1 {
        return Ok(());
    }
    Err(Error::failed(format_args!(
        "expected more than 1 value per channel when training, got {shape:?}: give a \
         larger --batch-size, or drop_last = true where only the last batch is so small, \
         or larger images"
    )))
}
