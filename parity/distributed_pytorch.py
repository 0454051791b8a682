"""Trains a network with DistributedDataParallel. distributed_training.py starts it with torchrun.

Usage: distributed_pytorch.py perceptron|article|resnet18 PICTURES OUTPUT STEPS
"""
import os
import pathlib
import sys

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler

sys.path.insert(1, str(pathlib.Path(__file__).resolve().parent.parent / "bench"))

from networks import Article, cifar_resnet18  # noqa: E402
from sandbox import Pictures  # noqa: E402

NETWORKS = {  # a network for images of this many channels and this size, its batch size and its learning rate
    "perceptron": (lambda channels, size: nn.Sequential(
        nn.Flatten(), nn.Linear(channels * size * size, 64), nn.Tanh(), nn.Linear(64, 10)), 64, 0.01),
    "article": (Article, 64, 0.01),
    "resnet18": (lambda channels, size: cifar_resnet18(channels), 16, 0.0001),
}


def main():
    name, pictures, output, steps = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    read = torch.load(pictures)["train"]
    train = Pictures(read["images"].numpy(), read["labels"])
    make, batch_size, lr = NETWORKS[name]
    torch.manual_seed(0)
    network = make(train.images.shape[1], train.images.shape[2])
    parallel = DistributedDataParallel(network)
    sampler = DistributedSampler(train, seed=0, drop_last=True)
    loader = DataLoader(train, batch_size=batch_size, sampler=sampler, drop_last=True)
    loss_function = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(parallel.parameters(), lr=lr)
    losses = []
    epoch = 0
    while len(losses) < steps:
        sampler.set_epoch(epoch)
        epoch += 1
        for images, labels in loader:
            optimizer.zero_grad()
            loss = loss_function(parallel(images), labels)
            loss.backward()
            optimizer.step()
            mean = loss.detach().double()
            dist.all_reduce(mean)
            losses.append(mean.item() / dist.get_world_size())
            if len(losses) == steps:
                break
    if dist.get_rank() == 0:
        torch.save({"losses": losses, "state": network.state_dict()}, output)
    dist.destroy_process_group()
    # Freeing the network can hang: with PyTorch 2.11 it waits for Gloo's thread while it holds Python's lock, and that thread
    # may wait for the lock to free a tensor.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
