//! Builds a network layer by layer.
//!
//! Sizes are inferred from each layer's input. Shapes come from libtorch itself: as soon
//! as a layer is built, a batch of zeros goes through it. Nothing else computes shapes.

use std::collections::HashSet;

use tch::{Device, Kind, Tensor, no_grad};
use torchmill::recipe::{Init, Initialise};
use torchmill::{Error, Result};

use super::checked::CheckedLayer;
use super::sequential::SequentialLayer;
use super::{CheckedLayers, Layer, LayerError, Mode, NamedLayer};
use crate::generator::Generator;
use crate::patterns::Patterns;
use crate::summary::LayerSummary;
use crate::tensor::{NamedTensor, f_channels_last, f_floats};
use crate::whitening::Whitening;
use crate::{initialise, torch_error};

/// The largest number of layers, more than any network has. Without it, a mistyped
/// `times` of Repeat would fill the memory.
const MOST_LAYERS: usize = 10_000;

/// The largest number of elements of a tensor (8 GiB of float32).
const MOST_NUMBERS: i64 = 1 << 31;

/// Float32 on the CPU.
pub(super) const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

/// A network under construction, as the layer being built sees it.
pub(crate) struct Builder<'a> {
    /// Draws the initial weights. `None` if they stay zero, because they are loaded
    /// later.
    generator: Option<&'a mut Generator>,
    /// The default `out_features` of the last Linear; `None` if the layers are not a
    /// classifier.
    classes: Option<i64>,
    /// Patterns for the names of tensors that training does not change.
    frozen: &'a Patterns,
    /// Two images of zeros, as the layer under construction sees them.
    example: Tensor,
    /// The name of the layer under construction.
    path: String,
    /// Whether the layer under construction ends the network.
    is_last: bool,
    tensors: Tensors,
    summaries: Vec<LayerSummary>,
    /// The layers to which initialisation rules can apply.
    weighted: Vec<Weighted>,
    /// The layers among them whose weights are computed from training images.
    whitenings: Vec<Whitening>,
    /// Whether the input of the layer under construction is the unchanged images.
    gets_images: bool,
    /// The number of layers so far.
    count: usize,
}

/// A network's state dict.
#[derive(Default)]
pub(crate) struct Tensors {
    /// In PyTorch's order.
    pub(crate) parameters: Vec<NamedTensor>,
    /// Batch norm's running statistics.
    pub(crate) buffers: Vec<NamedTensor>,
    /// Parameters that are computed from training images.
    pub(crate) whitenings: Vec<Whitening>,
    /// Whether a layer depends on the whole batch in training.
    pub(crate) needs_whole_batch: bool,
}

struct Weighted {
    path: String,
    class: &'static str,
    weight: Tensor,
    bias: Option<Tensor>,
    gets_images: bool,
}

/// For all layers: their input, and tensors of their own.
impl Builder<'_> {
    /// The shape of the layer's input for one image.
    pub(crate) fn shape(&self) -> Vec<i64> {
        self.example.size()[1..].to_vec()
    }

    /// The number of dimensions of the layer's input, including the batch's.
    pub(super) fn dims(&self) -> usize {
        self.example.dim()
    }

    /// `C` of `[N, C, H, W]`.
    pub(super) fn channels(&self) -> Result<i64> {
        match self.shape()[..] {
            [channels, _, _] => Ok(channels),
            _ => Err(Error::usage("it needs [C, H, W]")),
        }
    }

    /// `[T, E]` of `[N, T, E]`: the number of tokens and their size.
    pub(super) fn tokens(&self) -> Result<[i64; 2]> {
        self.shape().try_into().map_err(|_| Error::usage("it needs [N, E]"))
    }

    /// The size of the last dimension.
    pub(super) fn last_dimension(&self) -> Result<i64> {
        let last = self.shape().last().copied();
        last.ok_or_else(|| Error::usage("it needs at least one dimension"))
    }

    /// The number of classes, if the layer is the last of a classifier.
    pub(super) fn classes_of_last_layer(&self) -> Option<i64> {
        self.classes.filter(|_| self.is_last)
    }

    /// Whether training leaves the layer's tensor of this name unchanged.
    pub(super) fn is_frozen(&self, name: &str) -> bool {
        self.frozen.matches(&join(&self.path, name))
    }

    /// Adds the parameters `weight`, of this shape, and `bias`, initialised as in Conv2d
    /// and Linear.
    pub(super) fn weight_and_bias(
        &mut self,
        shape: &[i64],
        bias: bool,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let path = self.path.clone();
        let class = if shape.len() == 4 { "Conv2d" } else { "Linear" };
        self.weight_and_bias_of(&path, class, shape, bias)
    }

    /// Adds the weight and bias of a Linear that is part of the layer.
    pub(super) fn linear_within(
        &mut self,
        name: &str,
        inputs: i64,
        outputs: i64,
    ) -> Result<(Tensor, Tensor)> {
        let path = join(&self.path, name);
        let shape = [outputs, inputs];
        let (weight, bias) = self.weight_and_bias_of(&path, "Linear", &shape, true)?;
        #[allow(clippy::expect_used, reason = "a bias was asked for")]
        Ok((weight, bias.expect("a Linear with a bias has one")))
    }

    /// Adds the parameters `weight`, ones, and `bias`, zeros.
    pub(super) fn ones_and_zeros(&mut self, shape: &[i64]) -> Result<[Tensor; 2]> {
        Ok([self.constant("weight", 1.0, shape)?, self.constant("bias", 0.0, shape)?])
    }

    /// Adds a parameter filled with `value`. With an empty `name`, it has the layer's
    /// name.
    pub(super) fn constant(
        &mut self,
        name: &str,
        value: f64,
        shape: &[i64],
    ) -> Result<Tensor> {
        check_size(shape)?;
        let tensor = Tensor::f_full(shape, value, FLOAT).map_err(|e| torch_error(&e))?;
        Ok(self.parameter(&join(&self.path, name), tensor))
    }

    /// Adds a parameter initialised by `init`.
    pub(super) fn drawn(
        &mut self,
        name: &str,
        init: &Init,
        shape: &[i64],
    ) -> Result<Tensor> {
        check_size(shape)?;
        let tensor = match self.generator.as_deref_mut() {
            Some(generator) => {
                from_values(&initialise::draw(init, generator, shape)?, shape)?
            }
            None => zeros(shape)?,
        };
        Ok(self.parameter(&join(&self.path, name), tensor))
    }

    /// Adds a tensor to the state dict that is not trained.
    pub(super) fn buffer(&mut self, name: &str, tensor: Tensor) -> Tensor {
        let shared = tensor.shallow_clone();
        let name = join(&self.path, name);
        self.tensors.buffers.push(NamedTensor { name, tensor });
        shared
    }

    /// Notes that in training, the layer's output for an image depends on the other images
    /// of the batch or on random numbers, or that the layer changes a buffer.
    pub(super) fn needs_whole_batch(&mut self) {
        self.tensors.needs_whole_batch = true;
    }

    fn parameter(&mut self, name: &str, tensor: Tensor) -> Tensor {
        let shared = tensor.shallow_clone();
        self.tensors.parameters.push(NamedTensor { name: name.to_owned(), tensor });
        shared
    }

    fn weight_and_bias_of(
        &mut self,
        path: &str,
        class: &'static str,
        shape: &[i64],
        has_bias: bool,
    ) -> Result<(Tensor, Option<Tensor>)> {
        check_size(shape)?;
        let mut bias = None;
        let mut weight;
        if let Some(generator) = self.generator.as_deref_mut() {
            let drawn = initialise::weight_and_bias(generator, shape, has_bias);
            weight = from_values(&drawn.0, shape)?;
            if let Some(values) = drawn.1 {
                bias = Some(from_values(&values, &shape[..1])?);
            }
        } else {
            weight = zeros(shape)?;
            if has_bias {
                bias = Some(zeros(&shape[..1])?);
            }
        }
        if shape.len() == 4 {
            weight = f_channels_last(&weight).map_err(|e| torch_error(&e))?;
        }
        let weight = self.parameter(&join(path, "weight"), weight);
        let bias = bias.map(|bias| self.parameter(&join(path, "bias"), bias));
        self.weighted.push(Weighted {
            path: path.to_owned(),
            class,
            weight: weight.shallow_clone(),
            bias: bias.as_ref().map(Tensor::shallow_clone),
            gets_images: self.gets_images,
        });
        Ok((weight, bias))
    }
}

/// For layers that contain layers. While these are built, the example moves on through
/// them.
impl Builder<'_> {
    /// Two images of zeros, as the next layer sees them.
    pub(super) fn example(&self) -> Tensor {
        self.example.shallow_clone()
    }

    /// Replaces the example.
    pub(super) fn set_example(&mut self, example: Tensor) {
        self.example = example;
    }

    /// Builds layers in sequence within this one, named `PATH.0`, `PATH.1`, ...
    pub(super) fn sequence(
        &mut self,
        layers: &CheckedLayers,
    ) -> Result<Vec<NamedLayer>, LayerError> {
        self.sequence_called("", layers)
    }

    /// Builds layers in sequence within this one, named `PATH.KIND0`, `PATH.KIND1`, ...
    pub(super) fn sequence_called(
        &mut self,
        kind: &str,
        layers: &CheckedLayers,
    ) -> Result<Vec<NamedLayer>, LayerError> {
        let is_last = std::mem::replace(&mut self.is_last, false);
        let built = self.row(kind, layers);
        self.is_last = is_last;
        built
    }

    /// Builds layers in sequence within this one. The last ends the network if this one
    /// does.
    pub(super) fn last_sequence(
        &mut self,
        layers: &CheckedLayers,
    ) -> Result<Vec<NamedLayer>, LayerError> {
        self.row("", layers)
    }

    /// Builds a Sequential named `PATH.NAME`.
    pub(super) fn sequential_within(
        &mut self,
        name: &str,
        layers: &CheckedLayers,
    ) -> Result<NamedLayer, LayerError> {
        self.count_layer()?;
        let path = join(&self.path, name);
        let name = format!("layer {path} (Sequential)");
        let outer = std::mem::replace(&mut self.path, path);
        let layers = self.sequence(layers);
        self.path = outer;
        Ok(NamedLayer { name, layer: Box::new(SequentialLayer { layers: layers? }) })
    }
}

impl<'a> Builder<'a> {
    /// A builder for a network named `prefix`, for images of shape `input`, `[C, H, W]`.
    pub(crate) fn new(
        generator: Option<&'a mut Generator>,
        classes: Option<i64>,
        frozen: &'a Patterns,
        input: [usize; 3],
        prefix: &str,
    ) -> Result<Self> {
        Ok(Self {
            generator,
            classes,
            frozen,
            example: example(input)?,
            path: prefix.to_owned(),
            is_last: true,
            tensors: Tensors::default(),
            summaries: Vec::new(),
            weighted: Vec::new(),
            whitenings: Vec::new(),
            gets_images: true,
            count: 0,
        })
    }

    /// Builds the whole network, then reinitialises the weights that `rules` apply to.
    pub(crate) fn network(
        &mut self,
        layers: &CheckedLayers,
        rules: &[Initialise],
    ) -> Result<Vec<NamedLayer>> {
        no_grad(|| {
            let layers = self.row("", layers).map_err(LayerError::into_error)?;
            self.initialise(rules, 0)?;
            Ok(layers)
        })
    }

    /// Returns the state dict and a summary of each layer.
    pub(crate) fn finish(self) -> Result<(Tensors, Vec<LayerSummary>)> {
        let mut seen = HashSet::new();
        for named in self.tensors.parameters.iter().chain(&self.tensors.buffers) {
            let name = named.name.as_str();
            if !seen.insert(name) {
                return Err(Error::usage(format_args!(
                    "two layers have a tensor called {name}: give one another name"
                )));
            }
        }
        let tensors = Tensors { whitenings: self.whitenings, ..self.tensors };
        Ok((tensors, self.summaries))
    }

    fn row(
        &mut self,
        kind: &str,
        layers: &CheckedLayers,
    ) -> Result<Vec<NamedLayer>, LayerError> {
        let layers = layers.as_slice();
        let outer_path = self.path.clone();
        let outer_is_last = self.is_last;
        let mut built = Vec::with_capacity(layers.len());
        for (i, layer) in layers.iter().enumerate() {
            self.path = path_of(layer, &outer_path, &format!("{kind}{i}"))?;
            // Layers that keep the shape may follow the last one.
            let after = &layers[i + 1..];
            self.is_last =
                outer_is_last && after.iter().all(|l| l.arguments().keeps_shape());
            built.push(self.layer(layer)?);
        }
        self.path = outer_path;
        self.is_last = outer_is_last;
        Ok(built)
    }

    fn layer(&mut self, checked: &CheckedLayer) -> Result<NamedLayer, LayerError> {
        self.count_layer()?;
        let name = format!("layer {} ({})", self.path, checked.class);
        let input = self.shape();
        let place = format!("{name}, which gets {input:?}");
        let summary = self.summaries.len();
        self.summaries.push(LayerSummary::new(&self.path, checked.class));
        let parameters = self.tensors.parameters.len();
        let weighted = self.weighted.len();
        let layer = self.build(checked).map_err(|e| e.into_usage().within(place))?;
        self.initialise(&checked.initialise, weighted)?;
        let added = &self.tensors.parameters[parameters..];
        let output = self.shape();
        let inner = self.summaries.len() - summary - 1;
        let summary = &mut self.summaries[summary];
        summary.parameters = added.iter().map(|p| p.tensor.numel()).sum();
        summary.multiply_adds = layer.multiply_adds(&input, &output);
        summary.output = output;
        summary.inner = inner;
        Ok(NamedLayer { name, layer })
    }

    /// Builds the layer and runs the example through it.
    fn build(&mut self, checked: &CheckedLayer) -> Result<Box<dyn Layer>, LayerError> {
        let layer = checked.arguments().build(self)?;
        if !layer.has_layers() {
            let mode = Mode { training: false, kind: Kind::Float };
            self.example = layer.forward(&self.example, mode)?;
            self.gets_images = false;
        }
        if self.example.numel() == 0 {
            let shape = self.shape();
            return Err(
                Error::usage(format_args!("would give the empty {shape:?}")).into()
            );
        }
        Ok(layer)
    }

    fn count_layer(&mut self) -> Result<(), LayerError> {
        self.count += 1;
        if self.count <= MOST_LAYERS {
            return Ok(());
        }
        Err(LayerError::Named(Error::usage(format_args!(
            "the network has more than {MOST_LAYERS} layers, which is the most: see \
             Repeat's times"
        ))))
    }

    /// Reinitialises the weights of the layers since `from`, in order, by the first rule
    /// that applies to each.
    fn initialise(&mut self, rules: &[Initialise], from: usize) -> Result<()> {
        let Some(generator) = self.generator.as_deref_mut() else { return Ok(()) };
        for layer in &self.weighted[from..] {
            for rule in rules {
                if !layer.is_meant_by(rule, &self.path)? {
                    continue;
                }
                let name = format!("layer {} ({})", layer.path, layer.class);
                let whitening =
                    layer.draw(rule, generator).map_err(|e| e.within(name))?;
                self.whitenings.extend(whitening);
                break;
            }
        }
        Ok(())
    }
}

impl Weighted {
    /// Whether a rule of the layer named `outer` applies to this one.
    fn is_meant_by(&self, rule: &Initialise, outer: &str) -> Result<bool> {
        if rule.module.as_ref().is_some_and(|class| class != self.class) {
            return Ok(false);
        }
        let Some(pattern) = &rule.name else { return Ok(true) };
        let within = self.path.strip_prefix(outer).unwrap_or(&self.path);
        Ok(Patterns::new([pattern])?.matches(within.trim_start_matches('.')))
    }

    /// Reinitialises the tensors. Returns the weight instead if it is computed from
    /// images.
    fn draw(
        &self,
        rule: &Initialise,
        generator: &mut Generator,
    ) -> Result<Option<Whitening>> {
        let mut whitening = None;
        match rule.weight {
            Some(Init::Whitening { eps, images }) => {
                whitening = Some(self.whitening(eps, images)?);
            }
            Some(init) => draw_tensor(&init, &self.weight, generator)?,
            None => {}
        }
        if let (Some(init), Some(bias)) = (&rule.bias, &self.bias) {
            draw_tensor(init, bias, generator)?;
        }
        Ok(whitening)
    }

    fn whitening(&self, eps: f64, images: usize) -> Result<Whitening> {
        let name = format!("layer {} ({})", self.path, self.class);
        let weight = self.weight.shallow_clone();
        let whitening = Whitening { name, weight, eps, images };
        whitening.check(self.gets_images)?;
        Ok(whitening)
    }
}

fn draw_tensor(init: &Init, tensor: &Tensor, generator: &mut Generator) -> Result<()> {
    let shape = tensor.size();
    let mut values = initialise::draw(init, generator, &shape)?;
    if let Init::Dirac { keep_rest: true, .. } = init {
        let old = f_floats(tensor).map_err(|e| torch_error(&e))?;
        initialise::keep_rest(&mut values, &old, shape[0] as usize);
    }
    let values = from_values(&values, &shape)?;
    tensor.shallow_clone().f_copy_(&values).map_err(|e| torch_error(&e))
}

/// Two images of zeros of shape `[C, H, W]`.
fn example(input: [usize; 3]) -> Result<Tensor> {
    let mut shape = vec![2];
    for size in input {
        shape.push(i64::try_from(size).unwrap_or(i64::MAX));
    }
    check_size(&shape).map_err(|e| e.within(format_args!("images of {input:?}")))?;
    zeros(&shape)
}

/// The layer's name in the state dict, within the layer named `outer`.
fn path_of(layer: &CheckedLayer, outer: &str, index: &str) -> Result<String, LayerError> {
    match layer.name.as_deref() {
        None => Ok(join(outer, index)),
        Some("") => Ok(outer.to_owned()),
        Some(name) if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => {
            Ok(join(outer, name))
        }
        Some(name) => Err(LayerError::Named(Error::usage(format_args!(
            "layer {outer} has a layer called `{name}`: a name is letters, digits and _"
        )))),
    }
}

/// `prefix.name`, or whichever is not empty.
fn join(prefix: &str, name: &str) -> String {
    let dot = if prefix.is_empty() || name.is_empty() { "" } else { "." };
    format!("{prefix}{dot}{name}")
}

/// Fails if a tensor is larger than anyone can have meant.
fn check_size(shape: &[i64]) -> Result<()> {
    let mut numbers = 1_i64;
    for &size in shape {
        numbers = numbers.saturating_mul(size);
    }
    if numbers <= MOST_NUMBERS {
        return Ok(());
    }
    Err(Error::usage(format_args!(
        "a tensor of {shape:?} has more than {MOST_NUMBERS} numbers, which is the most"
    )))
}

fn zeros(shape: &[i64]) -> Result<Tensor> {
    Tensor::f_zeros(shape, FLOAT).map_err(|e| torch_error(&e))
}

fn from_values(values: &[f32], shape: &[i64]) -> Result<Tensor> {
    Tensor::f_from_slice(values)
        .and_then(|tensor| tensor.f_reshape(shape))
        .map_err(|e| torch_error(&e))
}
