//! A shard. If the lowest bit of the first byte is set, the rest is a header behind a
//! prefix that is right, since no chance finds the checksum. The next bit decides whether
//! it is of the version for images of different sizes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use torchmill::shard::{Shard, VERSION, VERSION_OF_SIZES};

fuzz_target!(|bytes: &[u8]| {
    let Some((which, rest)) = bytes.split_first() else { return };
    if which & 1 == 0 {
        return read(rest);
    }
    let version = if which & 2 == 0 { VERSION } else { VERSION_OF_SIZES };
    // The arrays' bytes are what follows the length of the header, which two bytes give.
    let Some((length, rest)) = rest.split_first_chunk::<2>() else { return };
    let (header, arrays) =
        rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
    let mut shard = b"TMSHARD\0".to_vec();
    shard.extend(version.to_le_bytes());
    shard.extend((header.len() as u32).to_le_bytes());
    shard.extend(crc32c::crc32c(header).to_le_bytes());
    shard.extend([0; 4]);
    shard.extend(header);
    shard.resize(shard.len().next_multiple_of(64), 0);
    shard.extend(arrays);
    read(&shard);
});

fn read(bytes: &[u8]) {
    let mut stream = bytes;
    while let Ok(Some(shard)) = Shard::read_from(&mut stream, "fuzz") {
        let count = shard.header().count;
        for i in 0..count.min(4) as usize {
            let _ = (shard.label(i), shard.source(i), shard.shape(i));
            let _ = shard.pixels(i).map(|pixels| pixels.bytes.len());
        }
        let _ = (
            shard.verify(),
            shard.header().image_shape(),
            shard.images().len(),
        );
    }
}
