#!/usr/bin/env python3
"""Makes transforms.safetensors: what torchvision makes of a few images, for src/transform/golden.rs.

Run by hand, with the versions that the goldens come from:
    pip install torch==2.11.0 torchvision==0.26.0 pillow==13.0.0 numpy==2.4.6 safetensors
    python transforms.py
To check more than the goldens hold, give it photographs and another output file, and point the test there:
    python transforms.py --out /tmp/more.safetensors photos/*.jpg
    TORCHMILL_GOLDENS=/tmp/more.safetensors cargo test -p torchmill golden

`distribution: PIPELINE` is the distribution of statistics of a random pipeline's results,
`IMAGE: operation NAME MAGNITUDE` is one operation of AutoAugment, and `magnitudes: POLICY NAME BINS` are its magnitudes
for an image of 19 by 23.

Each tensor is named `IMAGE: PIPELINE`, the pipeline in torchmill's language, which is Python here; an input is
named only `IMAGE`. uint8 tensors are [H, W, C], float32 ones [C, H, W].
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
Resize((30, 33))
Resize((27, 12))
Resize((8, 30))
Resize(14)
Resize(14, max_size=16)
Resize(None, max_size=20)
Resize((11, 15), InterpolationMode.NEAREST)
Resize((29, 40), InterpolationMode.NEAREST)
Resize((11, 15), InterpolationMode.BICUBIC)
Resize((29, 31), InterpolationMode.BICUBIC)
Resize((11, 15), InterpolationMode.LANCZOS)
Resize((29, 31), InterpolationMode.LANCZOS)
Resize((11, 15), InterpolationMode.BOX)
Resize((11, 15), InterpolationMode.HAMMING)
CenterCrop(10)
CenterCrop((30, 12))
CenterCrop(28)
Grayscale
Grayscale(3)
Pad(2)
Pad((1, 2), fill=7)
Pad((1, 2, 3, 0), padding_mode="edge")
Pad((30, 1), padding_mode="reflect")
Pad((30, 1), padding_mode="symmetric")
RandomHorizontalFlip(p=1)
RandomVerticalFlip(p=1)
Resize((12, 17)) | CenterCrop(11) | ToTensor
ToTensor | Normalize((0.4,), (0.3,))
ToTensor | Pad((1, 2, 3, 0), padding_mode="edge") | CenterCrop((9, 30))
ToTensor | RandomHorizontalFlip(p=1)
PILToTensor | ConvertImageDtype
ToTensor | ToDtype(torch.uint8, scale=True)
RandomRotation((30, 30))
RandomRotation((90, 90))
RandomRotation((90, 90), expand=True)
RandomRotation((180, 180))
RandomRotation((-35, -35), InterpolationMode.BILINEAR, fill=77)
RandomRotation((200, 200), InterpolationMode.BICUBIC, center=(3, 20))
RandomRotation((40, 40), expand=True, fill=9)
RandomAffine((20, 20))
RandomAffine(0, scale=(1.3, 1.3))
RandomAffine((0, 0), scale=(0.7, 0.7), fill=200)
RandomAffine((-15, -15), scale=(1.2, 1.2), shear=(10, 10, -20, -20), interpolation=InterpolationMode.BILINEAR)
RandomAffine((15, 15), shear=(25, 25), interpolation=InterpolationMode.BICUBIC, center=(5, 6), fill=50)
ColorJitter(brightness=(0.6, 0.6))
ColorJitter(brightness=(1.7, 1.7))
ColorJitter(contrast=(0.3, 0.3))
ColorJitter(contrast=(1.9, 1.9))
ColorJitter(saturation=(0.4, 0.4))
ColorJitter(saturation=(2.2, 2.2))
ColorJitter(hue=(0.2, 0.2))
ColorJitter(hue=(-0.37, -0.37))
RandomGrayscale(p=1)
RandomInvert(p=1)
RandomPosterize(3, p=1)
RandomSolarize(130, p=1)
RandomAdjustSharpness(0.2, p=1)
RandomAdjustSharpness(2.5, p=1)
RandomAutocontrast(p=1)
RandomEqualize(p=1)
GaussianBlur(5, 1.3)
GaussianBlur((3, 9), 0.8)
ToTensor | GaussianBlur((7, 5), 2)
""".strip().splitlines()

RANDOM = """
RandomCrop(6, padding=2)
RandomCrop((12, 4), pad_if_needed=True, padding_mode="reflect")
RandomHorizontalFlip
RandomVerticalFlip(p=0.2)
RandomResizedCrop(6)
RandomResizedCrop((5, 7), scale=(0.8, 1.0), ratio=(2.5, 3.0))
RandomRotation(40)
RandomRotation((10, 80), InterpolationMode.BILINEAR, center=(2, 2))
RandomAffine(20, translate=(0.2, 0.4), scale=(0.7, 1.5), shear=10)
RandomAffine(0, shear=(-10, 10, 5, 30))
ColorJitter(0.5, 0.4, 0.3, 0.2)
ColorJitter(brightness=2)
ColorJitter(hue=(-0.1, 0.4))
RandomGrayscale(p=0.3)
RandomInvert(p=0.2)
RandomPosterize(2)
RandomSolarize(100, p=0.7)
RandomAdjustSharpness(2)
RandomAutocontrast
RandomEqualize
GaussianBlur(3)
GaussianBlur((5, 3), (0.5, 3))
ToTensor | RandomErasing
ToTensor | RandomErasing(p=1, value="random")
ToTensor | RandomErasing(0.8, (0.1, 0.6), (0.5, 4), (2, 3, 4))
AutoAugment
AutoAugment(AutoAugmentPolicy.CIFAR10)
AutoAugment(AutoAugmentPolicy.SVHN, fill=128)
RandAugment
RandAugment(3, 20, fill=(10, 20, 30))
TrivialAugmentWide
RandomApply([ColorJitter(brightness=0.5)], p=0.3)
RandomChoice([RandomHorizontalFlip(p=1), RandomVerticalFlip(p=1), Grayscale(3)], p=[0.2, 0.3, 0.5])
""".strip().splitlines()

OPERATIONS = """
ShearX 0.21
ShearY -0.3
TranslateX 7.9
TranslateY -5.4
Rotate -21.5
Brightness -0.4
Color 0.6
Contrast -0.8
Sharpness 0.9
Posterize 5
Solarize 0.45
AutoContrast 0
Equalize 0
Invert 0
""".strip().splitlines()

RGB_ONLY = """
Pad((1, 2), fill=(9, 8, 7))
ToImage | ToDtype(torch.float32)
ToImage | ToDtype(torch.float32, scale=True)
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
        if result.dtype == torch.uint8:
            result = result.permute(1, 2, 0)
        return np.ascontiguousarray(result.numpy())
    array = np.asarray(result)
    return np.ascontiguousarray(array if array.ndim == 3 else array[:, :, None])


def step(text):
    made = eval(text, dict(vars(v2), torch=torch))
    return made() if isinstance(made, type) else made


def run(text, image):
    torch.manual_seed(0)
    for part in text.split(" | "):
        image = step(part)(image)
    return values(image)


def operated(text, image):
    name, magnitude = text.split()
    apply = v2.AutoAugment()._apply_image_or_video_transform
    return values(apply(image, name, float(magnitude), v2.InterpolationMode.NEAREST, {"others": 90.0}))


def magnitudes():
    tables = {}
    for policy, bins in [(v2.AutoAugment, 10), (v2.RandAugment, 31), (v2.TrivialAugmentWide, 31)]:
        for name, (of, _) in policy._AUGMENTATION_SPACE.items():
            table = of(bins, 19, 23)
            if table is not None:
                tables[f"magnitudes: {policy.__name__} {name} {bins}"] = table.float().numpy()[None, None]
    return tables


def statistics(array):
    array = array if array.dtype == np.uint8 else array.transpose(1, 2, 0)
    h, w = array.shape[0] // 2, array.shape[1] // 2
    return array[:h, :w, 0].mean(), array[h:, w:, 1].mean(), array[:, :, 2].mean()


def distribution(text, image, draws=8000):
    """For each statistic nine thresholds, and how often it is at or below them."""
    torch.manual_seed(1)
    steps = [step(part) for part in text.split(" | ")]
    drawn = []
    for _ in range(draws):
        result = image
        for each in steps:
            result = each(result)
        drawn.append(statistics(values(result)))
    drawn = np.array(drawn, np.float32)
    # Avoid values that occur: floats are added up in different orders.
    thresholds = np.quantile(drawn, np.arange(1, 10) / 10, axis=0).astype(np.float32) + np.float32(1e-3)
    below = (drawn[None] <= thresholds[:, None]).mean(1)
    return np.ascontiguousarray(np.stack([thresholds.T, below.T], 1).astype(np.float32))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default=pathlib.Path(__file__).with_suffix(".safetensors"))
    parser.add_argument("photos", nargs="*")
    args = parser.parse_args()
    if args.photos:
        images = {pathlib.Path(p).stem: np.array(Image.open(p).convert("RGB")) for p in args.photos}
    else:
        images = {"rgb": photo(13, 19, 3, 1), "gray": photo(13, 19, 1, 2)}
    tensors = dict(images, **magnitudes())
    tensors["distribution"] = photo(8, 10, 3, 3)
    for text in RANDOM:
        tensors[f"distribution: {text}"] = distribution(text, pil(tensors["distribution"]))
    for name, pixels in images.items():
        # One channel takes the same code paths: a third of the cases is enough.
        rgb = pixels.shape[2] == 3
        for text in CASES + RGB_ONLY if rgb else CASES[::3]:
            tensors[f"{name}: {text}"] = run(text, pil(pixels))
        for text in OPERATIONS if rgb else OPERATIONS[::3]:
            tensors[f"{name}: operation {text}"] = operated(text, pil(pixels))
    save_file(tensors, args.out)
    print(f"{len(tensors)} tensors, {sum(t.nbytes for t in tensors.values())} bytes: {args.out}")


if __name__ == "__main__":
    main()
