#!/usr/bin/env python3
"""The time torchvision takes to decode, transform and batch a folder of images once.

Usage: imagefolder_torchvision.py IMAGES [--workers N] [--transform TEXT]
TEXT is a pipeline in prep's language, each name with its parentheses: Resize(224) | ToTensor(). Prints the seconds and
the number of images.
"""
import argparse
import time

from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

parser = argparse.ArgumentParser()
parser.add_argument("images")
parser.add_argument("--workers", type=int, default=0)
parser.add_argument("--transform", default="ToTensor()")
args = parser.parse_args()
steps = [eval(step, vars(transforms)) for step in args.transform.split("|")]
dataset = ImageFolder(args.images, transforms.Compose(steps))
start = time.perf_counter()
count = sum(len(labels) for _, labels in DataLoader(dataset, 64, num_workers=args.workers))
print(f"{time.perf_counter() - start:.3f},{count}")
