"""Initial weights: `train --epochs 0 --seed 0` and the same network made after torch.manual_seed(0).

Numbers from a uniform distribution equal PyTorch's bit for bit. Normal ones are computed with a logarithm, a cosine or
an inverse error function, whose last bits differ from processor to processor. Differences are measured in the tensor's
standard deviations: a bound of 1e-5 rules out another distribution or another order.
"""
import torch
from networks import ARCHITECTURES, photograph_shards
from safetensors.torch import load_file
from sandbox import Row, Stopped


def compare(sandbox):
    shards = photograph_shards(sandbox)
    for name, make in ARCHITECTURES.items():
        options = ["--data", shards, "--seed", 0, "--batch-size", 16, "--architecture", *name.split()]
        checkpoint, _ = sandbox.train("initial", "--epochs", 0, *options)
        torch.manual_seed(0)
        yield row(name, load_file(checkpoint), make().state_dict())


def row(name, ours, theirs):
    if {n: t.shape for n, t in ours.items()} != {n: t.shape for n, t in theirs.items()}:
        raise Stopped(f"{name}: the state dict's names or shapes differ: {sorted(set(ours) ^ set(theirs))[:5]}")
    equal, worst = 0, 0.0
    for tensor_name, tensor in theirs.items():
        mine, tensor = ours[tensor_name], tensor
        if torch.equal(mine, tensor):
            equal += 1
            continue
        spread = tensor.double().std().item() if tensor.numel() > 1 else 0.0
        worst = max(worst, (mine.double() - tensor.double()).abs().max().item() / (spread or 1.0))
    what = f"{name}: {equal} of {len(theirs)} tensors bit for bit"
    return Row(what, "none" if equal == len(theirs) else f"{worst:.1e} deviations", "1e-05 deviations", worst <= 1e-5)
