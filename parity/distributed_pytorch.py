"""The article's training with DistributedDataParallel, for distributed_training.py, which has torchrun start it.

Usage: distributed_pytorch.py PICTURES OUTPUT STEPS
"""
import pathlib
import sys

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler

sys.path.insert(1, str(pathlib.Path(__file__).resolve().parent.parent / "bench"))

from networks import Article  # noqa: E402
from sandbox import Pictures  # noqa: E402


def main():
    pictures, output, steps = sys.argv[1], sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    read = torch.load(pictures)
    train = Pictures(read["images"].numpy(), read["labels"])
    torch.manual_seed(0)
    network = Article(train.images.shape[1], train.images.shape[2])
    parallel = DistributedDataParallel(network)
    sampler = DistributedSampler(train, seed=0, drop_last=True)
    loader = DataLoader(train, batch_size=64, sampler=sampler, drop_last=True)
    loss_function = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(parallel.parameters(), lr=0.01)
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


main()
