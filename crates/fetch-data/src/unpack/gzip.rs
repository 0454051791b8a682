//! gzip data: one or more members in sequence (RFC 1952), and padding after them, which
//! some tools write and gzip itself ignores.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// The first byte of a member.
const MEMBER: u8 = 0x1f;

/// Decompresses all members and verifies the checksum at the end of each.
pub struct GzipMembers<R> {
    /// `None` after the last member.
    decoder: Option<GzDecoder<R>>,
}

impl<R: BufRead> GzipMembers<R> {
    /// Decompresses `input`.
    pub fn new(input: R) -> Self {
        Self { decoder: Some(GzDecoder::new(input)) }
    }
}

impl<R: BufRead> Read for GzipMembers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(decoder) = &mut self.decoder else { return Ok(0) };
            let read = decoder.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let is_followed = decoder.get_mut().fill_buf()?.first() == Some(&MEMBER);
            let input = self.decoder.take().map(GzDecoder::into_inner);
            self.decoder = input.filter(|_| is_followed).map(GzDecoder::new);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn member(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        GzipMembers::new(bytes).read_to_end(&mut all).map(|_| all)
    }

    #[test]
    fn members_and_padding() {
        let two = [member(b"one"), member(b"two")].concat();
        assert_eq!(read(&two).unwrap(), b"onetwo");
        assert_eq!(read(&[&two[..], &[0; 700]].concat()).unwrap(), b"onetwo");
        assert_eq!(read(&[&two[..], b"trailing"].concat()).unwrap(), b"onetwo");
        let cut = &two[..two.len() - 1];
        assert_eq!(read(cut).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let mut damaged = two.clone();
        damaged[two.len() - 6] ^= 1;
        assert!(read(&damaged).is_err());
    }
}
