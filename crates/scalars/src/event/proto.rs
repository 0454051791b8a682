//! The protobuf messages in an event file, written by hand with prost's derive so that
//! building needs no protoc. Field numbers and types are those of TensorFlow's
//! `event.proto`, `summary.proto`, `tensor.proto`, `tensor_shape.proto` and
//! `types.proto`, and of TensorBoard's `plugins/hparams/plugin_data.proto`. Unused fields
//! are left out: prost skips them when it decodes.

use std::collections::BTreeMap;

/// One record of an event file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Event {
    /// Seconds since 1970-01-01 00:00 UTC.
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    /// The step of everything in the event.
    #[prost(int64, tag = "2")]
    pub step: i64,
    /// What happened.
    #[prost(oneof = "What", tags = "3, 5, 7")]
    pub what: Option<What>,
}

/// The kinds of event that matter for scalars. Others decode as `None`.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum What {
    /// `brain.Event:2`, in the first record of a file.
    #[prost(string, tag = "3")]
    FileVersion(String),
    /// Values.
    #[prost(message, tag = "5")]
    Summary(Summary),
    /// The writer has started or stopped.
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

/// A writer's message about itself.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SessionLog {
    /// [`SessionLog::START`], or another.
    #[prost(int32, tag = "1")]
    pub status: i32,
}

impl SessionLog {
    /// The writer has started, at the event's step.
    pub const START: i32 = 1;
}

/// Values logged together.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Summary {
    /// The values.
    #[prost(message, repeated, tag = "1")]
    pub value: Vec<Value>,
}

/// One value of a tag (`Summary.Value`).
#[derive(Clone, PartialEq, prost::Message)]
pub struct Value {
    /// The curve that it belongs to.
    #[prost(string, tag = "1")]
    pub tag: String,
    /// Which plugin shows the tag; readers look at the first value of a tag only.
    #[prost(message, optional, tag = "9")]
    pub metadata: Option<SummaryMetadata>,
    /// The value itself. It is a oneof: if a message has two of the fields, a reader
    /// keeps the last.
    #[prost(oneof = "Data", tags = "2, 4, 5, 6, 8")]
    pub data: Option<Data>,
}

/// The kinds of value.
#[derive(Clone, PartialEq, prost::Oneof)]
#[allow(clippy::large_enum_variant, reason = "few are in memory at once")]
pub enum Data {
    /// A scalar as TensorFlow 1 and PyTorch write it.
    #[prost(float, tag = "2")]
    SimpleValue(f32),
    /// An encoded [`Image`]; readers of scalars do not decode it.
    #[prost(bytes = "vec", tag = "4")]
    Image(Vec<u8>),
    /// An encoded [`Histogram`].
    #[prost(bytes = "vec", tag = "5")]
    Histogram(Vec<u8>),
    /// A sound, not decoded.
    #[prost(bytes = "vec", tag = "6")]
    Audio(Vec<u8>),
    /// Any kind of value, as TensorFlow 2 writes it; the metadata says which.
    #[prost(message, tag = "8")]
    Tensor(Tensor),
}

/// A picture (`Summary.Image`).
#[derive(Clone, PartialEq, prost::Message)]
pub struct Image {
    /// In pixels.
    #[prost(int32, tag = "1")]
    pub height: i32,
    /// In pixels.
    #[prost(int32, tag = "2")]
    pub width: i32,
    /// The number of channels: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA.
    #[prost(int32, tag = "3")]
    pub colorspace: i32,
    /// A PNG file.
    #[prost(bytes = "vec", tag = "4")]
    pub encoded_image_string: Vec<u8>,
}

/// The distribution of values (`HistogramProto`).
#[derive(Clone, PartialEq, prost::Message)]
pub struct Histogram {
    /// The smallest value.
    #[prost(double, tag = "1")]
    pub min: f64,
    /// The largest value.
    #[prost(double, tag = "2")]
    pub max: f64,
    /// The number of values.
    #[prost(double, tag = "3")]
    pub num: f64,
    /// Their sum.
    #[prost(double, tag = "4")]
    pub sum: f64,
    /// The sum of their squares.
    #[prost(double, tag = "5")]
    pub sum_squares: f64,
    /// The upper end of each bucket; the first begins at `min`.
    #[prost(double, repeated, tag = "6")]
    pub bucket_limit: Vec<f64>,
    /// The number of values in each bucket.
    #[prost(double, repeated, tag = "7")]
    pub bucket: Vec<f64>,
}

/// Which plugin a tag belongs to (`SummaryMetadata`).
#[derive(Clone, PartialEq, prost::Message)]
pub struct SummaryMetadata {
    /// The plugin.
    #[prost(message, optional, tag = "1")]
    pub plugin_data: Option<PluginData>,
    /// 1 is DATA_CLASS_SCALAR.
    #[prost(int32, tag = "4")]
    pub data_class: i32,
}

/// A plugin's name and its own message (`SummaryMetadata.PluginData`).
#[derive(Clone, PartialEq, prost::Message)]
pub struct PluginData {
    /// `scalars`, `hparams`, ...
    #[prost(string, tag = "1")]
    pub plugin_name: String,
    /// The plugin's message; empty for version 0 of the scalars plugin.
    #[prost(bytes = "vec", tag = "2")]
    pub content: Vec<u8>,
}

/// A tensor (`TensorProto`), with the numeric fields only.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Tensor {
    /// One of the `DT_` constants.
    #[prost(int32, tag = "1")]
    pub dtype: i32,
    /// Absent or without dimensions for a scalar.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShape>,
    /// The elements as little-endian bytes, instead of one of the lists below.
    #[prost(bytes = "vec", tag = "4")]
    pub content: Vec<u8>,
    /// For DT_HALF and DT_BFLOAT16: the bits of each element.
    #[prost(int32, repeated, tag = "13")]
    pub half_val: Vec<i32>,
    /// For DT_FLOAT.
    #[prost(float, repeated, tag = "5")]
    pub float_val: Vec<f32>,
    /// For DT_DOUBLE.
    #[prost(double, repeated, tag = "6")]
    pub double_val: Vec<f64>,
    /// For integers of up to 32 bits, except DT_UINT32.
    #[prost(int32, repeated, tag = "7")]
    pub int_val: Vec<i32>,
    /// For DT_INT64.
    #[prost(int64, repeated, tag = "10")]
    pub int64_val: Vec<i64>,
    /// For DT_BOOL.
    #[prost(bool, repeated, tag = "11")]
    pub bool_val: Vec<bool>,
    /// For DT_UINT32.
    #[prost(uint32, repeated, tag = "16")]
    pub uint32_val: Vec<u32>,
    /// For DT_UINT64.
    #[prost(uint64, repeated, tag = "17")]
    pub uint64_val: Vec<u64>,
}

/// A tensor's shape (`TensorShapeProto`).
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorShape {
    /// The dimensions.
    #[prost(message, repeated, tag = "2")]
    pub dim: Vec<Dim>,
}

/// One dimension (`TensorShapeProto.Dim`).
#[derive(Clone, PartialEq, prost::Message)]
pub struct Dim {
    /// Its size.
    #[prost(int64, tag = "1")]
    pub size: i64,
}

/// `DataType.DT_FLOAT`.
pub const DT_FLOAT: i32 = 1;
/// `DataType.DT_DOUBLE`.
pub const DT_DOUBLE: i32 = 2;

/// The HPARAMS page's own message (`HParamsPluginData`); only a session's start is
/// written.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HParamsPluginData {
    /// The version; always 0.
    #[prost(int32, tag = "1")]
    pub version: i32,
    /// The hyperparameters of a run.
    #[prost(message, optional, tag = "3")]
    pub session_start_info: Option<SessionStartInfo>,
}

/// A run's hyperparameters (`SessionStartInfo`).
#[derive(Clone, PartialEq, prost::Message)]
pub struct SessionStartInfo {
    /// Names and values, sorted so that the same recipe gives the same bytes.
    #[prost(btree_map = "string, message", tag = "1")]
    pub hparams: BTreeMap<String, HParam>,
    /// Seconds since 1970-01-01 00:00 UTC.
    #[prost(double, tag = "5")]
    pub start_time_secs: f64,
}

/// One hyperparameter's value (`google.protobuf.Value`, the kinds that a hyperparameter
/// may have).
#[derive(Clone, PartialEq, prost::Message)]
pub struct HParam {
    /// The value.
    #[prost(oneof = "HParamKind", tags = "2, 3, 4")]
    pub kind: Option<HParamKind>,
}

/// The kinds of hyperparameter.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum HParamKind {
    /// Any number.
    #[prost(double, tag = "2")]
    Number(f64),
    /// Text.
    #[prost(string, tag = "3")]
    Text(String),
    /// True or false.
    #[prost(bool, tag = "4")]
    Bool(bool),
}
