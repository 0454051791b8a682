#!/usr/bin/env python3
"""Seconds of a training step in PyTorch, in the ways that an expert would try: eager or
compiled, fp32 or bf16 by autocast, channels last, with the images already in memory.

Usage: step_pytorch.py NETWORK --size N --batch N [--steps N] [--threads N] [--device D] [--ways WAY ...]

NETWORK is `article`, `resnet18-cifar` (torchvision's resnet18 with a 3x3 first convolution of
stride 1 and no pooling), `cifar10-fast` or a name of torchvision.models. SGD with momentum, 10
classes; the article's network has neither momentum nor weight decay, and cifar10-fast has the
optimizers of its recipe. Prints CSV: way,step_seconds.
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
    if name == "cifar10-fast":
        return fast_network()
    return torchvision.models.get_model(name, num_classes=10, **({"image_size": size} if name.startswith("vit") else {}))


class Scale(nn.Module):
    def forward(self, x):
        return x / 9


def fast_network():
    """The network of the recipe cifar10-fast. Its initial weights differ, which does not affect the time."""

    def norm(channels):
        layer = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
        layer.weight.requires_grad = False
        return layer

    def convolution(inputs, outputs):
        return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)

    def block(inputs, outputs):
        first = [convolution(inputs, outputs), nn.MaxPool2d(2), norm(outputs), nn.GELU()]
        return [*first, convolution(outputs, outputs), norm(outputs), nn.GELU()]

    whiten = nn.Conv2d(3, 24, 2)
    whiten.weight.requires_grad = False
    head = [nn.MaxPool2d(3), nn.Flatten(), nn.Linear(256, 10, bias=False), Scale()]
    return nn.Sequential(whiten, nn.GELU(), *block(24, 64), *block(64, 256), *block(256, 256), *head)


class MuonAndSgd:
    """torch.optim.Muon for filters, which are viewed as matrices, and SGD for the rest."""

    def __init__(self, network):
        trained = [p for p in network.parameters() if p.requires_grad]
        self.filters = [p for p in trained if p.dim() == 4]
        others = [p for p in trained if p.dim() != 4]
        self.matrices = [nn.Parameter(matrix(p.data)) for p in self.filters]
        self.muon = torch.optim.Muon(self.matrices, lr=0.1, momentum=0.6, ns_steps=3)
        self.sgd = torch.optim.SGD(others, lr=0.1, momentum=0.85, nesterov=True)

    def zero_grad(self):
        self.sgd.zero_grad()
        for p in self.filters:
            p.grad = None

    def step(self):
        for own, p in zip(self.matrices, self.filters):
            own.grad = matrix(p.grad)
        self.muon.step()
        self.sgd.step()


def matrix(filters):
    """Views channels-last filters, [N, C, H, W], as [N, H * W * C] without copying."""
    return filters.permute(0, 2, 3, 1).flatten(1)


def optimizer_of(args, network):
    if args.network == "cifar10-fast":
        return MuonAndSgd(network)
    settings = {"lr": 0.01} if args.network == "article" else {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4}
    return torch.optim.SGD(network.parameters(), **settings)


def step_seconds(args, way):
    torch.manual_seed(0)
    network = network_of(args.network, args.size).to(args.device, memory_format=torch.channels_last)
    optimizer = optimizer_of(args, network)
    loss_function = nn.CrossEntropyLoss(label_smoothing=0.2 if args.network == "cifar10-fast" else 0.0)
    forward = torch.compile(network) if way.startswith("compiled") else network
    images = torch.rand(args.batch, 3, args.size, args.size).to(args.device, memory_format=torch.channels_last)
    labels = torch.randint(10, (args.batch,), device=args.device)
    # The first steps compile, and allocate memory that later steps reuse.
    warm_up = 3
    losses = []
    for step in range(args.steps + warm_up):
        if step == warm_up:
            read_back(losses)
            start = time.perf_counter()
        optimizer.zero_grad()
        with torch.autocast(args.device.type, torch.bfloat16, enabled=way.endswith("bf16")):
            loss = loss_function(forward(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    read_back(losses)
    return (time.perf_counter() - start) / args.steps


def read_back(losses):
    """Waits until a GPU has done the steps. Reading each loss after its step would make it idle."""
    return torch.stack(losses).tolist()


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
