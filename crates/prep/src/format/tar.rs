//! WebDataset tar: for each image `00000017.png` and `00000017.cls`, its label as decimal
//! text. The index is the image's place in its split, so that the names of several files
//! never meet.

use std::io::{self, Write};

use tar::Header;

use crate::bake::Chunk;

const BLOCK: usize = 512;

/// Writes a chunk's images and labels.
pub fn chunk(out: &mut impl Write, chunk: &Chunk, extension: &str) -> io::Result<()> {
    for ((image, label), i) in chunk.encoded.iter().zip(&chunk.labels).zip(&chunk.indices)
    {
        let key = format!("{i:08}");
        entry(out, &format!("{key}.{extension}"), image)?;
        entry(out, &format!("{key}.cls"), label.to_string().as_bytes())?;
    }
    Ok(())
}

/// Two empty blocks end a tar.
pub fn finish(out: &mut impl Write) -> io::Result<()> {
    out.write_all(&[0; 2 * BLOCK])
}

/// A file of these bytes. It has no owner and no time, so that equal images make equal
/// tars.
fn entry(out: &mut impl Write, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_cksum();
    out.write_all(header.as_bytes())?;
    out.write_all(bytes)?;
    out.write_all(&[0; BLOCK][..bytes.len().next_multiple_of(BLOCK) - bytes.len()])
}
