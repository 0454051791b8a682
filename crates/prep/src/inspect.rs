//! `prep --inspect`: checks every byte of a shard and prints what it holds.

use std::fmt::{Display, Write};
use std::io::BufReader;
use std::path::Path;

use serde_json::json;
use torchmill::progress::{bytes, count};
use torchmill::shard::{Field, Shard, Storage};
use torchmill::{Result, cli};

use crate::config::InspectConfig;

/// Describes each file on standard output; `-` is a stream of shards on standard input.
pub fn print(config: &InspectConfig) -> Result<()> {
    for path in &config.files {
        if path != Path::new("-") {
            describe(&Shard::open(path)?, config.as_json)?;
            continue;
        }
        let mut stdin = BufReader::new(cli::stdin()?);
        while let Some(shard) = Shard::read_from(&mut stdin, "standard input")? {
            describe(&shard, config.as_json)?;
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
    let field = |f: &Field| {
        json!({
            "name": f.name,
            "dtype": f.dtype.name(),
            "shape": f.shape,
            "offset": f.offset,
            "crc32c": f.crc32c,
        })
    };
    let fields: Vec<_> = header.fields.iter().map(field).collect();
    let mut line = json!({
        "path": shard.path(),
        "count": header.count,
        "meta": header.meta,
        "fields": fields,
    })
    .to_string();
    line.push('\n');
    line
}

fn text(shard: &Shard) -> Result<String> {
    let header = shard.header();
    let meta = &header.meta;
    let path = shard.path().display();
    let mut text = String::new();
    row(&mut text, "shard", format_args!("{path}: sound, all checksums match"));
    row(
        &mut text,
        "data set",
        format_args!(
            "{}, {}, file {} of {}",
            meta.dataset,
            meta.split,
            meta.index + 1,
            meta.shards
        ),
    );
    row(&mut text, "images", images(shard)?);
    row(&mut text, "pipeline", or_none(&meta.pipeline));
    row(&mut text, "baked", or_none(&meta.baked));
    row(&mut text, "deferred", or_none(&meta.deferred));
    row(&mut text, "digest", &meta.digest);
    row(&mut text, "writer", &meta.writer);
    row(&mut text, "classes", meta.classes.len());
    text += &classes(shard)?;
    text += &fields(shard);
    if header.count > 0 {
        row(&mut text, "first", shard.source(0)?);
    }
    Ok(text)
}

/// How many images there are, their shape or the range of their sizes, and how they are
/// stored.
fn images(shard: &Shard) -> Result<String> {
    let header = shard.header();
    let number = count(header.count);
    if let Some([channels, height, width]) = header.image_shape()? {
        let dtype = header.field("image").map_or("", |f| f.dtype.name());
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
        Storage::Encoded => format!("{number} image files, {sides} uint8 when decoded"),
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

fn row(text: &mut String, name: &str, value: impl Display) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{name:<10} {value}");
}

/// A line for each class: its label, name and number of images.
fn classes(shard: &Shard) -> Result<String> {
    let classes = &shard.header().meta.classes;
    let mut images = vec![0_u64; classes.len()];
    for i in 0..shard.len() {
        // Every label has a class: opening a shard checks it.
        images[shard.label(i)? as usize] += 1;
    }
    let mut text = String::new();
    for (label, class) in classes.iter().enumerate() {
        let n = count(images[label]);
        let _ = writeln!(text, "  {label:>6}  {class:<20} {n:>10}");
    }
    Ok(text)
}

/// A table of the arrays.
fn fields(shard: &Shard) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{:<12} {:<8} {:<22} {:>12} {:>12}  crc32c",
        "field", "dtype", "shape", "offset", "size"
    );
    for Field { name, dtype, shape, offset, crc32c } in &shard.header().fields {
        let size: u64 = shape.iter().product::<u64>() * dtype.size();
        let size = bytes(size);
        let dtype = dtype.name();
        let shape = format!("{shape:?}");
        let _ = writeln!(
            text,
            "{name:<12} {dtype:<8} {shape:<22} {offset:>12} {size:>12}  {crc32c:08x}"
        );
    }
    text
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}
