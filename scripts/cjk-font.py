"""Writes crates/torchmill/assets/cjk.bin, the characters of contact sheets that are not
Latin: kana and the first level of GB 2312 and of JIS X 0208, as bitmaps of 16x16 pixels of
Noto Sans CJK (Python with Pillow).

    scripts/cjk-font.py NotoSansCJK-Regular.ttc

The file has the number of characters as a little-endian u32, their code points as
little-endian u16 in rising order, and 32 bytes for each character: two per row, with the
leftmost pixel in the highest bit.
"""

import pathlib
import struct
import sys

from PIL import Image, ImageDraw, ImageFont

SIZE = 16
BASELINE = 14
# Noto Sans CJK SC in the collection.
SIMPLIFIED_CHINESE = 2


def characters():
    kana = [chr(code) for code in range(0x3041, 0x3100)]
    punctuation = list("、。〇「」『』（）・ー，：；！？％－～　")
    chinese = level(range(0xB0, 0xD8), "gb2312")
    japanese = level(range(0xB0, 0xD0), "euc_jp")
    return sorted(set(kana + punctuation + chinese + japanese))


def level(rows, encoding):
    found = []
    for row in rows:
        for cell in range(0xA1, 0xFF):
            try:
                found.append(bytes([row, cell]).decode(encoding))
            except UnicodeDecodeError:
                pass
    return found


def bitmap(font, character):
    image = Image.new("1", (SIZE, SIZE), 0)
    draw = ImageDraw.Draw(image)
    draw.fontmode = "1"
    draw.text((SIZE // 2, BASELINE), character, font=font, fill=1, anchor="ms")
    return image.tobytes()


def main():
    font = ImageFont.truetype(sys.argv[1], SIZE, index=SIMPLIFIED_CHINESE)
    found = characters()
    data = struct.pack("<I", len(found))
    data += b"".join(struct.pack("<H", ord(character)) for character in found)
    data += b"".join(bitmap(font, character) for character in found)
    root = pathlib.Path(__file__).parent.parent
    (root / "crates/torchmill/assets/cjk.bin").write_bytes(data)


main()
