"""Compares `prep` with torchvision.transforms.v2 on PIL images, and its decoders with PIL.

The pipelines are those of crates/torchmill/tests/golden/transforms.py, applied to images of other sizes.
"""
import gzip
import io
import json
import math
import re
import warnings

import numpy as np
import PIL
from networks import photographs
from PIL import Image
from sandbox import Row, Stopped, script

# Transforms that compute weighted means of pixels may be at most one level off, in at most 1 % of
# the pixels.
RESAMPLES = re.compile("Resize|BILINEAR|BICUBIC|GaussianBlur")
FLOATS = re.compile(r"\b(ToTensor|ToDtype|ConvertImageDtype)\b")


def compare(sandbox):
    yield from decoding(sandbox)
    golden = script("crates/torchmill/tests/golden/transforms.py")
    sets = {"photographs": photographs(3, 97, 131, 50)}
    images = sandbox.pictures("test").images[:40].numpy().transpose(0, 2, 3, 1)
    sets[sandbox.name] = images
    folders = {name: write(sandbox.work / f"transform-{name}", pixels) for name, pixels in sets.items()}
    families = {}
    for name, pixels in sets.items():
        # A single channel uses the same code, so a third of the pipelines is enough, as in the
        # golden files.
        cases = golden.CASES + golden.RGB_ONLY if pixels.shape[3] == 3 else golden.CASES[::3]
        for text in cases:
            ours = prepared(sandbox, folders[name], text)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # ToTensor is deprecated but works
                theirs = np.stack([golden.run(text, golden.pil(image)) for image in pixels])
            if theirs.dtype == np.uint8:
                theirs = theirs.transpose(0, 3, 1, 2)
            if theirs.dtype != ours.dtype:  # prep ends a pipeline of floats in ToTensor
                theirs = theirs.astype(np.float32) / np.float32(255)
            families.setdefault(family(text, pixels.shape[1:3], ours.shape[2:]), []).append(difference(ours, theirs))
    for (name, kind), found in families.items():
        yield row(name, kind, found)


def family(text, before, after):
    """The row that a pipeline is reported in: its first transform, and how closely it must agree."""
    name = "pipelines of floats" if FLOATS.search(text) else text.split("(")[0].split(" ")[0]
    if not RESAMPLES.search(text):
        return name, "exact"
    columns_first = before[0] - after[0] > 2 * max(before[1] - after[1], 0)
    if name == "Resize" and columns_first and int(PIL.__version__.split(".")[0]) < 13:
        return name, "other order"
    return name, "interpolated"


def row(name, kind, found):
    levels, share = max(level for level, _ in found), max(share for _, share in found)
    seen = "none" if levels == 0 else f"{levels:.2g} in {share:.2%}"
    if kind == "interpolated":
        return Row(f"{name}, interpolated ({len(found)})", seen, "1 level in 1 %", levels <= 1 and share <= 0.01)
    if kind == "other order":
        what = f"{name} where Pillow {PIL.__version__} has not yet Pillow 13's order ({len(found)})"
        return Row(what, seen, "1 level", levels <= 1)
    return Row(f"{name} ({len(found)})", seen, "none", levels == 0)


def difference(ours, theirs):
    """The largest difference in levels of 256, and the share of values that differ."""
    if ours.shape != theirs.shape:
        return math.inf, 1.0
    apart = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
    if theirs.dtype != np.uint8:
        # The rounding of a sum only affects the last bits, and is less than a level.
        return apart.max() * 255, (apart > 1e-6).mean()
    return apart.max(), (apart > 0).mean()


def prepared(sandbox, folder, text):
    """The images of a folder through `prep`, [N, C, H, W]."""
    out = sandbox.work / "prepared"
    options = ["--transform", text, "--dtype", "float32" if FLOATS.search(text) else "uint8"]
    left = None
    # Random steps with a fixed outcome, such as a flip with p=1, are baked by making one copy of
    # each image.
    for augment in [], ["--augment", 1]:
        sandbox.program("prep", folder, "--split", "train", "-o", out, "--format", "npy", *augment, *options)
        left = json.loads((out / "train.json").read_text())["deferred"]
        if not left:
            break
    else:
        raise Stopped(f"prep has left {left} of {text}")
    return np.load(out / "train-00000-of-00001-images.npy")


def write(folder, pixels):
    """Writes images to lossless files: PNG in a class folder, or IDX for one channel."""
    folder.mkdir(parents=True)
    if pixels.shape[3] == 1:
        for kind, array in [("images-idx3", pixels[..., 0]), ("labels-idx1", np.zeros(len(pixels), np.uint8))]:
            header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
            with gzip.open(folder / f"train-{kind}-ubyte.gz", "wb") as file:
                file.write(header + array.tobytes())
        return folder
    (folder / "class").mkdir()
    for index, image in enumerate(pixels):
        Image.fromarray(image).save(folder / "class" / f"{index:03}.png")
    return folder


def decoding(sandbox):
    """Files of several kinds, written and read by PIL."""
    images = [Image.fromarray(pixels) for pixels in photographs(4, 61, 45, 90)]
    jpegs = [
        encoded(image, "JPEG", quality=quality, subsampling=subsampling, progressive=progressive)
        for image, quality in zip(images, (20, 75, 90, 100))
        for subsampling in ("4:4:4", "4:2:2", "4:2:0")
        for progressive in (False, True)
    ]
    jpegs += [encoded(image.convert("L"), "JPEG") for image in images]
    yield decoded(sandbox, "JPEG", jpegs)
    others = [encoded(image, kind) for image in images for kind in ("PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")]
    others += [encoded(image.convert("P"), "PNG") for image in images]
    yield decoded(sandbox, "PNG, GIF, BMP, WebP, TIFF, PPM", others)


def encoded(image, kind, **how):
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def decoded(sandbox, what, files):
    folder = sandbox.work / f"files-{what[:3]}" / "class"
    folder.mkdir(parents=True)
    for index, data in enumerate(files):
        (folder / f"{index:03}.jpg").write_bytes(data)  # recognised by content, not by name
    ours = prepared(sandbox, folder.parent, "ToImage")
    theirs = np.stack([np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in files]).transpose(0, 3, 1, 2)
    levels, share = difference(ours, theirs)
    seen = "none" if levels == 0 else f"{levels:.3g} levels in {share:.2%}"
    return Row(f"decoding {len(files)} files: {what}", seen, "none", levels == 0)
