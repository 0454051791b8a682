//! JSON Lines: an object for each image that says what it is, without its pixels.

use serde_json::json;
use torchmill::dataset::decode;

use super::{Encode, Format, Images};
use crate::job::{Failure, Job};

pub const NAME: &str = "jsonl";

pub struct Jsonl;

impl Format for Jsonl {
    fn name(&self) -> &'static str {
        NAME
    }

    fn endings(&self) -> &'static [&'static str] {
        &[".jsonl"]
    }

    fn images(&self) -> Images<'_> {
        Images::OneByOne(self)
    }

    fn needs_equal_sizes(&self) -> bool {
        false
    }

    fn has_pixels(&self) -> bool {
        false
    }

    fn is_binary(&self) -> bool {
        false
    }

    fn shown(&self, _: &Job) -> String {
        "a line each".to_owned()
    }
}

impl Encode for Jsonl {
    fn encode(&self, job: &Job, i: usize) -> Result<Vec<u8>, Failure> {
        let sample = job.sample(i);
        let (width, height) = size(job, i)?;
        let line = json!({
            "index": i,
            "split": job.split,
            "label": sample.label,
            "class": job.set.classes[sample.label as usize],
            "source": job.set.source(sample),
            "width": width,
            "height": height,
        });
        Ok(format!("{line}\n").into_bytes())
    }
}

/// Image `i`'s width and height, from its file's header only.
fn size(job: &Job, i: usize) -> Result<(usize, usize), Failure> {
    let sample = job.sample(i);
    if let Some([_, height, width]) = job.set.record_shape(sample) {
        return Ok((width, height));
    }
    let Some(bytes) = job.set.encoded(sample) else { return Ok((0, 0)) };
    let size = bytes.and_then(|bytes| {
        decode::dimensions(&bytes).map_err(|e| e.within(job.location(i)))
    });
    size.map_err(Failure::Bad)
}
