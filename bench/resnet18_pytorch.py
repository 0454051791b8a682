#!/usr/bin/env python3
"""ResNet-18 for CIFAR in PyTorch's eager mode, channels last, and the seconds of a training step.

Usage: resnet18_pytorch.py [--steps N] [--threads N] [--device D]

torchvision's resnet18 with CIFAR's stem (a 3x3 convolution of stride 1, no pooling), batches of 64 random images
that are in memory already, SGD with momentum. bf16 is torch.autocast's. Prints CSV: precision,step_seconds.
"""
import argparse
import time

import torch
from torch import nn
from torchvision.models import resnet18


def step_seconds(precision, device, steps):
    torch.manual_seed(0)
    network = resnet18(num_classes=10)
    network.conv1, network.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    network = network.to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    loss_function = nn.CrossEntropyLoss()
    images = torch.rand(64, 3, 32, 32).to(device, memory_format=torch.channels_last)
    labels = torch.randint(10, (64,), device=device)
    for step in range(steps):
        if step == 1:
            start = time.perf_counter()
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            loss = loss_function(network(images), labels)
        loss.backward()
        optimizer.step()
        loss.item()
    return (time.perf_counter() - start) / (steps - 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--device", type=torch.device, default="cpu")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    print("precision,step_seconds")
    for precision in ["fp32", "bf16"]:
        print(f"{precision},{step_seconds(precision, args.device, args.steps):.5f}", flush=True)


if __name__ == "__main__":
    main()
