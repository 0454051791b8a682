"""One process of a training whose first process is `train`. distributed_training.py starts both.

Usage: mixed_rank.py perceptron|article|resnet18 PICTURES OUTPUT EPOCHS BATCHES VERSION

The environment has RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT. VERSION is train's. The gradients are averaged by
DistributedDataParallel. Around it, the script does what docs/distributed.md ("Processes that are not train") asks of
a process. It does not know train's digests of the recipe, the shards and the checkpoint: when they are compared, it
repeats those of rank 0. It does not compute the checksum of its weights either, which rank 0 would only mention:
distributed_training.py compares the weights that this script writes to OUTPUT.
"""
import datetime
import itertools
import os
import secrets
import sys
import threading
import time

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler

from distributed_pytorch import NETWORKS
from sandbox import Pictures

TIMEOUT = datetime.timedelta(seconds=60)
CLASSES = 10
CHUNK = 64  # images of an evaluation that are computed and exchanged together
BROADCAST_BYTES = 250 << 20


def main():
    name, pictures, output, epochs, batches, version = sys.argv[1:]
    torch.set_num_threads(1)
    read = torch.load(pictures)
    train, test = (Pictures(read[split]["images"].numpy(), read[split]["labels"]) for split in ("train", "test"))
    make, batch_size, lr = NETWORKS[name]
    network = make(train.images.shape[1], train.images.shape[2])
    lay_out(network)
    group = Group(version)
    parallel = DistributedDataParallel(network, process_group=group.inner)
    sampler = DistributedSampler(train, group.size, group.rank, seed=0, drop_last=True)
    loader = DataLoader(train, batch_size=batch_size, sampler=sampler, drop_last=True)
    optimizer = torch.optim.SGD(parallel.parameters(), lr=lr)
    for epoch in range(int(epochs)):
        group.any(False)  # whether the time is up
        sampler.set_epoch(epoch)
        train_epoch(group, parallel, optimizer, itertools.islice(loader, int(batches)))
        evaluate(group, network, test, batch_size * int(batches))
        group.all_gather(torch.zeros(1, dtype=torch.int64))  # the checksum of the weights
    torch.save(network.state_dict(), output)
    group.leave()


def lay_out(network):
    """Gives the parameters train's strides, because c10d compares them: convolutions are channels last."""
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)


def train_epoch(group, parallel, optimizer, batches):
    losses = []
    for images, labels in batches:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(parallel(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        is_interrupted, is_time_up, reads_losses = group.any(False, False, False)
        if is_interrupted or is_time_up:
            raise SystemExit("mixed_rank.py: train was stopped")
        if reads_losses:
            share_losses(group, losses)
    share_losses(group, losses)


def share_losses(group, losses):
    """Adds the losses since the last time to those of the other processes, and forgets them."""
    if losses:
        # After each loss comes whether all images of the batch have weight 0.
        group.all_reduce(torch.tensor([[loss, 0] for loss in losses], dtype=torch.float64).flatten(), dist.ReduceOp.SUM)
        losses.clear()


def evaluate(group, network, test, count):
    """Evaluates this process's share of the first `count` test images."""
    group.broadcast(list(network.buffers()))
    chunk = -group.all_reduce(torch.tensor([-CHUNK]), dist.ReduceOp.MAX).item()  # the smallest of all processes
    images, labels = test.tensor()[:count].split(chunk), test.labels[:count].split(chunk)
    network.eval()
    computed = [outputs(network, images[i], labels[i]) for i in range(group.rank, len(images), group.size)]
    network.train()
    group.any(False)  # whether a process was interrupted
    for i in range(-(-len(images) // group.size)):
        # An image's row has its logits, its loss and its weight. All processes send chunks of the same size.
        rows = torch.zeros(chunk, CLASSES + 2)
        if i < len(computed):
            rows[:len(computed[i])] = computed[i]
        group.all_gather(rows)


@torch.no_grad()
def outputs(network, images, labels):
    logits = network(images)
    losses = nn.functional.cross_entropy(logits, labels, reduction="none")
    return torch.cat([logits, losses[:, None], torch.ones(len(labels), 1)], 1)


class Group:
    """The connection to the other processes."""

    def __init__(self, version):
        self.rank, self.size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        self.store = connect()
        libtorch = torch.__version__.split("+")[0]
        self.prefix = self.meet(f"one of {self.size} processes of train {version} with libtorch {libtorch}")
        threading.Thread(target=self.beat, args=(connect(),), daemon=True).start()
        self.inner = self.open()
        self.any(True)  # whether a process computes on a CPU
        for name in ("recipe", "shards", "checkpoint"):
            self.store.set(self.key(name), self.store.get(f"{self.prefix}/{name}/0"))

    def meet(self, claim):
        """Introduces this process to rank 0. Returns the prefix of all keys."""
        start = self.store.get("torchmill/start").decode()
        token = secrets.token_hex(8)
        self.store.set(f"{start}/answer/{self.rank}", f"{token} {claim}")
        verdict = self.store.get(f"{start}/verdict/{token}").decode()
        if verdict == "welcome":
            return start
        self.store.set(f"{start}/read/{token}", "")
        raise SystemExit(f"mixed_rank.py: {verdict}")

    def open(self):
        """What init_process_group does, but with train's prefix."""
        store = dist.PrefixStore(self.prefix, self.store)
        options = dist.ProcessGroupGloo._Options()
        options._devices = [dist.ProcessGroupGloo.create_device(hostname=os.environ["MASTER_ADDR"])]
        options._timeout = TIMEOUT
        gloo = dist.ProcessGroupGloo(store, self.rank, self.size, options)
        group = dist.ProcessGroup(store, self.rank, self.size)
        group._set_default_backend(dist.ProcessGroup.BackendType.GLOO)
        group._register_backend(torch.device("cpu"), dist.ProcessGroup.BackendType.GLOO, gloo)
        group._set_group_name(self.prefix)
        return group

    def key(self, name):
        return f"{self.prefix}/{name}/{self.rank}"

    def beat(self, store):
        """Signals that this process is alive."""
        for count in itertools.count(1):
            store.set(self.key("alive"), str(count))
            time.sleep(0.25)

    def leave(self):
        self.store.set(self.key("left"), "")

    def any(self, *flags):
        """For each flag, whether it is true in any process."""
        return self.all_reduce(torch.tensor(flags, dtype=torch.int64), dist.ReduceOp.MAX).bool().tolist()

    def all_reduce(self, tensor, operation):
        self.inner.allreduce([tensor], operation).wait()
        return tensor

    def all_gather(self, tensor):
        self.inner.allgather([[torch.empty_like(tensor) for _ in range(self.size)]], [tensor]).wait()

    def broadcast(self, tensors):
        if tensors:
            dist._broadcast_coalesced(self.inner, tensors, BROADCAST_BYTES, 0)


def connect():
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    return dist.TCPStore(host, port, is_master=False, timeout=TIMEOUT, wait_for_workers=False)


main()
