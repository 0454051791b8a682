//! A network: built from a recipe's layers, run forward, its parameters under PyTorch's
//! state-dict names.

mod attention;
mod block;
mod build;
mod load;
pub mod summary;

pub use load::Loaded;
pub use summary::Row;

use tch::{Device, Kind, Tensor, no_grad};
use torchmill::recipe::Model as Layers;
use torchmill::{Error, Result};

use crate::generator::Generator;
use crate::patterns::Patterns;
use crate::spec::Spec;
use crate::torch_error;
use block::{Block, in_order};
use build::{Builder, Parts};

/// A named tensor of the state dict.
pub struct Named {
    /// As in PyTorch: `module1.0.weight`.
    pub name: String,
    /// Float32 (BatchNorm's counter: int64). Four-dimensional weights lie channels last.
    pub tensor: Tensor,
}

/// A network with its weights.
pub struct Model {
    blocks: Vec<Block>,
    parameters: Vec<Named>,
    buffers: Vec<Named>,
    rows: Vec<Row>,
    device: Device,
}

/// What a forward pass needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Mode {
    /// `net.train()` or `net.eval()`: dropout and batch norm differ.
    pub training: bool,
    /// What the layers compute in; the weights are cast to it, the logits back to
    /// float32.
    pub kind: Kind,
}

impl Model {
    /// Builds the network and draws its initial weights from `generator`, as PyTorch does
    /// with its default one.
    ///
    /// Sizes that follow from the input are inferred. A layer that does not fit what it
    /// gets is a usage error that names it and the shape. What the spec says to freeze
    /// takes no gradient, and batch norm whose running statistics are frozen uses them in
    /// training, too.
    pub fn new(spec: &Spec, generator: &mut Generator, device: Device) -> Result<Self> {
        Self::classifier(spec, Some(generator), device)
    }

    /// Builds the network for weights that are still to be loaded.
    pub fn empty(spec: &Spec, device: Device) -> Result<Self> {
        Self::classifier(spec, None, device)
    }

    /// Builds layers that need not end in one output a class, for images of shape
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
            let last = spec.model.layers.last().map_or("none", |l| l.module.name());
            return Err(Error::usage(format_args!(
                "the last layer ({last}) gives {gives:?} for each image, but {classes} classes ask for [{classes}]"
            )));
        }
        Ok(model)
    }

    /// The network, and the shape that it gives for one image.
    fn build(
        layers: &Layers,
        input: [usize; 3],
        classes: Option<i64>,
        generator: Option<&mut Generator>,
        device: Device,
    ) -> Result<(Self, Vec<i64>)> {
        let layers = layers.written_out(input)?;
        let frozen = Patterns::new(&layers.freeze)?;
        let mut builder = Builder::new(generator, classes, &frozen, input);
        let prefix = layers.attribute.clone().unwrap_or_default();
        let blocks =
            no_grad(|| builder.network(&layers.layers, &layers.initialise, &prefix))?;
        let gives = builder.shape();
        let Parts { parameters, buffers, rows } = builder.finish()?;
        let mut model = Self { blocks, parameters, buffers, rows, device: Device::Cpu };
        model.move_to(device);
        if let Some(idle) = frozen.idle(model.state_dict().map(|n| n.name.as_str())) {
            return Err(Error::usage(format_args!("freeze: no name fits `{idle}`")));
        }
        for p in &model.parameters {
            let _ = p.tensor.set_requires_grad(!frozen.matches(&p.name));
        }
        if !layers.freeze.is_empty() && model.trained().next().is_none() {
            return Err(Error::usage("freeze leaves nothing to train"));
        }
        Ok((model, gives))
    }

    /// The output, `[N, classes]` float32 logits, for images `[N, C, H, W]`.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut x = images.to_kind(mode.kind);
        for (block, neighbours) in in_order(&self.blocks) {
            x = block
                .forward(x, neighbours, mode)
                .map_err(|e| torch_error(&e).within(block.name()))?;
        }
        Ok(x.to_kind(Kind::Float))
    }

    /// The parameters, in PyTorch's order, frozen or not.
    pub fn parameters(&self) -> &[Named] {
        &self.parameters
    }

    /// The parameters that are not frozen.
    pub fn trained(&self) -> impl Iterator<Item = &Named> {
        self.parameters.iter().filter(|p| p.tensor.requires_grad())
    }

    /// The tensors of the parameters that are not frozen, sharing their storage.
    pub fn parameter_tensors(&self) -> Vec<Tensor> {
        self.trained().map(|p| p.tensor.shallow_clone()).collect()
    }

    /// Every layer with its shape, parameters and multiply-adds.
    pub fn summary(&self) -> &[Row] {
        &self.rows
    }

    /// The whole state dict: parameters and buffers (batch norm's running statistics).
    pub fn state_dict(&self) -> impl Iterator<Item = &Named> {
        self.parameters.iter().chain(&self.buffers)
    }

    /// Whether no weight or buffer is NaN or infinite.
    pub fn is_finite(&self) -> bool {
        self.state_dict().all(|named| named.tensor.isfinite().all().int64_value(&[]) != 0)
    }

    /// How many numbers the parameters have.
    pub fn parameter_count(&self) -> usize {
        self.parameters.iter().map(|p| p.tensor.numel()).sum()
    }

    /// Where the network lies.
    pub fn device(&self) -> Device {
        self.device
    }

    /// `load_state_dict(strict=True)`: copies the tensors in, or says every name that is
    /// missing, unexpected or of another shape, and changes nothing.
    pub fn load_state_dict(&mut self, tensors: &[(String, Tensor)]) -> Result<()> {
        let find = |name: &str| tensors.iter().find(|(n, _)| n == name).map(|(_, t)| t);
        let mut wrong = Vec::new();
        for own in self.state_dict() {
            match find(&own.name) {
                None => wrong.push(format!("{} is missing", own.name)),
                Some(t) if t.size() != own.tensor.size() => wrong.push(format!(
                    "{} is {:?}, the network asks for {:?}",
                    own.name,
                    t.size(),
                    own.tensor.size()
                )),
                Some(_) => {}
            }
        }
        let known = |name: &str| self.state_dict().any(|own| own.name == name);
        wrong.extend(
            tensors
                .iter()
                .filter(|(n, _)| !known(n))
                .map(|(n, _)| format!("{n} is unexpected")),
        );
        if !wrong.is_empty() {
            return Err(Error::failed(format_args!(
                "the weights are another network's: {}",
                list(&wrong)
            )));
        }
        no_grad(|| {
            for own in self.parameters.iter().chain(&self.buffers) {
                if let Some(t) = find(&own.name) {
                    own.tensor.shallow_clone().copy_(t);
                }
            }
        });
        Ok(())
    }

    fn move_to(&mut self, device: Device) {
        if device == self.device {
            return;
        }
        // The blocks share their tensors' storage with the lists, so they are re-pointed,
        // not copied.
        for named in self.parameters.iter_mut().chain(&mut self.buffers) {
            named.tensor.set_data(&named.tensor.to_device(device));
        }
        self.device = device;
    }
}

/// The first few of a list, and how many more there are.
fn list(items: &[String]) -> String {
    const SHOWN: usize = 4;
    let shown = items[..items.len().min(SHOWN)].join(", ");
    if items.len() > SHOWN {
        format!("{shown} and {} more", items.len() - SHOWN)
    } else {
        shown
    }
}
