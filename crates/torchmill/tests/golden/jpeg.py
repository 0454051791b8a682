#!/usr/bin/env python3
"""Writes jpeg.safetensors: JPEG files and the pixels that PIL's convert("RGB") gives for them.

Usage: jpeg.py        (with numpy 2.2.6, Pillow 12.3.0, whose libjpeg-turbo is 3.1.4.1, and safetensors 0.8.0)

For each case a tensor CASE.jpg with the file's bytes and one CASE.pixels of shape [height, width, 3].
"""
import io
import pathlib

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

rng = np.random.default_rng(0)
tensors = {}


def case(name, mode, width, height, **how):
    """A smooth scene with some noise, so that all frequencies occur."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / 5 + k) + np.cos(y / (4 + k)) for k in range(3)]
    scene = 127 + 55 * np.stack(waves, -1) + rng.normal(0, 12, (height, width, 3))
    image = Image.fromarray(scene.clip(0, 255).astype(np.uint8)).convert(mode)
    file = io.BytesIO()
    image.save(file, "JPEG", **how)
    tensors[f"{name}.jpg"] = np.frombuffer(file.getvalue(), np.uint8)
    tensors[f"{name}.pixels"] = np.asarray(Image.open(file).convert("RGB"))


for subsampling in ["4:4:4", "4:2:2", "4:2:0"]:
    for progressive in [False, True]:
        name = subsampling.replace(":", "") + ("-progressive" if progressive else "")
        case(name, "RGB", 45, 35, quality=90, subsampling=subsampling, progressive=progressive)
case("coarse", "RGB", 33, 17, quality=5, subsampling="4:2:0")
case("fine", "RGB", 31, 18, quality=100, subsampling="4:2:0")
case("restarts", "RGB", 50, 40, quality=75, subsampling="4:2:0", restart_marker_blocks=2)
case("single-pixel", "RGB", 1, 1, quality=75, subsampling="4:2:0")
case("grey", "L", 41, 29, quality=85)
case("grey-progressive", "L", 41, 29, quality=85, progressive=True)
case("inks", "CMYK", 40, 24, quality=90, subsampling="4:4:4")
save_file(tensors, pathlib.Path(__file__).with_name("jpeg.safetensors"))
