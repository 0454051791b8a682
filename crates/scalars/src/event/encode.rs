//! Encodes points as event records.

use std::collections::{BTreeMap, HashSet};

use prost::Message;

use super::proto::{
    DT_DOUBLE, DT_FLOAT, Data, Event, HParam, HParamsPluginData, PluginData,
    SessionStartInfo, Summary, SummaryMetadata, Tensor, TensorShape, Value, What,
};
use super::record;

/// How a scalar is laid out in its event.
///
/// `Summary.Value` is a oneof: a reader that supports both fields keeps the last one on
/// the wire, so a value cannot have both. TensorBoard shows either of the first two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Encoding {
    // These are not doc comments, because clap would then use its long layout. float32 in
    // `simple_value`, as PyTorch writes. Every reader accepts it, including
    // `EventAccumulator.Scalars`.
    #[default]
    Simple,
    // A float32 tensor, as TensorFlow 2 writes. Python reads it with
    // `EventAccumulator.Tensors`.
    Tensor,
    // A float64 tensor: nothing is rounded, but TensorBoard shows it only with
    // `--load_fast=false`.
    Double,
}

/// One value of one curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scalar<'a> {
    /// Seconds since 1970-01-01 00:00 UTC; finite.
    pub wall_time: f64,
    /// The step, in the tag's own unit.
    pub step: i64,
    /// The curve.
    pub tag: &'a str,
    /// The value; may be NaN or infinite.
    pub value: f64,
}

/// Encodes records in order, and remembers which tags already have metadata.
pub struct Encoder {
    encoding: Encoding,
    tags: HashSet<String>,
    payload: Vec<u8>,
}

impl Encoder {
    /// An encoder for one event file.
    pub fn new(encoding: Encoding) -> Self {
        Self { encoding, tags: HashSet::new(), payload: Vec::new() }
    }

    /// The first record of every file.
    pub fn file_version(&mut self, out: &mut Vec<u8>, wall_time: f64) {
        let version = What::FileVersion("brain.Event:2".to_owned());
        self.write(out, &Event { wall_time, step: 0, what: Some(version) });
    }

    /// The run's hyperparameters, for the HPARAMS page.
    pub fn hparams(
        &mut self,
        out: &mut Vec<u8>,
        wall_time: f64,
        hparams: &BTreeMap<String, HParam>,
    ) {
        let info =
            SessionStartInfo { hparams: hparams.clone(), start_time_secs: wall_time };
        let content = HParamsPluginData { version: 0, session_start_info: Some(info) }
            .encode_to_vec();
        // The value is a placeholder, as in TensorBoard's own hparams summaries; the
        // metadata is the message.
        let value = Value {
            tag: "_hparams_/session_start_info".to_owned(),
            metadata: Some(SummaryMetadata {
                plugin_data: Some(PluginData {
                    plugin_name: "hparams".to_owned(),
                    content,
                }),
                data_class: 2, // DATA_CLASS_TENSOR
            }),
            data: Some(Data::Tensor(float_tensor(0.0))),
        };
        let summary = What::Summary(Summary { value: vec![value] });
        self.write(out, &Event { wall_time, step: 0, what: Some(summary) });
    }

    /// A histogram or an image, as PyTorch writes them. TensorBoard recognises them
    /// without metadata.
    pub fn bare(
        &mut self,
        out: &mut Vec<u8>,
        wall_time: f64,
        step: i64,
        tag: &str,
        data: Data,
    ) {
        let value = Value { tag: tag.to_owned(), metadata: None, data: Some(data) };
        self.write(
            out,
            &Event {
                wall_time,
                step,
                what: Some(What::Summary(Summary { value: vec![value] })),
            },
        );
    }

    /// One point.
    pub fn scalar(&mut self, out: &mut Vec<u8>, scalar: Scalar) {
        let first = !self.tags.contains(scalar.tag);
        if first {
            self.tags.insert(scalar.tag.to_owned());
        }
        let data = match self.encoding {
            Encoding::Simple => Data::SimpleValue(scalar.value as f32),
            Encoding::Tensor => Data::Tensor(float_tensor(scalar.value as f32)),
            Encoding::Double => Data::Tensor(Tensor {
                dtype: DT_DOUBLE,
                shape: Some(TensorShape::default()),
                double_val: vec![scalar.value],
                ..Tensor::default()
            }),
        };
        let metadata = first.then(|| SummaryMetadata {
            plugin_data: Some(PluginData {
                plugin_name: "scalars".to_owned(),
                content: Vec::new(),
            }),
            data_class: 0,
        });
        let value = Value { tag: scalar.tag.to_owned(), metadata, data: Some(data) };
        let summary = What::Summary(Summary { value: vec![value] });
        self.write(
            out,
            &Event {
                wall_time: scalar.wall_time,
                step: scalar.step,
                what: Some(summary),
            },
        );
    }

    fn write(&mut self, out: &mut Vec<u8>, event: &Event) {
        self.payload.clear();
        // A Vec grows as needed: encoding into it cannot fail.
        if event.encode(&mut self.payload).is_ok() {
            record::append(out, &self.payload);
        }
    }
}

/// A rank-0 tensor.
fn float_tensor(value: f32) -> Tensor {
    Tensor {
        dtype: DT_FLOAT,
        shape: Some(TensorShape::default()),
        float_val: vec![value],
        ..Tensor::default()
    }
}
