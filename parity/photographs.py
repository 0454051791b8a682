"""Photographs of different sizes and kinds: which files are broken, and the pixels of the others."""
import csv
import functools

import numpy as np
import torch
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2
import shapes
from sandbox import Row, within

COUNT = 60  # of each class
CROP, RESIZED = 96, 112


def compare(sandbox):
    folder = sandbox.work / "shapes"
    write(folder)
    out, listed = sandbox.work / "shapes-pixels", sandbox.work / "broken.tsv"
    steps = f"Resize({RESIZED}) | CenterCrop({CROP})"
    sandbox.program("prep", folder, "-o", out, "--format", "npy", "--transform", steps, "--skip-bad", listed)
    yield broken_files(folder, listed)
    yield pixels(folder, out)


def write(folder):
    """Writes the photographs, two broken ones of each class among them."""
    shapes.write(folder, COUNT, seed=0)
    for shape in shapes.SHAPES:
        whole = (folder / shape / "0000.jpg").read_bytes()
        (folder / shape / "cut.jpg").write_bytes(whole[: len(whole) // 2])
        (folder / shape / "text.jpg").write_text("not an image")


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
