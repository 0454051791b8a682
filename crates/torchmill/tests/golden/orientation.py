#!/usr/bin/env python3
"""Makes orientation.safetensors: small files with an EXIF orientation, and the pixels of PIL's
`ImageOps.exif_transpose(Image.open(file)).convert("RGB")`.

Run by hand, with Pillow 12.3.0, numpy and safetensors: python orientation.py
"""
import io
import pathlib

import numpy
from PIL import Image, ImageOps
from safetensors.numpy import save_file

WIDTH, HEIGHT = 5, 3
ORIENTATION = 0x0112
random = numpy.random.default_rng(5)
tensors = {}


def add(name, content):
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
    tensors[f"{name} file"] = numpy.frombuffer(content, numpy.uint8).copy()
    tensors[f"{name} pixels"] = numpy.asarray(image).copy()


def saved(kind, **options):
    file = io.BytesIO()
    Image.fromarray(random.integers(0, 256, (HEIGHT, WIDTH, 3), numpy.uint8)).save(file, kind, **options)
    return file.getvalue()


def exif(orientation, order="<"):
    """EXIF data that hold only an orientation, in either byte order."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif.endian = order
    return exif


def xmp(orientation):
    """XMP data, which PIL reads where the EXIF data hold no orientation."""
    about = f'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{orientation}"/>'
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/">{about}</x:xmpmeta>'.encode()


for orientation in range(10):
    add(f"{orientation}.jpg", saved("JPEG", quality=100, exif=exif(orientation)))
    add(f"{orientation}-motorola.jpg", saved("JPEG", exif=exif(orientation, ">")))
    add(f"{orientation}.png", saved("PNG", exif=exif(orientation)))
    add(f"{orientation}.webp", saved("WEBP", lossless=True, exif=exif(orientation)))
    add(f"{orientation}.tif", saved("TIFF", tiffinfo={ORIENTATION: orientation}))
    add(f"{orientation}-xmp.jpg", saved("JPEG", xmp=xmp(orientation)))
    add(f"{orientation}-xmp.webp", saved("WEBP", lossless=True, xmp=xmp(orientation)))
for kind in ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM"]:
    add(f"none.{kind.lower()}", saved(kind))

save_file(tensors, pathlib.Path(__file__).with_name("orientation.safetensors"))
