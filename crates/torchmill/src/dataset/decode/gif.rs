//! The first frame of a GIF to RGB, on the canvas that PIL gives it.
//! Source: the GIF89a specification, and PIL's GifImagePlugin.

use weezl::BitOrder;
use weezl::decode::Decoder;

use super::check_size;
use crate::transform::Image;
use crate::{Error, Result};

/// Whether these bytes begin as a GIF file does.
pub fn is_gif(bytes: &[u8]) -> bool {
    bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a")
}

/// The width and height of the canvas.
pub fn dimensions(bytes: &[u8]) -> Result<(usize, usize)> {
    let (canvas, _) = read(bytes)?;
    Ok(canvas)
}

/// Decodes the first frame. The canvas outside of it has the transparent colour, or else
/// the palette's first.
pub fn rgb(bytes: &[u8]) -> Result<Image> {
    let ((width, height), frame) = read(bytes)?;
    let indices = frame.indices().map_err(|reason| damaged(&reason))?;
    let mut pixels = frame.colour(frame.transparent.unwrap_or(0)).repeat(width * height);
    let rows = frame.row_order();
    for (&row, indices) in rows.iter().zip(indices.chunks_exact(frame.width)) {
        let start = ((frame.top + row) * width + frame.left) * 3;
        let out = pixels[start..start + frame.width * 3].chunks_exact_mut(3);
        for (pixel, &index) in out.zip(indices) {
            pixel.copy_from_slice(&frame.colour(index));
        }
    }
    Ok(Image { width, height, channels: 3, pixels })
}

fn damaged(reason: &str) -> Error {
    Error::failed(format_args!(
        "cannot be decoded as GIF, it is damaged or truncated: {reason}"
    ))
}

/// The canvas's size and the first frame.
fn read(bytes: &[u8]) -> Result<((usize, usize), Frame<'_>)> {
    let read = || {
        let mut reader = Reader { rest: bytes.get(6..).unwrap_or_default() };
        let screen = reader.take(7)?;
        let palette = reader.palette(screen[4])?;
        let frame = reader.frame(palette)?;
        // PIL enlarges the canvas to hold the frame.
        let width = number(screen, 0).max(frame.left + frame.width);
        let height = number(screen, 2).max(frame.top + frame.height);
        Ok(((width, height), frame))
    };
    let (size, frame) = read().map_err(|reason: String| damaged(&reason))?;
    check_size(size)?;
    Ok((size, frame))
}

fn number(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

struct Frame<'a> {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    /// The index that means transparency.
    transparent: Option<u8>,
    interlaced: bool,
    /// RGB of each index; without a palette the index is a level of grey.
    palette: Option<&'a [u8]>,
    code_size: u8,
    /// LZW data, in blocks.
    data: &'a [u8],
}

impl Frame<'_> {
    fn colour(&self, index: u8) -> [u8; 3] {
        let Some(palette) = self.palette else { return [index; 3] };
        let at = 3 * usize::from(index);
        match palette.get(at..at + 3) {
            Some(&[red, green, blue]) => [red, green, blue],
            _ => [0; 3],
        }
    }

    /// The index of each pixel, in the order of the file.
    fn indices(&self) -> Result<Vec<u8>, String> {
        if self.width == 0 || self.height == 0 {
            return Err("its first frame has no pixels".to_owned());
        }
        if !(1..=11).contains(&self.code_size) {
            return Err(format!("codes of {} bits are not read", self.code_size));
        }
        let mut reader = Reader { rest: self.data };
        let mut codes = Vec::new();
        while let Some(block) = reader.block().filter(|block| !block.is_empty()) {
            codes.extend_from_slice(block);
        }
        let mut indices = vec![0; self.width * self.height];
        let mut decoder = Decoder::new(BitOrder::Lsb, self.code_size);
        let mut done = 0;
        let mut rest = &codes[..];
        while done < indices.len() {
            let step = decoder.decode_bytes(rest, &mut indices[done..]);
            done += step.consumed_out;
            rest = &rest[step.consumed_in..];
            let stuck = step.consumed_in == 0 && step.consumed_out == 0;
            if done < indices.len() && (stuck || step.status.is_err()) {
                return Err("its data ends before its pixels do".to_owned());
            }
        }
        Ok(indices)
    }

    /// For each row in the file's order, its row in the frame.
    fn row_order(&self) -> Vec<usize> {
        if !self.interlaced {
            return (0..self.height).collect();
        }
        let passes = [(0, 8), (4, 8), (2, 4), (1, 2)];
        let rows = |(first, step)| (first..self.height).step_by(step);
        passes.into_iter().flat_map(rows).collect()
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) =
            self.rest.split_at_checked(count).ok_or("it ends in its header")?;
        self.rest = rest;
        Ok(taken)
    }

    /// The palette that these flags announce. As in PIL, a palette that is a grey ramp
    /// counts as none.
    fn palette(&mut self, flags: u8) -> Result<Option<&'a [u8]>, String> {
        if flags & 0x80 == 0 {
            return Ok(None);
        }
        let palette = self.take(6 << (flags & 7))?;
        Ok(Some(palette))
    }

    /// A block, which follows its length; `None` at the end of the file. As in PIL, a
    /// truncated block is returned as far as it goes.
    fn block(&mut self) -> Option<&'a [u8]> {
        let (&length, rest) = self.rest.split_first()?;
        let (block, rest) = rest.split_at(usize::from(length).min(rest.len()));
        self.rest = rest;
        Some(block)
    }

    fn frame(&mut self, global: Option<&'a [u8]>) -> Result<Frame<'a>, String> {
        let mut transparent = None;
        loop {
            match self.take(1)?[0] {
                b';' => return Err("it has no frame".to_owned()),
                b'!' => {
                    if let Some(index) = self.extension()? {
                        transparent = Some(index);
                    }
                }
                b',' => return self.image(global, transparent),
                // Like PIL, skip to the next known block.
                _ => {}
            }
        }
    }

    /// Skips an extension, and returns the transparent index that it may set.
    fn extension(&mut self) -> Result<Option<u8>, String> {
        let label = self.take(1)?[0];
        let first = self.block();
        let is_comment = label == 254;
        let mut transparent = None;
        if let Some(&[flags, _, _, ref rest @ ..]) = first.filter(|_| label == 249) {
            if flags & 1 != 0 {
                transparent = Some(*rest.first().ok_or("an extension is cut short")?);
            }
        } else if label == 249 && first.is_some_and(|block| !block.is_empty()) {
            return Err("an extension is cut short".to_owned());
        }
        if !(is_comment && first.is_none_or(<[u8]>::is_empty)) {
            while self.block().is_some_and(|block| !block.is_empty()) {}
        }
        Ok(transparent)
    }

    fn image(
        &mut self,
        global: Option<&'a [u8]>,
        transparent: Option<u8>,
    ) -> Result<Frame<'a>, String> {
        let place = self.take(9)?;
        let flags = place[8];
        let local = self.palette(flags)?;
        let is_ramp = |palette: &[u8]| {
            let colours = palette.chunks_exact(3).enumerate();
            colours.into_iter().all(|(i, c)| c.iter().all(|&v| usize::from(v) == i))
        };
        let palette = local.or(global).filter(|palette| !is_ramp(palette));
        let code_size = self.take(1)?[0];
        Ok(Frame {
            left: number(place, 0),
            top: number(place, 2),
            width: number(place, 4),
            height: number(place, 6),
            transparent,
            interlaced: flags & 0x40 != 0,
            palette,
            code_size,
            data: self.rest,
        })
    }
}
