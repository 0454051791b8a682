#!/usr/bin/env python3
"""Seconds of a training step in PyTorch, the ways that an expert would try: eager or compiled,
fp32 or bf16 by autocast, channels last, the images in memory already.

Usage: step_pytorch.py NETWORK --size N --batch N [--steps N] [--threads N] [--device D] [--ways WAY ...]

NETWORK is `article`, `resnet18-cifar` (torchvision's resnet18 with a 3x3 first convolution of
stride 1 and no pooling) or a name of torchvision.models. SGD with momentum, 10 classes; the
article's network has neither momentum nor weight decay. Prints CSV: way,step_seconds.
"""
import argparse
import time

import torch
import torchvision
from article_pytorch import article_network
from torch import nn

WAYS = ["eager fp32", "eager bf16", "compiled fp32", "compiled bf16"]


def network_of(name, size):
    if name == "article":
        return article_network(size=size)
    if name == "resnet18-cifar":
        network = torchvision.models.resnet18(num_classes=10)
        network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        network.maxpool = nn.Identity()
        return network
    return torchvision.models.get_model(name, num_classes=10, **({"image_size": size} if name.startswith("vit") else {}))


def step_seconds(args, way):
    torch.manual_seed(0)
    network = network_of(args.network, args.size).to(args.device, memory_format=torch.channels_last)
    settings = {"lr": 0.01} if args.network == "article" else {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4}
    optimizer = torch.optim.SGD(network.parameters(), **settings)
    loss_function = nn.CrossEntropyLoss()
    forward = torch.compile(network) if way.startswith("compiled") else network
    images = torch.rand(args.batch, 3, args.size, args.size).to(args.device, memory_format=torch.channels_last)
    labels = torch.randint(10, (args.batch,), device=args.device)
    # The first steps compile, and allocate what later steps use again.
    warm_up = 3
    for step in range(args.steps + warm_up):
        if step == warm_up:
            start = time.perf_counter()
        optimizer.zero_grad()
        with torch.autocast(args.device.type, torch.bfloat16, enabled=way.endswith("bf16")):
            loss = loss_function(forward(images), labels)
        loss.backward()
        optimizer.step()
        loss.item()
    return (time.perf_counter() - start) / args.steps


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("network")
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--device", type=torch.device, default="cpu")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    print("way,step_seconds")
    for way in args.ways:
        print(f"{way},{step_seconds(args, way):.5f}", flush=True)


if __name__ == "__main__":
    main()
