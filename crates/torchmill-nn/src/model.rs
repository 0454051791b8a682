//! A network, built from a recipe's layers. Its parameters have PyTorch's state-dict
//! names.

mod load;

pub use crate::layer::Mode;
pub use load::Loaded;

use tch::{Device, Kind, TchError, Tensor, no_grad};
use torchmill::recipe::Model as Layers;
use torchmill::{Error, Result};

use crate::generator::Generator;
use crate::layer::{
    Builder, CheckedLayers, LayerError, NamedLayer, export_all, forward_all,
};
use crate::onnx::{Graph, Value};
use crate::outputs::{self, Outputs};
use crate::patterns::Patterns;
use crate::spec::Spec;
use crate::summary::LayerSummary;
use crate::tensor::{NamedTensor, f_bytes, f_download};
use crate::torch_error;
use crate::torch_save;
use crate::whitening::Whitening;

/// A network with its weights.
pub struct Model {
    layers: Vec<NamedLayer>,
    parameters: Vec<NamedTensor>,
    buffers: Vec<NamedTensor>,
    summary: Vec<LayerSummary>,
    outputs: Outputs,
    whitenings: Vec<Whitening>,
    needs_whole_batch: bool,
    device: Device,
}

impl Model {
    /// Builds the network and draws its initial weights from `generator`, as PyTorch does
    /// with its default generator.
    ///
    /// Sizes that follow from the input are inferred. A layer that does not fit its input
    /// is a usage error that names the layer and the shape. Frozen parameters need no
    /// gradient. A batch norm whose running statistics are frozen uses them in training,
    /// too.
    pub fn new(spec: &Spec, generator: &mut Generator, device: Device) -> Result<Self> {
        Self::classifier(spec, Some(generator), device)
    }

    /// Builds the network without initial weights, which are loaded later.
    pub fn empty(spec: &Spec, device: Device) -> Result<Self> {
        Self::classifier(spec, None, device)
    }

    /// Builds layers that need not end in one output per class, for images of shape
    /// `input`, `[C, H, W]`.
    pub fn body(
        layers: &Layers,
        input: [usize; 3],
        generator: &mut Generator,
        device: Device,
    ) -> Result<Self> {
        Ok(Self::build(layers, input, None, Some(generator), device)?.0)
    }

    fn classifier(
        spec: &Spec,
        generator: Option<&mut Generator>,
        device: Device,
    ) -> Result<Self> {
        let classes = spec.classes.len() as i64;
        let (model, gives) =
            Self::build(&spec.model, spec.input, Some(classes), generator, device)?;
        if gives != [classes] {
            let last = spec.model.layers.last().map_or("none", |l| l.class.as_str());
            return Err(Error::usage(format_args!(
                "the last layer ({last}) gives {gives:?} for each image, but {classes} \
                 classes need [{classes}]"
            )));
        }
        outputs::check(model.outputs, &spec.loss)?;
        Ok(model)
    }

    /// Returns the network and its output shape for one image.
    fn build(
        layers: &Layers,
        input: [usize; 3],
        classes: Option<i64>,
        generator: Option<&mut Generator>,
        device: Device,
    ) -> Result<(Self, Vec<i64>)> {
        let layers = layers.written_out(input)?;
        let checked = check_layers(&layers)?;
        let frozen = Patterns::new(&layers.freeze)?;
        let prefix = layers.attribute.as_deref().unwrap_or_default();
        let mut builder = Builder::new(generator, classes, &frozen, input, prefix)?;
        let built = builder.network(&checked, &layers.initialise)?;
        let gives = builder.shape();
        let (tensors, summary) = builder.finish()?;
        let mut model = Self {
            layers: built,
            parameters: tensors.parameters,
            buffers: tensors.buffers,
            summary,
            outputs: checked.outputs(),
            whitenings: tensors.whitenings,
            needs_whole_batch: tensors.needs_whole_batch,
            device: Device::Cpu,
        };
        model.move_to(device)?;
        model.freeze(&frozen)?;
        Ok((model, gives))
    }

    /// Turns off the gradients of the parameters that match the patterns.
    fn freeze(&mut self, frozen: &Patterns) -> Result<()> {
        let names = self.state_dict().map(|named| named.name.as_str());
        if let Some(idle) = frozen.idle(names) {
            return Err(Error::usage(format_args!("freeze: no name fits `{idle}`")));
        }
        for p in &self.parameters {
            let _ = p.tensor.set_requires_grad(!frozen.matches(&p.name));
        }
        if !frozen.is_empty() && self.trained().next().is_none() {
            return Err(Error::usage("freeze leaves nothing to train"));
        }
        Ok(())
    }

    /// Computes the outputs, `[N, classes]` float32 logits, for images `[N, C, H, W]`.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Result<Tensor> {
        let images = images.f_to_kind(mode.kind).map_err(|e| torch_error(&e))?;
        let logits =
            forward_all(&self.layers, &images, mode).map_err(LayerError::into_error)?;
        logits.f_to_kind(Kind::Float).map_err(|e| torch_error(&e))
    }

    /// Fails unless the network also takes images of this shape, `[C, H, W]`. The error names
    /// the layer that does not.
    pub fn check_input(&self, [channels, height, width]: [usize; 3]) -> Result<()> {
        let size = [1, channels as i64, height as i64, width as i64];
        let images = Tensor::f_zeros(size, (Kind::Float, self.device));
        let images = images.map_err(|e| torch_error(&e))?;
        let mode = Mode { training: false, kind: Kind::Float };
        no_grad(|| self.forward(&images, mode)).map(drop)
    }

    /// Adds the network to an ONNX graph and returns the name of its output.
    pub(crate) fn export(&self, graph: &mut Graph, images: &Value) -> Result<String> {
        export_all(&self.layers, graph, images).map_err(LayerError::into_error)
    }

    /// The number of training images that the initial weights depend on: 0 unless a layer
    /// uses `whitening_`.
    pub fn images_to_start_from(&self) -> usize {
        self.whitenings.iter().map(|whitening| whitening.images).max().unwrap_or(0)
    }

    /// Computes the initial weights that depend on training images, `[N, C, H, W]`
    /// float32 on the CPU.
    pub fn start_from(&mut self, images: &Tensor) -> Result<()> {
        for whitening in &self.whitenings {
            let count = images.size()[0].min(whitening.images as i64);
            let images = images.f_narrow(0, 0, count).map_err(|e| torch_error(&e))?;
            whitening.compute(&images)?;
        }
        Ok(())
    }

    /// The parameters, in PyTorch's order, frozen or not.
    pub fn parameters(&self) -> &[NamedTensor] {
        &self.parameters
    }

    /// The buffers (batch norm's running statistics), in PyTorch's order.
    pub fn buffers(&self) -> &[NamedTensor] {
        &self.buffers
    }

    /// The parameters that are not frozen.
    pub fn trained(&self) -> impl Iterator<Item = &NamedTensor> {
        self.parameters.iter().filter(|p| p.tensor.requires_grad())
    }

    /// The tensors of the parameters that are not frozen, sharing their storage.
    pub fn parameter_tensors(&self) -> Vec<Tensor> {
        self.trained().map(|p| p.tensor.shallow_clone()).collect()
    }

    /// What the network's outputs are.
    pub fn outputs(&self) -> Outputs {
        self.outputs
    }

    /// Whether training on parts of a batch and adding their gradients differs from training
    /// on the batch: a layer depends on all images of the batch (batch norm), or draws random
    /// numbers for it (dropout), or changes a buffer.
    pub fn needs_whole_batch(&self) -> bool {
        self.needs_whole_batch
    }

    /// Every layer with its shape, parameters and multiply-adds.
    pub fn summary(&self) -> &[LayerSummary] {
        &self.summary
    }

    /// The whole state dict: parameters and buffers (batch norm's running statistics).
    pub fn state_dict(&self) -> impl Iterator<Item = &NamedTensor> {
        self.parameters.iter().chain(&self.buffers)
    }

    /// The state dict as a file of `torch.save`.
    ///
    /// # Errors
    /// If libtorch fails, for example for lack of memory.
    pub fn to_torch_save(&self) -> Result<Vec<u8>> {
        torch_save::encode(self.state_dict())
    }

    /// Whether no weight or buffer is NaN or infinite.
    pub fn is_finite(&self) -> Result<bool> {
        let finite = no_grad(|| self.all_finite()).map_err(|e| torch_error(&e));
        finite.map_err(|e| e.within("checking the weights"))
    }

    /// Reads back a single number for all tensors: each read would wait for the device.
    fn all_finite(&self) -> Result<bool, TchError> {
        let mut finite = Vec::new();
        for named in self.state_dict() {
            finite.push(named.tensor.f_isfinite()?.f_all()?);
        }
        if finite.is_empty() {
            return Ok(true);
        }
        Ok(Tensor::f_stack(&finite, 0)?.f_all()?.f_int64_value(&[])? != 0)
    }

    /// A checksum (CRC-32C) of the parameters. Waits once for the device.
    pub fn checksum(&self) -> Result<u32> {
        let checksum = no_grad(|| self.checksum_of_copies()).map_err(|e| torch_error(&e));
        checksum.map_err(|e| e.within("the weights' checksum"))
    }

    fn checksum_of_copies(&self) -> Result<u32, TchError> {
        let tensors: Vec<&Tensor> = self.parameters.iter().map(|p| &p.tensor).collect();
        let mut checksum = 0;
        for copy in f_download(&tensors)? {
            checksum = crc32c::crc32c_append(checksum, &f_bytes(&copy.f_contiguous()?)?);
        }
        Ok(checksum)
    }

    /// The number of elements of all parameters.
    pub fn parameter_count(&self) -> usize {
        self.parameters.iter().map(|p| p.tensor.numel()).sum()
    }

    /// The device of the weights.
    pub fn device(&self) -> Device {
        self.device
    }

    fn move_to(&mut self, device: Device) -> Result<()> {
        if device == self.device {
            return Ok(());
        }
        // The layers share their tensors' storage with these lists, so move the data in
        // place.
        for named in self.parameters.iter_mut().chain(&mut self.buffers) {
            let moved = named.tensor.f_to_device(device);
            let moved = moved.and_then(|moved| named.tensor.f_set_data(&moved));
            moved.map_err(|e| {
                torch_error(&e)
                    .within(format_args!("moving {} to the device", named.name))
            })?;
        }
        self.device = device;
        Ok(())
    }
}

/// Checks each layer's class and the names and types of its arguments.
fn check_layers(model: &Layers) -> Result<CheckedLayers> {
    CheckedLayers::try_from(model.layers.clone())
        .map_err(|why| Error::usage(format_args!("[model] {why}")))
}

/// Fills in every argument of the model's layers, defaults included. An unknown class or
/// argument is a usage error that names the layer. Problems that depend on the input's
/// shape, such as a size that does not fit, are found when the network is built.
pub fn complete(model: &Layers) -> Result<Layers> {
    let layers = check_layers(model)?.complete();
    Ok(Layers { layers, ..model.clone() })
}

/// The first few items of a list, and the number of the others.
fn list(items: &[String]) -> String {
    const SHOWN: usize = 4;
    let shown = items[..items.len().min(SHOWN)].join(", ");
    if items.len() > SHOWN {
        format!("{shown} and {} more", items.len() - SHOWN)
    } else {
        shown
    }
}
