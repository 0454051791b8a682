#!/usr/bin/env python3
"""Makes JPEG files that take as long to decode as photographs.

Usage: photographs.py CIFAR_FOLDER OUT COUNT [WIDTH HEIGHT]

The size is 500 x 375 unless given: ImageNet's most frequent size. Each is a sum of CIFAR's images, enlarged to tiles
that get smaller with decreasing weight, so that detail falls off towards high frequencies as in natural scenes. Noise
as from a sensor is added. Quality 90 and 4:2:0, as cameras write them; about 48 KB each. Image N does not depend on
COUNT. Of large images only eight are made, and the others are these, shifted.
"""
import functools
import multiprocessing
import pathlib
import sys

import numpy as np
from PIL import Image

SIZE = 500, 375
LARGE = 1_000_000  # pixels


def photograph(records, rng, width, height):
    scene = np.zeros((height, width, 3), np.float32)
    for octave in range(5):
        tiles = 2**octave
        side = -(-width // tiles)
        rows = -(-height // side)
        layer = Image.new("RGB", (side * tiles, side * rows))
        for y in range(rows):
            for x in range(tiles):
                record = records[rng.integers(len(records))]
                tile = Image.fromarray(record[1:].reshape(3, 32, 32).transpose(1, 2, 0))
                layer.paste(tile.resize((side, side), Image.Resampling.BICUBIC), (x * side, y * side))
        pixels = np.asarray(layer, np.float32)[:height, :width]
        scene += 0.6**octave * (pixels if octave == 0 else pixels - pixels.mean((0, 1)))
    scene += rng.normal(0, 2.5, scene.shape).astype(np.float32)
    return np.clip(scene, 0, 255).astype(np.uint8)


@functools.lru_cache
def scene_of(cifar, index, width, height):
    """The pixels of a scene."""
    records = np.memmap(cifar / "test_batch.bin", np.uint8, "r").reshape(-1, 3073)
    return photograph(records, np.random.default_rng(index), width, height)


def write(index, cifar, out, size):
    path = out / f"class-{index % 10}" / f"{index:05}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    if size[0] * size[1] < LARGE:
        pixels = scene_of.__wrapped__(cifar, index, *size)
    else:
        pixels = np.roll(scene_of(cifar, index % 8, *size), (37 * index, 91 * index), (0, 1))
    Image.fromarray(pixels).save(path, quality=90, subsampling="4:2:0")


def main():
    cifar, out, count = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
    size = tuple(map(int, sys.argv[4:6])) or SIZE
    with multiprocessing.Pool() as pool:
        pool.map(functools.partial(write, cifar=cifar, out=out, size=size), range(count))


if __name__ == "__main__":
    main()
