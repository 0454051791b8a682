#!/usr/bin/env python3
"""The time torchvision takes to crop, flip, normalise and batch a folder of JPEG files, in an epoch after the first.

Usage: loader_torchvision.py IMAGES [--batch N] [--epochs N]
Prints a line for each way, with the seconds of the faster of no worker processes and two.
"""
import argparse
import time

import torch
from torch.utils.data import DataLoader
from torchvision import io
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def cropped(*last):
    """RandomResizedCrop and RandomHorizontalFlip, then these transforms, then Normalize."""
    return v2.Compose([v2.RandomResizedCrop(224, antialias=True), v2.RandomHorizontalFlip(), *last, v2.Normalize(MEAN, STD)])


def decoded(path):
    """The file's pixels as a tensor."""
    return io.decode_jpeg(io.read_file(path), mode=io.ImageReadMode.RGB)


def ways(folder):
    """The data sets: with PIL, and on tensors."""
    to_floats = v2.ToDtype(torch.float32, scale=True)
    yield "PIL", ImageFolder(folder, cropped(v2.ToImage(), to_floats))
    yield "tensors", ImageFolder(folder, cropped(to_floats), loader=decoded)


def epoch(loader):
    """The seconds that all batches of an epoch take."""
    start = time.perf_counter()
    for _ in loader:
        pass
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("images")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name, dataset in ways(args.images):
        best = float("inf")
        for workers in [0, 2]:
            loader = DataLoader(dataset, args.batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
            best = min([best] + [epoch(loader) for _ in range(args.epochs)])
        print(f"{name},{best:.3f}")


if __name__ == "__main__":
    main()
