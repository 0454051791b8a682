//! Reads arrays of numbers from MATLAB 5 files, as SVHN and Oxford Flowers 102 publish them.
//!
//! A file is a header and then elements, one for each variable, each perhaps compressed by
//! zlib. All numbers are little-endian. Source: MathWorks, "MAT-File Format".

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Read;

use flate2::read::ZlibDecoder;

/// What is wrong with a file.
pub type Why = &'static str;

const CUT: Why = "is cut short or damaged: a MATLAB variable in it is not whole; \
                  fetch it again";
const DAMAGED: Why = "is damaged: a MATLAB variable in it contradicts itself; fetch it \
                      again";

/// The size of the header, and what it ends with: the version, and "MI" in the bytes' order.
const HEADER: usize = 128;
const VERSION: &[u8] = b"\0\x01IM";

/// The types of elements that are not numbers.
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

/// The classes of arrays of numbers. Those before are cells, structures, objects, text and
/// sparse arrays.
const NUMBERS: std::ops::RangeInclusive<u8> = 6..=15;

/// The flag of an array of complex numbers.
const COMPLEX: u8 = 0x08;

/// An array of numbers.
pub struct Array {
    /// The size of each dimension. The first index varies fastest.
    pub size: Vec<usize>,
    numbers: Numbers,
    data: Vec<u8>,
}

impl Array {
    /// The values as bytes, if all are integers from 0 to 255.
    pub fn into_bytes(self) -> Option<Vec<u8>> {
        if self.numbers == Numbers::Uint8 {
            return Some(self.data);
        }
        let integers = self.integers()?;
        integers.into_iter().map(|n| u8::try_from(n).ok()).collect()
    }

    /// The values, if all are integers from 0 to 2^32 - 1.
    pub fn integers(&self) -> Option<Vec<u32>> {
        let range = 0.0..=f64::from(u32::MAX);
        let integer =
            |x: f64| (x.fract() == 0.0 && range.contains(&x)).then_some(x as u32);
        self.values().map(integer).collect()
    }

    fn values(&self) -> Box<dyn Iterator<Item = f64> + '_> {
        fn each<const N: usize>(
            bytes: &[u8],
            read: fn([u8; N]) -> f64,
        ) -> Box<dyn Iterator<Item = f64> + '_> {
            Box::new(bytes.as_chunks().0.iter().map(move |number| read(*number)))
        }
        let data = &self.data;
        match self.numbers {
            Numbers::Int8 => each(data, |b| i8::from_le_bytes(b).into()),
            Numbers::Uint8 => each(data, |b| u8::from_le_bytes(b).into()),
            Numbers::Int16 => each(data, |b| i16::from_le_bytes(b).into()),
            Numbers::Uint16 => each(data, |b| u16::from_le_bytes(b).into()),
            Numbers::Int32 => each(data, |b| i32::from_le_bytes(b).into()),
            Numbers::Uint32 => each(data, |b| u32::from_le_bytes(b).into()),
            Numbers::Single => each(data, |b| f32::from_le_bytes(b).into()),
            Numbers::Double => each(data, f64::from_le_bytes),
        }
    }
}

/// How an array's numbers are stored. MATLAB stores them in the smallest type that holds
/// them all, whatever the array's class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Numbers {
    Int8,
    Uint8,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Single,
    Double,
}

impl Numbers {
    /// The numbers in an element of this type. `None` also for integers of 64 bits.
    fn of_type(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Int8,
            2 => Self::Uint8,
            3 => Self::Int16,
            4 => Self::Uint16,
            5 => Self::Int32,
            6 => Self::Uint32,
            7 => Self::Single,
            9 => Self::Double,
            _ => return None,
        })
    }

    /// The size of a number in bytes.
    fn size(self) -> usize {
        match self {
            Self::Int8 | Self::Uint8 => 1,
            Self::Int16 | Self::Uint16 => 2,
            Self::Int32 | Self::Uint32 | Self::Single => 4,
            Self::Double => 8,
        }
    }
}

/// The arrays of real numbers in a file, by name.
///
/// # Errors
/// If the file is no MATLAB 5 file or is damaged.
pub fn arrays(file: &[u8]) -> Result<HashMap<String, Array>, Why> {
    let Some((header, mut rest)) = file.split_at_checked(HEADER) else {
        return Err("is not a MATLAB 5 file: it ends within its header");
    };
    if !header.ends_with(VERSION) {
        return Err("is not a little-endian MATLAB 5 file");
    }
    let mut arrays = HashMap::new();
    while !rest.is_empty() {
        let element = take_element(&mut rest)?;
        let matrix = match element.kind {
            MATRIX => Cow::Borrowed(element.data),
            COMPRESSED => Cow::Owned(decompress(element.data)?),
            _ => continue,
        };
        if let Some((name, array)) = array(&matrix)? {
            arrays.insert(name, array);
        }
    }
    Ok(arrays)
}

struct Element<'a> {
    kind: u32,
    data: &'a [u8],
}

/// Takes the next element off the front of `rest`.
fn take_element<'a>(rest: &mut &'a [u8]) -> Result<Element<'a>, Why> {
    let tag = take_u32(rest)?;
    let (kind, small_size) = (tag & 0xffff, tag >> 16);
    // An element of at most four bytes has its size in the tag, and room for four.
    let (size, room) = if small_size > 0 {
        (small_size as usize, 4)
    } else {
        let size = take_u32(rest)? as usize;
        (size, if kind == COMPRESSED { size } else { size.next_multiple_of(8) })
    };
    if size > room {
        return Err(DAMAGED);
    }
    let data = rest.get(..size).ok_or(CUT)?;
    // The last element may lack the bytes that fill its room.
    *rest = rest.get(room..).unwrap_or_default();
    Ok(Element { kind, data })
}

fn take_u32(rest: &mut &[u8]) -> Result<u32, Why> {
    let (number, after) = rest.split_first_chunk().ok_or(CUT)?;
    *rest = after;
    Ok(u32::from_le_bytes(*number))
}

/// Decompresses an element, which must be a matrix, and returns its data. No more is
/// decompressed than the element's size says.
fn decompress(data: &[u8]) -> Result<Vec<u8>, Why> {
    let mut decoder = ZlibDecoder::new(data);
    let mut tag = [0; 8];
    decoder.read_exact(&mut tag).map_err(|_| CUT)?;
    let mut tag = &tag[..];
    let (kind, size) = (take_u32(&mut tag)?, take_u32(&mut tag)?);
    if kind != MATRIX {
        return Err(DAMAGED);
    }
    let mut matrix = Vec::new();
    decoder.take(size.into()).read_to_end(&mut matrix).map_err(|_| CUT)?;
    if matrix.len() == size as usize { Ok(matrix) } else { Err(CUT) }
}

/// The name and the array in a matrix, if it holds real numbers.
fn array(matrix: &[u8]) -> Result<Option<(String, Array)>, Why> {
    let mut rest = matrix;
    let [class, flags, ..] = *take_element(&mut rest)?.data else { return Err(DAMAGED) };
    if !NUMBERS.contains(&class) || flags & COMPLEX != 0 {
        return Ok(None);
    }
    let mut size = Vec::new();
    for side in take_element(&mut rest)?.data.as_chunks().0 {
        size.push(usize::try_from(i32::from_le_bytes(*side)).map_err(|_| DAMAGED)?);
    }
    let name = String::from_utf8_lossy(take_element(&mut rest)?.data).into_owned();
    let values = take_element(&mut rest)?;
    let Some(numbers) = Numbers::of_type(values.kind) else { return Ok(None) };
    let bytes = size.iter().try_fold(numbers.size(), |n, &side| n.checked_mul(side));
    if bytes != Some(values.data.len()) {
        return Err(DAMAGED);
    }
    Ok(Some((name, Array { size, numbers, data: values.data.to_vec() })))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use proptest::prelude::*;

    use super::*;

    fn element(kind: u32, data: &[u8]) -> Vec<u8> {
        let mut element = kind.to_le_bytes().to_vec();
        element.extend((data.len() as u32).to_le_bytes());
        element.extend(data);
        element.resize(element.len().next_multiple_of(8), 0);
        element
    }

    /// A matrix called `y`.
    fn matrix(class: u8, size: &[i32], kind: u32, data: &[u8]) -> Vec<u8> {
        let sides: Vec<u8> = size.iter().flat_map(|side| side.to_le_bytes()).collect();
        let parts = [
            element(6, &[class, 0, 0, 0, 0, 0, 0, 0]),
            element(5, &sides),
            // The name's element is small.
            b"\x01\0\x01\0y\0\0\0".to_vec(),
            element(kind, data),
        ];
        element(MATRIX, &parts.concat())
    }

    fn compressed(elements: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(elements).unwrap();
        let packed = encoder.finish().unwrap();
        let mut element = COMPRESSED.to_le_bytes().to_vec();
        element.extend((packed.len() as u32).to_le_bytes());
        element.extend(packed);
        element
    }

    fn file(elements: &[u8]) -> Vec<u8> {
        let mut file = vec![b' '; HEADER - VERSION.len()];
        file.extend(VERSION);
        file.extend(elements);
        file
    }

    fn integers(elements: &[u8]) -> Result<Option<Vec<u32>>, Why> {
        Ok(arrays(&file(elements))?.get("y").and_then(Array::integers))
    }

    #[test]
    fn numbers_of_every_type_are_read() {
        let double = [3.0_f64.to_le_bytes(), 9e8_f64.to_le_bytes()].concat();
        assert_eq!(
            integers(&matrix(6, &[2, 1], 9, &double)),
            Ok(Some(vec![3, 900_000_000]))
        );
        // Doubles that are stored as bytes.
        let bytes = matrix(6, &[1, 3], 2, &[1, 2, 255]);
        assert_eq!(integers(&bytes), Ok(Some(vec![1, 2, 255])));
        assert_eq!(integers(&compressed(&bytes)), Ok(Some(vec![1, 2, 255])));
        assert_eq!(integers(&matrix(10, &[1, 1], 3, &[0, 1])), Ok(Some(vec![256])));
        assert_eq!(integers(&matrix(8, &[1, 1], 1, &[255])), Ok(None), "-1");
        let half = 0.5_f32.to_le_bytes();
        assert_eq!(integers(&matrix(7, &[1, 1], 7, &half)), Ok(None), "0.5");
    }

    #[test]
    fn other_variables_are_left_out() {
        let number = matrix(6, &[1, 1], 2, &[7]);
        let text = matrix(4, &[1, 1], 4, b"a\0");
        assert_eq!(integers(&text), Ok(None));
        let after_others = [element(4, &[0; 3]), text, number].concat();
        assert_eq!(integers(&after_others), Ok(Some(vec![7])));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let array = matrix(6, &[2, 2], 2, &[7; 4]);
        assert_eq!(
            arrays(b"no MATLAB").err(),
            Some("is not a MATLAB 5 file: it ends within its header")
        );
        assert_eq!(arrays(&[0; 200]).err(), Some("is not a little-endian MATLAB 5 file"));
        assert_eq!(integers(&matrix(6, &[2, 2], 2, &[7; 3])), Err(DAMAGED));
        assert_eq!(integers(&matrix(6, &[-2, -2], 2, &[7; 4])), Err(DAMAGED));
        let overflow = [i32::MAX, i32::MAX, i32::MAX];
        assert_eq!(integers(&matrix(6, &overflow, 2, &[7; 4])), Err(DAMAGED));
        assert_eq!(integers(&array[..array.len() - 8]), Err(CUT));
        assert_eq!(integers(&[element(MATRIX, &[]), array.clone()].concat()), Err(CUT));
        let packed = compressed(&array);
        assert_eq!(integers(&packed[..packed.len() - 9]), Err(CUT));
        assert_eq!(integers(&compressed(&array[..array.len() - 8])), Err(CUT));
        // A reader that unpacked what it finds inside would run out of stack.
        assert_eq!(integers(&compressed(&packed)), Err(DAMAGED));
    }

    proptest! {
        #[test]
        fn no_change_breaks_it(
            at: prop::sample::Index,
            value: u8,
            cut: prop::sample::Index,
        ) {
            let mut mat = file(&matrix(6, &[2, 3], 4, &[1; 12]));
            let length = mat.len();
            mat[at.index(length)] = value;
            for bytes in [&mat[..], &mat[..cut.index(length)]] {
                for array in arrays(bytes).into_iter().flat_map(HashMap::into_values) {
                    let _ = array.integers();
                    let _ = array.into_bytes();
                }
            }
        }
    }
}
