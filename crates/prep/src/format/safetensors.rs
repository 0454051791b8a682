//! safetensors: the length of a JSON header, the header, the tensors. Labels come first,
//! because they are known before the first image is read. Source: the format's
//! description at <https://github.com/huggingface/safetensors>.

use std::io::{self, Write};

use serde_json::{Map, Value, json};
use torchmill::Result;
use torchmill::pixels::Layout;
use torchmill::shard::{DType, Meta};

use super::{Chunk, Format, Images, cannot_write};
use crate::job::Job;

pub const NAME: &str = "safetensors";

/// The tensors `label`, `[count]`, and `image`, `[count, C, H, W]`.
pub struct Safetensors;

impl Format for Safetensors {
    fn name(&self) -> &'static str {
        NAME
    }

    fn endings(&self) -> &'static [&'static str] {
        &[".safetensors"]
    }

    fn images(&self) -> Images<'_> {
        Images::Array(Layout::ChannelsFirst)
    }

    fn begins_with_count(&self) -> bool {
        true
    }

    /// Writes the header and the tensor `label`; the elements of `image` follow.
    fn start(&self, out: &mut dyn Write, job: &Job, labels: &[i64]) -> io::Result<()> {
        let label_bytes = labels.len() * 8;
        let image_bytes = labels.len() * job.image_bytes();
        let [channels, height, width] = job.shape;
        let mut header = Map::new();
        header.insert("__metadata__".to_owned(), metadata(job));
        header.insert(
        "label".to_owned(),
        json!({"dtype": "I64", "shape": [labels.len()], "data_offsets": [0, label_bytes]}),
    );
        header.insert(
            "image".to_owned(),
            json!({
                "dtype": dtype(job.dtype),
                "shape": [labels.len(), channels, height, width],
                "data_offsets": [label_bytes, label_bytes + image_bytes],
            }),
        );
        let mut text = Value::Object(header).to_string();
        // The tensors begin at a multiple of 8; the format allows spaces after the header.
        text.extend(std::iter::repeat_n(
            ' ',
            text.len().next_multiple_of(8) - text.len(),
        ));
        out.write_all(&(text.len() as u64).to_le_bytes())?;
        out.write_all(text.as_bytes())?;
        for label in labels {
            out.write_all(&label.to_le_bytes())?;
        }
        Ok(())
    }

    fn write(
        &self,
        out: &mut dyn Write,
        _: &Job,
        chunk: &Chunk,
        _: &dyn Fn() -> Meta,
    ) -> Result<()> {
        out.write_all(&chunk.pixels).map_err(cannot_write)
    }
}

/// Describes the images. The format only allows strings, so the classes are a JSON list
/// in a string.
fn metadata(job: &Job) -> Value {
    json!({
        "dataset": job.set.name,
        "split": job.split,
        "classes": json!(job.set.classes).to_string(),
        "pipeline": job.pipeline.whole.to_string(),
        "baked": job.pipeline.baked.to_string(),
        "deferred": job.pipeline.deferred.to_string(),
        "writer": crate::WRITER,
    })
}

fn dtype(dtype: DType) -> &'static str {
    match dtype {
        DType::Uint8 => "U8",
        DType::Int64 => "I64",
        DType::Float16 => "F16",
        DType::BFloat16 => "BF16",
        DType::Float32 => "F32",
    }
}
