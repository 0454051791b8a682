//! Strips and tiles that are not compressed, as PIL finds them.

use super::Canvas;
use super::directory::Directory;
use super::layout::{
    Layout, ROWS_PER_STRIP, STRIP_OFFSETS, TILE_LENGTH, TILE_OFFSETS, TILE_WIDTH,
};
use super::unpack::Unpacker;

/// A part of the image and where its samples are.
struct Part {
    offset: usize,
    x: usize,
    y: usize,
    width: usize,
    height: usize,
    /// Bytes from one row to the next.
    stride: usize,
    unpacker: Unpacker,
}

/// Fills the canvas with the parts that the file has.
pub fn decode(
    bytes: &[u8],
    directory: &Directory,
    layout: &Layout,
    canvas: &mut Canvas,
) -> Result<(), String> {
    let mut parts = parts(directory, layout)?;
    // As in PIL, parts are painted in the order of the file.
    parts.sort_by_key(|part| part.offset);
    for part in parts {
        let row_bytes = part.unpacker.row_bytes(part.width);
        for row in 0..part.height {
            let start = part.offset.saturating_add(row * part.stride);
            let samples = bytes
                .get(start..start.saturating_add(row_bytes))
                .ok_or("its samples are not all in the file")?;
            let depth = canvas.depth;
            let out = canvas.row(part.x, part.y + row, part.width);
            part.unpacker.unpack(samples, depth, out);
        }
    }
    Ok(())
}

fn parts(directory: &Directory, layout: &Layout) -> Result<Vec<Part>, String> {
    let (width, height) = (layout.width, layout.height);
    let mut size = (width, height);
    let mut offsets = directory.integers(STRIP_OFFSETS)?;
    if offsets.is_some() {
        if let Some(rows) = directory.integer(ROWS_PER_STRIP)? {
            size.1 = positive(rows)?;
        }
    } else {
        offsets = directory.integers(TILE_OFFSETS)?;
        let missing = "its tiles have no size";
        size.0 = positive(directory.integer(TILE_WIDTH)?.ok_or(missing)?)?;
        size.1 = positive(directory.integer(TILE_LENGTH)?.ok_or(missing)?)?;
    }
    let mut offsets = offsets.ok_or("it has no samples")?;
    // If every part covers the image, PIL uses the last.
    if size == (width, height) && !layout.planar {
        offsets = &offsets[offsets.len() - 1..];
    }
    let mut parts = Vec::new();
    let (mut x, mut y, mut channel) = (0, 0, 0);
    for &offset in offsets {
        parts.push(part(layout, size, (x, y), channel, offset)?);
        x += size.0;
        if x >= width {
            x = 0;
            y += size.1;
        }
        if y >= height {
            y = 0;
            channel += 1;
        }
    }
    Ok(parts)
}

fn part(
    layout: &Layout,
    (width, height): (usize, usize),
    (x, y): (usize, usize),
    channel: usize,
    offset: i64,
) -> Result<Part, String> {
    let mut unpacker = layout.unpacker;
    if layout.planar {
        unpacker = Unpacker::letter(layout.mode, layout.raw_mode, channel)
            .ok_or("its kind of samples is not read with each channel apart")?;
    }
    let inside = width.min(layout.width - x);
    let row_bytes = unpacker.row_bytes(inside);
    let mut stride = row_bytes;
    // A tile that reaches past the image has longer rows than are used.
    if inside < width {
        let bits = width.saturating_mul(layout.bits_per_pixel);
        let channels = if layout.planar { layout.channels } else { 1 };
        stride = bits / 8 / channels;
        if stride == 0 {
            stride = row_bytes;
        }
        if stride < row_bytes {
            return Err("its tiles are narrower than their samples".to_owned());
        }
    }
    Ok(Part {
        offset: usize::try_from(offset).map_err(|_| "an offset is negative")?,
        x,
        y,
        width: inside,
        height: height.min(layout.height - y),
        stride,
        unpacker,
    })
}

fn positive(value: i64) -> Result<usize, String> {
    match usize::try_from(value) {
        Ok(value) if value > 0 => Ok(value),
        _ => Err("its strips or tiles have no size".to_owned()),
    }
}
