"""Photographs of different sizes and kinds: which files are broken, and the pixels of the others.

The photographs are generated. Each shows one of four shapes, turned by any angle, before a background. Sides are 200
to 640 pixels; of ten files one is grey, one CMYK, one turned by EXIF data and one a PNG. Some files are broken.
"""
import csv
import functools

import numpy as np
import torch
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2
from sandbox import Row, within

COUNT = 75  # of each class
CROP, RESIZED = 96, 112
# Whether a point is in the shape; the shape reaches about 1 from the middle.
SHAPES = {
    "cross": lambda x, y: (np.minimum(abs(x), abs(y)) < 0.3) & (np.maximum(abs(x), abs(y)) < 1),
    "disc": lambda x, y: np.hypot(x, y) < 0.88,
    "square": lambda x, y: np.maximum(abs(x), abs(y)) < 0.78,
    "triangle": lambda x, y: (y > -0.6) & (y < 1.2 - np.sqrt(3) * abs(x)),
}


def compare(sandbox):
    folder = sandbox.work / "shapes"
    write(folder)
    out, listed = sandbox.work / "shapes-pixels", sandbox.work / "broken.tsv"
    steps = f"Resize({RESIZED}) | CenterCrop({CROP})"
    sandbox.program("prep", folder, "-o", out, "--format", "npy", "--transform", steps, "--skip-bad", listed)
    yield broken_files(folder, listed)
    yield pixels(folder, out)


def broken_files(folder, listed):
    """The files that prep has left out must be those that PIL cannot read."""
    ours = {row[0] for row in csv.reader(open(listed, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)}
    theirs = {str(path) for path in folder.rglob("*.*") if not is_readable(path)}
    return Row(f"the {len(theirs)} broken files of {total(folder)}", f"{len(ours ^ theirs)} files", "none", ours == theirs)


def total(folder):
    """The number of files."""
    return sum(1 for _ in folder.rglob("*.*"))


def pixels(folder, out):
    """Compares the images with torchvision's, before ToTensor."""
    ours = np.concatenate([np.load(file) for file in sorted(out.glob("*-images.npy"))])
    transform = v2.Compose([v2.Resize(RESIZED), v2.CenterCrop(CROP), v2.PILToTensor()])
    images = ImageFolder(folder, transform, is_valid_file=is_readable)
    theirs = torch.stack([image for image, _ in images]).numpy()
    return within(f"pixels of {len(theirs)} images", abs(ours.astype(int) - theirs).max(), 0, " levels")


@functools.cache
def is_readable(path):
    """Whether PIL can read an image file."""
    try:
        with Image.open(path) as image:
            image.convert("RGB")
    except OSError:
        return False
    return True


def write(folder):
    """Writes the photographs, a folder for each class."""
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        (folder / shape).mkdir(parents=True)
        for index in range(COUNT):
            save(Image.fromarray(scene(shape, rng)), folder / shape / f"{index:03}", index % 10)
        whole = (folder / shape / "000.jpg").read_bytes()
        (folder / shape / "cut.jpg").write_bytes(whole[: len(whole) // 2])
        (folder / shape / "text.jpg").write_text("not an image")


def save(image, path, kind):
    """Saves a photograph as one of ten kinds."""
    exif = Image.Exif()
    if kind == 3:
        image = image.convert("L")
    elif kind == 5:
        image = image.convert("CMYK")
    elif kind == 7:
        exif[0x0112] = 6  # The orientation: to be turned by 90 degrees.
    elif kind == 8:
        return image.save(path.with_suffix(".png"))
    return image.save(path.with_suffix(".jpg"), quality=90, exif=exif)


def scene(shape, rng):
    """A photograph: uint8 of [height, width, 3]."""
    height, width = rng.integers(200, 641, 2)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    radius = min(height, width) * rng.uniform(0.24, 0.34)
    y, x = (y - height * rng.uniform(0.42, 0.58)) / radius, (x - width * rng.uniform(0.42, 0.58)) / radius
    angle = rng.uniform(0, 2 * np.pi)
    inside = SHAPES[shape](x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle))
    levels = [rng.uniform(30, 100, 3), rng.uniform(150, 220, 3)]
    dark, bright = (level + texture(height, width, rng) for level in levels)
    is_bright = inside == (rng.random() < 0.5)
    light = np.linspace(-20, 20, width)[None, :, None] * rng.uniform(-1, 1)
    noise = rng.normal(0, 3, (height, width, 3))
    return np.clip(np.where(is_bright[..., None], bright, dark) + light + noise, 0, 255).astype(np.uint8)


def texture(height, width, rng):
    """Smooth blots of colour, of any size: float32 of [height, width, 3]."""
    side = int(rng.integers(2, 12))
    blots = rng.normal(0, 18, (3, side, side)).astype(np.float32)
    planes = [Image.fromarray(plane).resize((int(width), int(height)), Image.Resampling.BICUBIC) for plane in blots]
    return np.stack([np.asarray(plane) for plane in planes], 2)
