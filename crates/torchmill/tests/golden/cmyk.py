#!/usr/bin/env python3
"""Makes cmyk.jpg: a disc in a JPEG of four inks, for tests/photographs.rs.

Run by hand, with pillow==13.0.0: python cmyk.py
"""

import pathlib

from PIL import Image, ImageDraw

image = Image.new("CMYK", (240, 200), (200, 30, 20, 0))
ImageDraw.Draw(image).ellipse((60, 40, 180, 160), fill=(10, 20, 180, 10))
image.save(pathlib.Path(__file__).with_suffix(".jpg"), quality=60)
