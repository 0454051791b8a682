//! The framing of an event file (TFRecord): for each record its length as a little-endian
//! u64, the masked CRC-32C of those eight bytes, the payload, and the masked CRC-32C of
//! the payload.

use std::io::{self, Read};

/// Bytes of framing around a payload: the length and its checksum before it, and the
/// payload's checksum after it.
pub const OVERHEAD: u64 = 16;

/// Appends `payload` as one record to `out`.
pub fn append(out: &mut Vec<u8>, payload: &[u8]) {
    let length = (payload.len() as u64).to_le_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&masked_crc(&length).to_le_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(&masked_crc(payload).to_le_bytes());
}

/// A CRC-32C that is safe to store next to data that contain CRCs: rotated right by 15
/// bits, plus a constant.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// What [`Reader::next`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// A whole record; its payload is [`Reader::payload`].
    Record,
    /// The end of the file, after a whole record.
    End,
    /// The file ends within a record: it is still being written, or was truncated.
    Torn,
    /// The length does not match its checksum, so the end of the record is unknown.
    BadLength,
    /// The payload does not match its checksum.
    BadPayload,
}

/// Reads records one by one. Memory only grows with the largest payload.
pub struct Reader<R> {
    inner: R,
    payload: Vec<u8>,
    offset: u64,
}

impl<R: Read> Reader<R> {
    /// Reads from the start of a file (or of a record).
    pub fn new(inner: R) -> Self {
        Self { inner, payload: Vec::new(), offset: 0 }
    }

    /// The payload of the last record that [`Reader::next`] found.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Bytes of whole records read so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads the next record. After anything but [`Next::Record`] the reader does not
    /// advance.
    pub fn next(&mut self) -> io::Result<Next> {
        let mut head = [0; 12];
        match read_up_to(&mut self.inner, &mut head)? {
            0 => return Ok(Next::End),
            12 => {}
            _ => return Ok(Next::Torn),
        }
        let (length, crc) = head.split_at(8);
        if masked_crc(length).to_le_bytes() != crc {
            return Ok(Next::BadLength);
        }
        let length = length.iter().rev().fold(0, |n, &byte| (n << 8) | u64::from(byte));
        // Memory grows with the bytes that are read, not with the length in the file.
        self.payload.clear();
        (&mut self.inner).take(length).read_to_end(&mut self.payload)?;
        let mut crc = [0; 4];
        if (self.payload.len() as u64) < length
            || read_up_to(&mut self.inner, &mut crc)? < 4
        {
            return Ok(Next::Torn);
        }
        if masked_crc(&self.payload).to_le_bytes() != crc {
            return Ok(Next::BadPayload);
        }
        self.offset += OVERHEAD + length;
        Ok(Next::Record)
    }
}

/// Fills `buffer` as far as the input reaches.
fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_all(bytes: &[u8]) -> (Vec<Vec<u8>>, Next) {
        let mut reader = Reader::new(bytes);
        let mut records = Vec::new();
        loop {
            match reader.next().unwrap() {
                Next::Record => records.push(reader.payload().to_vec()),
                end => return (records, end),
            }
        }
    }

    /// The first record that TensorBoard 2.21's own RecordWriter writes for
    /// `Event(wall_time=1.5, file_version="brain.Event:2")`.
    #[test]
    fn the_first_record_is_tensorboards() {
        let golden = "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c";
        let payload: Vec<u8> = (24..golden.len() - 8)
            .step_by(2)
            .map(|i| u8::from_str_radix(&golden[i..i + 2], 16).unwrap())
            .collect();
        let mut out = Vec::new();
        append(&mut out, &payload);
        let hex: String = out.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, golden);
    }

    #[test]
    fn a_huge_length_does_not_allocate() {
        let length = (u64::MAX / 2).to_le_bytes();
        let mut bytes = length.to_vec();
        bytes.extend(masked_crc(&length).to_le_bytes());
        bytes.extend([0; 100]);
        assert_eq!(read_all(&bytes), (vec![], Next::Torn));
    }

    proptest! {
        #[test]
        fn records_come_back(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20)) {
            let mut bytes = Vec::new();
            payloads.iter().for_each(|p| append(&mut bytes, p));
            prop_assert_eq!(read_all(&bytes), (payloads, Next::End));
        }

        #[test]
        fn any_cut_is_torn_and_any_flip_is_found(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 1..8),
            at in any::<prop::sample::Index>(),
            bit in 0..8u8,
        ) {
            let mut bytes = Vec::new();
            payloads.iter().for_each(|p| append(&mut bytes, p));
            let at = at.index(bytes.len());
            let (records, end) = read_all(&bytes[..at]);
            prop_assert_eq!(&payloads[..records.len()], &records[..]);
            prop_assert!(matches!(end, Next::Torn | Next::End));
            bytes[at] ^= 1 << bit;
            let (records, end) = read_all(&bytes);
            prop_assert!(records.len() < payloads.len() && payloads.starts_with(&records));
            prop_assert!(matches!(end, Next::BadLength | Next::BadPayload));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            read_all(&bytes);
        }
    }
}
