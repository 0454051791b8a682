//! torchmill's own format, which train reads: a shard for each chunk.

use std::io::Write;

use torchmill::Result;
use torchmill::pixels::Layout;
use torchmill::shard::{self, Contents, Meta, Storage};

use super::{Chunk, Format, Images, of_one_size};
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

    fn shown(&self, job: &Job) -> String {
        match job.storage {
            Storage::Array => of_one_size(job),
            Storage::Pixels => "of different sizes, as pixels".to_owned(),
            Storage::Encoded => "of different sizes, as image files".to_owned(),
        }
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
        let images = match job.storage {
            Storage::Array => shard::Images::Array {
                shape: job.shape,
                dtype: job.dtype,
                bytes: &chunk.pixels,
            },
            Storage::Pixels => {
                shard::Images::Pixels { channels: job.shape[0], images: &chunk.stored }
            }
            Storage::Encoded => shard::Images::Encoded(&chunk.stored),
        };
        let contents =
            Contents { meta: &meta(), images, labels: &chunk.labels, sources: &sources };
        shard::write_to(&mut out, &contents)
    }
}
