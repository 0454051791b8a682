#!/usr/bin/env python3
"""Seconds of a training step of ResNet-18 (with the stem for CIFAR) with DistributedDataParallel.

Usage: processes_pytorch.py --way alone|apart|together --port P --batch N --steps N [--device D]

Starts one process of one thread on this machine, or two, each with its own batch, channels last,
fp32. Two processes are connected by DistributedDataParallel, or not. Prints the seconds per step
of the first, from the end of the first step to the end of the last.
"""
import argparse
import contextlib
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from step_pytorch import network_of
from torch import nn
from torch.nn.parallel import DistributedDataParallel

SIZE = 2


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--way", choices=["alone", "apart", "together"], required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    args = parser.parse_args()
    if args.way == "alone":
        work(0, args)
    else:
        mp.spawn(work, (args,), SIZE)


def work(rank, args):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    device = torch.device("cuda", rank) if args.device == "cuda" else torch.device("cpu")
    network = network_of("resnet18-cifar", 32).to(device, memory_format=torch.channels_last)
    with group(rank, args):
        parallel = DistributedDataParallel(network) if args.way == "together" else network
        seconds = step_seconds(parallel, device, args)
    if rank == 0:
        print(seconds)


@contextlib.contextmanager
def group(rank, args):
    if args.way != "together":
        yield
        return
    backend = "nccl" if args.device == "cuda" else "gloo"
    address = f"tcp://127.0.0.1:{args.port}"
    dist.init_process_group(backend, init_method=address, rank=rank, world_size=SIZE)
    yield
    dist.destroy_process_group()


def step_seconds(network, device, args):
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    loss_function = nn.CrossEntropyLoss()
    images = torch.rand(args.batch, 3, 32, 32, device=device).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(10, (args.batch,), device=device)
    for step in range(args.steps):
        optimizer.zero_grad()
        loss = loss_function(network(images), labels)
        loss.backward()
        optimizer.step()
        loss.item()
        if step == 0:
            start = time.perf_counter()
    return (time.perf_counter() - start) / (args.steps - 1)


if __name__ == "__main__":
    main()
