//! `prep --inspect`: what a shard holds, after checking every byte of it.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::json;
use torchmill::progress::{bytes, count};
use torchmill::shard::{Field, Shard, Storage};
use torchmill::{Result, cli};

/// Describes each file on standard output; `-` is a stream of shards on standard input.
pub fn files(paths: &[PathBuf], as_json: bool) -> Result<()> {
    for path in paths {
        if path != Path::new("-") {
            describe(&Shard::open(path)?, as_json)?;
            continue;
        }
        let mut stdin = std::io::stdin().lock();
        while let Some(shard) = Shard::read_from(&mut stdin, "standard input")? {
            describe(&shard, as_json)?;
        }
    }
    Ok(())
}

fn describe(shard: &Shard, as_json: bool) -> Result<()> {
    shard.verify()?;
    let text = if as_json { json(shard) } else { text(shard)? };
    cli::print(text.as_bytes())
}

/// The header as one JSON object on a line.
fn json(shard: &Shard) -> String {
    let header = shard.header();
    let field = |f: &Field| json!({"name": f.name, "dtype": f.dtype.name(), "shape": f.shape, "offset": f.offset, "crc32c": f.crc32c});
    let mut line = json!({
        "path": shard.path(),
        "count": header.count,
        "meta": header.meta,
        "fields": header.fields.iter().map(field).collect::<Vec<_>>(),
    })
    .to_string();
    line.push('\n');
    line
}

fn text(shard: &Shard) -> Result<String> {
    let header = shard.header();
    let meta = &header.meta;
    let images = images(shard)?;
    let mut text = String::new();
    let mut row = |name: &str, value: &dyn std::fmt::Display| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<10} {value}");
    };
    row("shard", &format_args!("{}: sound, all checksums match", shard.path().display()));
    row(
        "data set",
        &format_args!(
            "{}, {}, file {} of {}",
            meta.dataset,
            meta.split,
            meta.index + 1,
            meta.shards
        ),
    );
    row("images", &images);
    row("pipeline", &or_none(&meta.pipeline));
    row("baked", &or_none(&meta.baked));
    row("deferred", &or_none(&meta.deferred));
    row("digest", &meta.digest);
    row("writer", &meta.writer);
    let mut per_class = vec![0u64; meta.classes.len()];
    for i in 0..header.count as usize {
        if let Some(n) = per_class.get_mut(shard.label(i)? as usize) {
            *n += 1;
        }
    }
    row("classes", &meta.classes.len());
    for (i, (class, n)) in meta.classes.iter().zip(per_class).enumerate() {
        let _ = writeln!(text, "  {i:>6}  {class:<20} {:>10}", count(n));
    }
    let _ = writeln!(
        text,
        "{:<10} {:<8} {:<22} {:>12} {:>12}  crc32c",
        "field", "dtype", "shape", "offset", "size"
    );
    for field in &header.fields {
        let shape = format!("{:?}", field.shape);
        let size = bytes(field.bytes().unwrap_or_default());
        let (name, dtype) = (&field.name, field.dtype.name());
        let _ = writeln!(
            text,
            "{name:<10} {dtype:<8} {shape:<22} {:>12} {size:>12}  {:08x}",
            field.offset, field.crc32c
        );
    }
    if header.count > 0 {
        let _ = writeln!(text, "{:<10} {}", "first", shard.source(0)?);
    }
    Ok(text)
}

/// How many images there are, their shape or the range of their sizes, and how they are
/// stored.
fn images(shard: &Shard) -> Result<String> {
    let header = shard.header();
    let number = count(header.count);
    let dtype = header.field("image").map_or("uint8", |f| f.dtype.name());
    if let Some([channels, height, width]) = header.image_shape()? {
        return Ok(format!("{number} of [{channels}, {height}, {width}] {dtype}"));
    }
    let mut heights = Vec::with_capacity(shard.len());
    let mut widths = Vec::with_capacity(shard.len());
    for i in 0..shard.len() {
        let [_, height, width] = shard.shape(i)?;
        heights.push(height);
        widths.push(width);
    }
    let channels = header.channels()?;
    let sides = format!("[{channels}, {}, {}]", range(&heights), range(&widths));
    Ok(match shard.storage() {
        Storage::Encoded => format!("{number} files, decoded to {sides} uint8"),
        Storage::Array | Storage::Pixels => format!("{number} of {sides} uint8"),
    })
}

/// `200 to 640`, or one number.
fn range(sides: &[usize]) -> String {
    match (sides.iter().min(), sides.iter().max()) {
        (Some(least), Some(most)) if least != most => format!("{least} to {most}"),
        (Some(all), _) => all.to_string(),
        (None, _) => "any".to_owned(),
    }
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}
