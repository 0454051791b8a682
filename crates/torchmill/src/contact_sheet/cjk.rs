//! Chinese and Japanese characters as bitmaps: kana and the first level of GB 2312 and of
//! JIS X 0208. `scripts/cjk-font.py` makes the file from Noto Sans CJK.

/// The width and height of a character, in pixels.
pub const SIZE: u32 = 16;
/// The number of characters, their code points, and 32 bytes for each.
const FONT: &[u8] = include_bytes!("../../assets/cjk.bin");
const BYTES: usize = 32;

/// The bitmap of a character: a u16 for each row, the leftmost pixel in the highest bit.
/// `None` if the font lacks it.
pub fn bitmap(character: char) -> Option<[u16; SIZE as usize]> {
    let code = u16::try_from(u32::from(character)).ok()?;
    let (count, rest) = FONT.split_first_chunk::<4>()?;
    let count = u32::from_le_bytes(*count) as usize;
    let (codes, bitmaps) = rest.split_at_checked(2 * count)?;
    let (codes, _) = codes.as_chunks::<2>();
    let index =
        codes.binary_search_by_key(&code, |code| u16::from_le_bytes(*code)).ok()?;
    let bytes = bitmaps.get(index * BYTES..)?.first_chunk::<BYTES>()?;
    let mut rows = [0; SIZE as usize];
    for (row, bytes) in rows.iter_mut().zip(bytes.as_chunks::<2>().0) {
        *row = u16::from_be_bytes(*bytes);
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_characters_are_there() {
        for character in "猫狗鸟飞机汽车卡青蛙鹿馬車鳥ねコー".chars() {
            let rows = bitmap(character).unwrap();
            assert!(rows.iter().any(|&row| row != 0), "{character}");
        }
        // Three strokes: one row of ink each.
        let rows = bitmap('三').unwrap();
        assert_eq!(rows.iter().filter(|row| row.count_ones() > 8).count(), 3);
        for character in ['a', '\u{ac1c}', '\u{20000}', '\u{0}', '\u{ffff}'] {
            assert_eq!(bitmap(character), None, "{character}");
        }
    }
}
