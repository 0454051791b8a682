#!/usr/bin/env python3
"""Makes draws.safetensors: what torchvision's random transforms make of a few images for given draws, for
src/transform/golden/draws.rs, and how some of their results are distributed. Run it as transforms.py, next to it.

Each tensor is named `IMAGE: given KIND DRAWS`; displacements of ElasticTransform are tensors by themselves.
"""

import pathlib

import numpy as np
import torch
from safetensors.numpy import save_file
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from transforms import distribution, operated, photo, pil, values

MODES = {"nearest": v2.InterpolationMode.NEAREST, "bilinear": v2.InterpolationMode.BILINEAR, "bicubic": v2.InterpolationMode.BICUBIC}

# Top, left, height, width, and the transform.
CROPS = """
2 3 8 11: RandomResizedCrop(9)
0 0 13 19: RandomResizedCrop((7, 30))
5 0 3 19: RandomResizedCrop(9, interpolation=InterpolationMode.BICUBIC)
0 18 13 1: RandomResizedCrop((4, 4), interpolation=InterpolationMode.NEAREST)
4 7 6 6: RandomResizedCrop((6, 6))
1 2 11 5: RandomResizedCrop((3, 12), interpolation=InterpolationMode.LANCZOS)
""".strip().splitlines()

# The new positions of the corners, clockwise from the upper left one.
CORNERS = ["1 0 17 1 18 12 0 11", "2 1 15 0 18 9 0 12", "4 3 14 2 16 10 1 9", "0 2 18 0 12 12 3 11"]

JITTERS = """
0.731: ScaleJitter((20, 16))
1.25: ScaleJitter((13, 19), interpolation=InterpolationMode.BICUBIC)
0.2: ScaleJitter((40, 40))
""".strip().splitlines()

MIXES = """
0.3125 0.25 0.1875 0.25: ShearX 0.06666667014360428, Color 0.2; Equalize 0; Rotate -6.6666667461395264, Solarize 0.7777777910232544, Brightness -0.1
0.5 0.5: Posterize 4
0.1 0.4 0.5: TranslateX 1.4, AutoContrast 0; Sharpness 0.2
""".strip().splitlines()

RANDOM = """
RandomPerspective
RandomPerspective(0.6, 0.8, fill=200)
ElasticTransform(20.0, 0.4)
ElasticTransform((3, 30), (0.3, 0.4), InterpolationMode.NEAREST, fill=90)
ScaleJitter((8, 10), (0.5, 2.0))
AugMix
AugMix(10, 2, 1, 0.5, all_ops=False)
""".strip().splitlines()


class AugMixOnPil(v2.AugMix):
    """AugMix whose operations are those on PIL images, not those on tensors, whose levels differ a little."""

    def _apply_image_or_video_transform(self, image, name, magnitude, **kwargs):
        if (name, magnitude) == ("Posterize", 0):  # which is for tensors only
            return torch.zeros_like(image)
        on_pil = super()._apply_image_or_video_transform(F.to_pil_image(image[0]), name, magnitude, **kwargs)
        return F.pil_to_tensor(on_pil)[None]


def step(text):
    """The transform of a text."""
    return eval(text, dict(vars(v2)))


def crop(text, image):
    """A part of an image, resized."""
    part, transform = text.split(": ")
    transform = step(transform)
    top, left, height, width = map(int, part.split())
    return F.resized_crop(image, top, left, height, width, list(transform.size), transform.interpolation)


def perspective(mode, fill, corners, image):
    """An image whose corners are moved."""
    numbers = list(map(int, corners.split()))
    ends = [numbers[i:i + 2] for i in range(0, 8, 2)]
    width, height = image.size
    starts = [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]
    return F.perspective(image, starts, ends, MODES[mode], [fill])


def jitter(text, image):
    """An image at the size that ScaleJitter computes for a scale."""
    scale, transform = text.split(": ")
    transform = step(transform)
    rand, torch.rand = torch.rand, lambda *_: torch.tensor([(float(scale) - 0.1) / 1.9])
    try:
        return transform(image)
    finally:
        torch.rand = rand


def mix(text, image):
    """AugMix's sum, of operations on PIL images."""
    weights, chains = text.split(": ")
    own, *weights = map(float, weights.split())
    total = own * F.pil_to_tensor(image)
    for weight, chain in zip(torch.tensor(weights), chains.split("; ")):
        augmented = image
        for operation in chain.split(", "):
            augmented = pil(operated(operation, augmented))
        total.add_(weight * F.pil_to_tensor(augmented))
    return F.to_pil_image(total.to(torch.uint8))


def main():
    out = pathlib.Path(__file__).with_suffix(".safetensors")
    images = {"rgb": photo(13, 19, 3, 1), "gray": photo(13, 19, 1, 2)}
    torch.set_num_threads(1)
    v2.AugMix = AugMixOnPil
    torch.manual_seed(5)
    elastic = v2.ElasticTransform(30.0, 1.0).make_params([torch.zeros(1, 13, 19)])["displacement"]
    tensors = {"displacement": np.ascontiguousarray(elastic[0].permute(2, 0, 1).numpy())}
    for name, pixels in images.items():
        image = pil(pixels)
        for text in CROPS:
            tensors[f"{name}: given crop {text}"] = values(crop(text, image))
        for mode in MODES:
            for corners in CORNERS:
                text = f"{mode} 77 {corners}"
                tensors[f"{name}: given perspective {text}"] = values(perspective(mode, 77, corners, image))
        for mode in ["nearest", "bilinear"]:
            tensors[f"{name}: given elastic {mode} 50 displacement"] = values(F.elastic(image, elastic, MODES[mode], 50))
        for text in JITTERS:
            tensors[f"{name}: given jitter {text}"] = values(jitter(text, image))
        for text in MIXES if name == "rgb" else []:
            tensors[f"{name}: given mix {text}"] = values(mix(text, image))
    for text in RANDOM:
        tensors[f"distribution: {text}"] = distribution(text, pil(photo(8, 10, 3, 3)), draws=3000)
    save_file(tensors, out)
    print(f"{len(tensors)} tensors, {sum(t.nbytes for t in tensors.values())} bytes: {out}")


if __name__ == "__main__":
    main()
