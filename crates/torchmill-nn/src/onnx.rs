//! Exports networks as ONNX files, which onnxruntime and others run without PyTorch or
//! this program.
//!
//! Each layer adds its own operators to the [`Graph`]. A file holds the graph and the
//! weights in float32. Its metadata has the class names, the pipeline, and the network in
//! a checkpoint's form.

mod graph;
mod proto;

pub(crate) use graph::{Attribute, Graph, Value};

use prost::Message;
use tch::{Device, Kind, Tensor, no_grad};
use torchmill::transform::Pipeline;
use torchmill::{Error, Result};

use crate::model::Model;
use crate::spec::Spec;
use crate::torch_error;
use graph::value_info;
use proto::{ModelProto, OperatorSetIdProto, StringStringEntryProto, data_type};

/// The version of ONNX's operator set. 20 has Gelu and the wrapping Pad.
const OPSET: i64 = 20;
/// The first version of the file format with that operator set.
const IR_VERSION: i64 = 9;
/// Protobuf's size limit for a message, less some space for everything but the weights.
const MOST_BYTES: usize = (1 << 31) - (1 << 20);

/// The input of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// `images`, float32 `[N, C, H, W]`: the output of the whole pipeline.
    Floats,
    /// `images`, uint8 `[N, H, W, C]`: the output of the steps before ToTensor. The graph
    /// computes the other steps.
    Bytes,
}

/// Encodes a network on the CPU as an ONNX file. The output is called `logits`, float32
/// `[N, classes]`, whatever the last layer is. `N` is variable.
///
/// # Errors
/// If the file would be larger than protobuf allows, if the graph cannot compute a step
/// of the pipeline ([`Input::Bytes`]), or if libtorch fails.
pub fn encode(model: &Model, spec: &Spec, input: Input) -> Result<Vec<u8>> {
    let bytes: usize = model.state_dict().map(|named| named.tensor.numel() * 4).sum();
    if bytes > MOST_BYTES {
        return Err(Error::failed(format_args!(
            "the weights take {bytes} bytes, and an ONNX file has at most 2 GiB"
        )));
    }
    let mut graph = Graph::new(model.state_dict());
    let shape = spec.input.map(|size| size as i64);
    let [channels, height, width] = shape;
    let (images, info) = match input {
        Input::Floats => {
            ("images".to_owned(), value_info("images", data_type::FLOAT, &shape))
        }
        Input::Bytes => (
            floats_of_bytes(&mut graph, spec)?,
            value_info("images", data_type::UINT8, &[height, width, channels]),
        ),
    };
    let example = no_grad(|| {
        Tensor::f_zeros([2, channels, height, width], (Kind::Float, Device::Cpu))
    });
    let images = Value { name: images, example: example.map_err(|e| torch_error(&e))? };
    let logits = no_grad(|| model.export(&mut graph, &images))?;
    graph.named_op("Identity", &[&logits], &[], "logits");
    let classes = spec.classes.len() as i64;
    let output = value_info("logits", data_type::FLOAT, &[classes]);
    let name = if spec.dataset.is_empty() { "network" } else { &spec.dataset };
    let file = ModelProto {
        ir_version: IR_VERSION,
        producer_name: "torchmill".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(graph.finish(name, info, output)),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        metadata_props: metadata(spec, input)?,
    };
    Ok(file.encode_to_vec())
}

/// The steps of the pipeline that run before the graph.
fn steps_before(spec: &Spec, input: Input) -> Result<Pipeline> {
    let whole = Pipeline::parse(&spec.transform)?;
    match input {
        Input::Floats => Ok(whole),
        Input::Bytes => Ok(whole.split_levels().0),
    }
}

/// `classes` (a JSON list), `transform` (the steps before the graph), and `torchmill`
/// (the network, as in a checkpoint).
fn metadata(spec: &Spec, input: Input) -> Result<Vec<StringStringEntryProto>> {
    let classes = serde_json::to_string(&spec.classes)
        .map_err(|e| Error::failed(format_args!("the class names: {e}")))?;
    let entries = [
        ("classes", classes),
        ("transform", steps_before(spec, input)?.to_string()),
        ("torchmill", spec.to_json()?),
    ];
    let entry = |(key, value): (&str, String)| StringStringEntryProto {
        key: key.to_owned(),
        value,
    };
    Ok(entries.into_iter().map(entry).collect())
}

/// Adds ToTensor and the steps after it to the graph. Together they must be a linear
/// function of a channel's level, as ToTensor and Normalize are.
fn floats_of_bytes(graph: &mut Graph, spec: &Spec) -> Result<String> {
    let [channels, _, _] = spec.input;
    let (before, last) = Pipeline::parse(&spec.transform)?.split_levels();
    let refuse = |why: &str| {
        Err(Error::usage(format_args!(
            "the graph cannot hold the pipeline `{}`: {why}; leave --preprocess out, and \
             give the graph what the pipeline makes",
            spec.transform
        )))
    };
    if before.makes_tensors() {
        return refuse("its last steps need more than one pixel");
    }
    let mut factors = Vec::new();
    let mut offsets = Vec::new();
    for levels in last.levels(channels)? {
        let offset = levels[0];
        let factor = (levels[255] - levels[0]) / 255.0;
        for (level, &value) in levels.iter().enumerate() {
            let line = level as f32 * factor + offset;
            if (line - value).abs() > 1e-5 * value.abs().max(1.0) {
                return refuse("its last steps are not a factor and an offset");
            }
        }
        factors.push(factor);
        offsets.push(offset);
    }
    let shape = [channels as i64, 1, 1];
    let column = |values: &[f32]| Tensor::f_from_slice(values)?.f_reshape(shape);
    let constants = column(&factors).and_then(|f| Ok([f, column(&offsets)?]));
    let [factors, offsets] = constants.map_err(|e| torch_error(&e))?;
    let add = |graph: &mut Graph| {
        let float = [("to", Attribute::Int(i64::from(data_type::FLOAT)))];
        let floats = graph.op("Cast", &["images"], &float);
        let planes = graph.transpose(&floats, &[0, 3, 1, 2]);
        let factors = graph.tensor(&factors)?;
        let scaled = graph.op("Mul", &[&planes, &factors], &[]);
        let offsets = graph.tensor(&offsets)?;
        Ok(graph.op("Add", &[&scaled, &offsets], &[]))
    };
    add(graph).map_err(|e| torch_error(&e))
}
