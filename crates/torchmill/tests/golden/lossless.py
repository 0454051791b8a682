#!/usr/bin/env python3
"""Makes lossless.jpg, for src/dataset/decode/jpeg.rs: a grey JPEG that is coded without loss (ITU-T T.81, annex H).

Run by hand in this folder, with numpy and Pillow 13.0.0. Level (x, y) is (5 x + 11 y + x y % 7) % 256. Each is predicted
by the one to the left, in the first column by the one above. No program at hand writes such files.
"""
import struct

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 12, 40


def segment(marker, contents):
    return bytes([0xFF, marker]) + struct.pack(">H", len(contents) + 2) + contents


def coded(levels):
    """The differences from the predictions: four bits for the length of each, then its bits."""
    bits = ""
    for y in range(HEIGHT):
        for x in range(WIDTH):
            predicted = levels[y, x - 1] if x else levels[y - 1, x] if y else 128
            difference = int(levels[y, x] - predicted)
            length = abs(difference).bit_length()
            bits += format(length, "04b")
            if length:
                bits += format(difference if difference > 0 else difference + (1 << length) - 1, f"0{length}b")
    bits += "1" * (-len(bits) % 8)
    data = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    return data.replace(b"\xff", b"\xff\0")


def main():
    levels = np.array([[(5 * x + 11 * y + x * y % 7) % 256 for x in range(WIDTH)] for y in range(HEIGHT)])
    frame = segment(0xC3, struct.pack(">BHHB", 8, HEIGHT, WIDTH, 1) + bytes([1, 0x11, 0]))
    # Nine lengths, 0 to 8, each with a code of four bits.
    table = segment(0xC4, bytes([0, 0, 0, 0, 9, *[0] * 12, *range(9)]))
    scan = segment(0xDA, bytes([1, 1, 0, 1, 0, 0]))
    with open("lossless.jpg", "wb") as file:
        file.write(b"\xff\xd8" + frame + table + scan + coded(levels) + b"\xff\xd9")
    assert (np.asarray(Image.open("lossless.jpg")) == levels).all()


main()
