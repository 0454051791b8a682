//! A TIFF's first directory, read as PIL's TiffImagePlugin reads it.
//! Source: the TIFF 6.0 specification, and BigTIFF.

use std::collections::BTreeMap;

/// The values of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Values {
    /// Whole numbers, of 16 bits or more.
    Integers(Vec<i64>),
    /// Any other type, which PIL does not read as a number.
    Other,
}

/// A TIFF's first directory.
#[derive(Debug, PartialEq, Eq)]
pub struct Directory {
    /// Whether the file's numbers have their high byte first.
    pub big_endian: bool,
    /// Where the directory lies in the file.
    pub offset: u64,
    tags: BTreeMap<u16, Values>,
}

/// Whether PIL would take these bytes for the start of a TIFF; it accepts a byte-swapped
/// 42.
pub fn is_tiff(bytes: &[u8]) -> bool {
    let starts: [&[u8]; 6] =
        [b"MM\0\x2a", b"II\x2a\0", b"MM\x2a\0", b"II\0\x2a", b"MM\0\x2b", b"II\x2b\0"];
    starts.iter().any(|start| bytes.starts_with(start))
}

impl Directory {
    /// Reads the first directory of a file that [`is_tiff`].
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let big_endian = bytes.starts_with(b"MM");
        // PIL looks only at this byte, so it reads big-endian BigTIFF as TIFF.
        let big_tiff = bytes.get(2) == Some(&43);
        let reader = Reader { bytes, big_endian, big_tiff };
        let at = if big_tiff { 8 } else { 4 };
        let offset = reader.offset(at).ok_or("its header is cut short")?;
        if offset == 0 {
            return Err("it has no directory".to_owned());
        }
        let mut directory = Self { big_endian, offset, tags: BTreeMap::new() };
        reader.read_tags(&mut directory);
        Ok(directory)
    }

    /// Whether the directory has the tag.
    pub fn contains(&self, tag: u16) -> bool {
        self.tags.contains_key(&tag)
    }

    /// The values of a tag of whole numbers; `None` if the tag is missing.
    pub fn integers(&self, tag: u16) -> Result<Option<&[i64]>, String> {
        match self.tags.get(&tag) {
            None => Ok(None),
            Some(Values::Integers(values)) => Ok(Some(values)),
            Some(Values::Other) => Err(format!("tag {tag} is not a whole number")),
        }
    }

    /// The first value of a tag; `None` if the tag is missing.
    pub fn integer(&self, tag: u16) -> Result<Option<i64>, String> {
        Ok(self.integers(tag)?.and_then(|values| values.first().copied()))
    }

    /// The number of values of the tag.
    pub fn count(&self, tag: u16) -> usize {
        match self.tags.get(&tag) {
            Some(Values::Integers(values)) => values.len(),
            _ => 0,
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    big_endian: bool,
    big_tiff: bool,
}

impl Reader<'_> {
    /// The unsigned number of `size` bytes at `at`.
    fn number(&self, at: usize, size: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(size)?)?;
        Some(value(bytes, self.big_endian))
    }

    /// The offset at `at`: 4 bytes, or 8 in BigTIFF.
    fn offset(&self, at: usize) -> Option<u64> {
        self.number(at, if self.big_tiff { 8 } else { 4 })
    }

    /// Reads tags up to the first that points outside the file, where PIL stops too.
    fn read_tags(&self, directory: &mut Directory) {
        let Ok(mut at) = usize::try_from(directory.offset) else { return };
        let (count_size, entry_size) = if self.big_tiff { (8, 20) } else { (2, 12) };
        let Some(count) = self.number(at, count_size) else { return };
        at += count_size;
        // The data outside of the entries cannot be larger than the file.
        let mut remaining = self.bytes.len() as u64;
        for _ in 0..count {
            let Some(entry) = self.bytes.get(at..at + entry_size) else { return };
            if self.read_tag(entry, at, &mut remaining, directory).is_none() {
                return;
            }
            at += entry_size;
        }
    }

    /// `None` if not all of the tag's values are in the file.
    fn read_tag(
        &self,
        entry: &[u8],
        at: usize,
        remaining: &mut u64,
        directory: &mut Directory,
    ) -> Option<()> {
        let tag = value(&entry[..2], self.big_endian) as u16;
        let kind = value(&entry[2..4], self.big_endian);
        let inline = if self.big_tiff { 8 } else { 4 };
        let count = value(&entry[4..4 + inline], self.big_endian);
        let size = match kind {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16 => 8,
            _ => return Some(()),
        };
        // If a tag has several entries, the first one counts.
        if directory.tags.contains_key(&tag) {
            return Some(());
        }
        let length = count.saturating_mul(size);
        let mut from = at + 4 + inline;
        if length > inline as u64 {
            if length > *remaining {
                *remaining = 0;
                return Some(());
            }
            *remaining -= length;
            from = usize::try_from(self.offset(from)?).ok()?;
        }
        let end = from.checked_add(usize::try_from(length).ok()?)?;
        let data = self.bytes.get(from..end)?;
        if !data.is_empty() {
            let values = self.values(kind, size as usize, data);
            directory.tags.insert(tag, values);
        }
        Some(())
    }

    fn values(&self, kind: u64, size: usize, data: &[u8]) -> Values {
        let unsigned = data.chunks_exact(size).map(|v| value(v, self.big_endian));
        match kind {
            3 | 4 | 13 | 16 => Values::Integers(unsigned.map(|v| v as i64).collect()),
            6 => Values::Integers(unsigned.map(|v| i64::from(v as i8)).collect()),
            8 => Values::Integers(unsigned.map(|v| i64::from(v as i16)).collect()),
            9 => Values::Integers(unsigned.map(|v| i64::from(v as i32)).collect()),
            _ => Values::Other,
        }
    }
}

fn value(bytes: &[u8], big_endian: bool) -> u64 {
    let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    if big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
}
