#!/usr/bin/env python3
"""The time torchvision takes to decode, transform and batch a folder of images once.

Usage: imagefolder_torchvision.py IMAGES [--workers N] [--size N]
Prints the seconds and the number of images.
"""
import argparse
import time

from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

parser = argparse.ArgumentParser()
parser.add_argument("images")
parser.add_argument("--workers", type=int, default=0)
parser.add_argument("--size", type=int, help="also Resize((N, N))")
args = parser.parse_args()
steps = [transforms.Resize((args.size, args.size))] if args.size else []
dataset = ImageFolder(args.images, transforms.Compose([*steps, transforms.ToTensor()]))
start = time.perf_counter()
count = sum(len(labels) for _, labels in DataLoader(dataset, 64, num_workers=args.workers))
print(f"{time.perf_counter() - start:.3f},{count}")
