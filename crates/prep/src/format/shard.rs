//! torchmill's own format, which train reads: a shard for each chunk.

use std::io::Write;

use torchmill::Result;
use torchmill::pixels::Layout;
use torchmill::shard::{self, Contents, Meta};

use super::{Chunk, Format, Images};
use crate::job::Job;

pub const NAME: &str = "shard";

pub struct Shard;

impl Format for Shard {
    fn name(&self) -> &'static str {
        NAME
    }

    fn endings(&self) -> &'static [&'static str] {
        &[".shard"]
    }

    fn images(&self) -> Images<'_> {
        Images::Array(Layout::ChannelsLast)
    }

    fn describes_itself(&self) -> bool {
        true
    }

    fn settings(&self) -> String {
        format!("{NAME} {}", shard::VERSION)
    }

    fn write(
        &self,
        mut out: &mut dyn Write,
        job: &Job,
        chunk: &Chunk,
        meta: &dyn Fn() -> Meta,
    ) -> Result<()> {
        let source = |&i: &usize| job.set.source(job.sample(i));
        let sources: Vec<String> = chunk.indices.iter().map(source).collect();
        let contents = Contents {
            meta: &meta(),
            images: shard::Images::Array {
                shape: job.shape,
                dtype: job.dtype,
                bytes: &chunk.pixels,
            },
            labels: &chunk.labels,
            sources: &sources,
        };
        shard::write_to(&mut out, &contents)
    }
}
