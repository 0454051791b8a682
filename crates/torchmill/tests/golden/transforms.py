#!/usr/bin/env python3
"""Makes transforms.safetensors: what torchvision makes of a few images, for src/transform/golden.rs.

Run by hand, with the versions that the goldens come from:
    pip install torch==2.11.0 torchvision==0.26.0 pillow==13.0.0 numpy==2.4.6 safetensors
    python transforms.py
To check more than the goldens hold, give it photographs and another place, and point the test there:
    python transforms.py --out /tmp/more.safetensors photos/*.jpg
    TORCHMILL_GOLDENS=/tmp/more.safetensors cargo test -p torchmill golden

Each tensor is named `IMAGE: PIPELINE`, the pipeline in torchmill's language, which is Python here; an input is
named `IMAGE` alone. uint8 tensors are [H, W, C], float32 ones [C, H, W].
"""

import argparse
import pathlib

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file
from torchvision.transforms import v2

CASES = """
Resize((12, 17))
Resize((50, 60))
Resize((40, 12))
Resize(14)
Resize(14, max_size=17)
Resize(None, max_size=20)
Resize((11, 15), InterpolationMode.NEAREST)
Resize((47, 70), InterpolationMode.NEAREST)
Resize((11, 15), InterpolationMode.BICUBIC)
Resize((47, 50), InterpolationMode.BICUBIC)
Resize((11, 15), InterpolationMode.LANCZOS)
Resize((47, 50), InterpolationMode.LANCZOS)
Resize((11, 15), InterpolationMode.BOX)
Resize((11, 15), InterpolationMode.HAMMING)
CenterCrop(10)
CenterCrop((30, 12))
CenterCrop(41)
Grayscale
Grayscale(3)
Pad(2)
Pad((1, 2), fill=7)
Pad((1, 2, 3, 0), padding_mode="edge")
Pad((5, 2), padding_mode="reflect")
Pad((40, 3), padding_mode="reflect")
Pad((40, 3), padding_mode="symmetric")
RandomHorizontalFlip(p=1)
RandomVerticalFlip(p=1)
Resize((12, 17)) | CenterCrop(11) | ToTensor
ToTensor | Normalize((0.4,), (0.3,))
ToTensor | Pad((1, 2, 3, 0), padding_mode="edge") | CenterCrop((9, 50))
ToTensor | RandomHorizontalFlip(p=1)
""".strip().splitlines()

RGB_ONLY = """
Pad((1, 2), fill=(9, 8, 7))
ToTensor | Normalize((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
""".strip().splitlines()


def photo(height, width, channels, seed):
    """Something like a photograph: smooth light, a hard edge, texture, saturated parts, noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(float)
    planes = []
    for c in range(channels):
        light = 130 + 90 * np.sin(x / 9 + c) * np.cos(y / 7 - c)
        edge = 80 * ((x - width * 0.6) * 0.8 + (y - height * 0.4) > 0)
        texture = 25 * np.sin(x * 1.9 + c) * np.sin(y * 2.3)
        planes.append(light + edge + texture + rng.normal(0, 9, (height, width)))
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


def pil(pixels):
    return Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0])


def values(result):
    if isinstance(result, torch.Tensor):
        return np.ascontiguousarray(result.numpy())
    array = np.asarray(result)
    return np.ascontiguousarray(array if array.ndim == 3 else array[:, :, None])


def step(text):
    made = eval(text, dict(vars(v2), float32=torch.float32, uint8=torch.uint8))
    return made() if isinstance(made, type) else made


def run(text, image):
    torch.manual_seed(0)
    for part in text.split(" | "):
        image = step(part)(image)
    return values(image)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default=pathlib.Path(__file__).with_suffix(".safetensors"))
    parser.add_argument("photos", nargs="*")
    args = parser.parse_args()
    if args.photos:
        images = {pathlib.Path(p).stem: np.array(Image.open(p).convert("RGB")) for p in args.photos}
    else:
        images = {"rgb": photo(25, 33, 3, 1), "gray": photo(25, 33, 1, 2)}
    tensors = dict(images)
    for name, pixels in images.items():
        for text in CASES + (RGB_ONLY if pixels.shape[2] == 3 else []):
            tensors[f"{name}: {text}"] = run(text, pil(pixels))
    save_file(tensors, args.out)
    print(f"{len(tensors)} tensors, {sum(t.nbytes for t in tensors.values())} bytes: {args.out}")


if __name__ == "__main__":
    main()
