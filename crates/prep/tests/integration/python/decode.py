"""Writes images of every kind with PIL and compares prep's pixels with those of convert("RGB")."""

import io
import os
import subprocess
import tarfile

import numpy as np
from PIL import Image

rng = np.random.default_rng(0)
WIDTH, HEIGHT = 61, 47
smooth = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
rgb = smooth.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
rgba = rgb.convert("RGBA")
rgba.putalpha(Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)))
grey16 = Image.fromarray((np.arange(WIDTH * HEIGHT).reshape(HEIGHT, WIDTH) * 7 % 600).astype(np.uint16))
turned = Image.Exif()
turned[0x0112] = 6  # orientation: PIL's loader, and torchvision's, leave it alone

os.mkdir("in")
kept = []


def save(name, image, **options):
    image.save(os.path.join("in", name), **options)
    kept.append(name)


save("rgb.png", rgb)
save("rgba.png", rgba)
save("grey.png", rgb.convert("L"))
save("grey-alpha.png", rgba.convert("LA"))
save("bits.png", rgb.convert("1"))
save("palette.png", rgb.quantize(200))
save("palette-4-bits.png", rgb.quantize(13), bits=4)
save("palette-transparent.png", rgb.quantize(100), transparency=3)
save("transparent.png", rgb, transparency=(1, 2, 3))
save("grey16.png", grey16)
save("grey16.tiff", grey16)
save("palette.gif", rgb.quantize(100), transparency=3)
save("frames.gif", rgb, save_all=True, append_images=[rgb.rotate(90)])
save("rgb.bmp", rgb)
save("palette.bmp", rgb.quantize(50))
save("lossless.webp", rgba, lossless=True)
save("lossy.webp", rgb, quality=80)
save("rgb.tiff", rgb)
save("cmyk.tiff", rgb.convert("CMYK"))
save("lzw.tiff", rgb, compression="tiff_lzw")
save("rgb.ppm", rgb)
save("grey.jpg", rgb.convert("L"), quality=90)
save("cmyk.jpg", rgb.convert("CMYK"), quality=90, subsampling=0)
save("cmyk-half.jpg", rgb.convert("CMYK"), quality=90, subsampling=2)
save("full.jpg", rgb, quality=90, subsampling=0)
save("half.jpg", rgb, quality=90, subsampling=2)
save("progressive.jpg", rgb, quality=90, subsampling=2, progressive=True)
save("turned.jpg", rgb, quality=90, subsampling=0, exif=turned)

command = ["prep", "in", "-q", "-o", "-", "--format", "tar", "--tar-image", "npy"]
archive = tarfile.open(fileobj=io.BytesIO(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
for i, name in enumerate(sorted(kept)):
    ours = np.load(io.BytesIO(archive.extractfile(f"{i:08}.npy").read())).astype(int)
    theirs = np.asarray(Image.open(os.path.join("in", name)).convert("RGB")).transpose(2, 0, 1).astype(int)
    assert ours.shape == theirs.shape, (name, ours.shape, theirs.shape)
    apart = np.abs(ours - theirs)
    # The only kind that is not decoded by libjpeg-turbo.
    limit = 8 if name == "cmyk-half.jpg" else 0
    assert apart.max() <= limit, (name, apart.max())
print(len(kept), "images as PIL")
