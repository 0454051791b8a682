#!/usr/bin/env python3
"""Makes JPEG files that take as long to decode as photographs of 500 x 375, ImageNet's most frequent size.

Usage: photographs.py CIFAR_FOLDER OUT COUNT

Each is a sum of CIFAR's images, enlarged to tiles that get smaller with decreasing weight, so that detail falls off
towards high frequencies as in natural scenes. Noise as from a sensor is added. Quality 90 and 4:2:0, as cameras
write them; about 48 KB each. Image N does not depend on COUNT.
"""
import functools
import multiprocessing
import pathlib
import sys

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 500, 375


def photograph(records, rng):
    scene = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    for octave in range(5):
        tiles = 2**octave
        side = -(-WIDTH // tiles)
        rows = -(-HEIGHT // side)
        layer = Image.new("RGB", (side * tiles, side * rows))
        for y in range(rows):
            for x in range(tiles):
                record = records[rng.integers(len(records))]
                tile = Image.fromarray(record[1:].reshape(3, 32, 32).transpose(1, 2, 0))
                layer.paste(tile.resize((side, side), Image.Resampling.BICUBIC), (x * side, y * side))
        pixels = np.asarray(layer, np.float32)[:HEIGHT, :WIDTH]
        scene += 0.6**octave * (pixels if octave == 0 else pixels - pixels.mean((0, 1)))
    scene += rng.normal(0, 2.5, scene.shape).astype(np.float32)
    return Image.fromarray(np.clip(scene, 0, 255).astype(np.uint8))


def write(index, cifar, out):
    records = np.memmap(cifar / "test_batch.bin", np.uint8, "r").reshape(-1, 3073)
    path = out / f"class-{index % 10}" / f"{index:05}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    photograph(records, np.random.default_rng(index)).save(path, quality=90, subsampling="4:2:0")


def main():
    cifar, out, count = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
    with multiprocessing.Pool() as pool:
        pool.map(functools.partial(write, cifar=cifar, out=out), range(count))


if __name__ == "__main__":
    main()
