"""Checkpoints in both directions, on trained networks: names, weights and outputs."""
import runpy
import shutil
import sys
import warnings

import torch
from networks import ARCHITECTURES, Article, photograph_shards, test_photographs
from safetensors.torch import load_file
from workbench import ROOT, Row, within

NET = "docs/torchmill_net.py"
# What the likeliest class must have on average, of ten: near uniform, any two networks agree.
SHARP = 0.15
# Steps and learning rate of those that three steps at 0.05 do not bring there.
SLOW = {"article": (100, 0.1), "lenet5": (100, 0.1)}


def compare(bench):
    yield from article(bench)
    shards, images = photograph_shards(bench), test_photographs().tensor()
    for name, make in ARCHITECTURES.items():
        yield from ours_to_pytorch(bench, name, make(), shards, images)


def article(bench):
    """The article's network on the data set itself, there and back."""
    test = bench.pictures("test")
    images = test.images[:1000].float().div(255)
    options = ["--recipe", "article", "--data", bench.shards()]
    checkpoint, _ = bench.train("to-pytorch", *options, "--steps", 100, "--lr", 0.1)
    network = Article(*images.shape[1:3])
    network.load_state_dict(load_file(checkpoint))
    ours = bench.probabilities(checkpoint, bench.shards())
    yield within("article: ours in PyTorch, load_state_dict(strict=True)", apart(ours[:1000], outputs(network, images)), 1e-5)
    # PyTorch's own: another seed, and a few steps, so that nothing of it comes from us.
    network = theirs(test)
    saved = bench.work / "article.pt"
    torch.save(network.state_dict(), saved)
    ours = bench.probabilities(saved, bench.shards(), "--model", "article")
    yield within("article: torch.save in evaluate --model article", apart(ours[:1000], outputs(network, images)), 1e-5)
    checkpoint, _ = bench.train("from-pytorch", *options, "--epochs", 0, "--init", saved)
    taken, given = load_file(checkpoint), network.state_dict()
    same = sum(name in taken and torch.equal(taken[name], tensor) for name, tensor in given.items())
    ok = same == len(given) == len(taken)
    yield Row("article: torch.save in train --init, tensors", f"{len(given) - same} of {len(given)} differ", "none", ok)


def theirs(pictures):
    torch.manual_seed(5)
    network = Article(*pictures.images.shape[1:3])
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    images, labels = pictures.images[:640].float().div(255), pictures.labels[:640]
    for batch in torch.arange(len(images)).split(64) * 3:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(images[batch]), labels[batch]).backward()
        optimizer.step()
    return network


def ours_to_pytorch(bench, name, module, shards, images):
    """A trained network of ours as torchvision's module, as docs/torchmill_net.py builds it, and as TorchScript."""
    steps, lr = SLOW.get(name, (3, 0.05))
    options = ["--data", shards, "--batch-size", 16, "--keep", 1, "--eval-every", 1000, "--architecture", *name.split()]
    checkpoint, _ = bench.train("trained", "--steps", steps, "--lr", lr, *options)
    ours = bench.probabilities(checkpoint, shards)
    module.load_state_dict(load_file(checkpoint))
    exact = outputs(module, images)
    sharp = exact.max(1).values.mean().item()
    if not sharp > SHARP:
        yield Row(f"{name}, trained", f"outputs near uniform: {sharp:.2f}", f"above {SHARP}", False)
        return
    yield within(f"{name}: evaluate, and PyTorch's module", apart(ours, exact), 1e-4)
    script = bench.work / "script.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = export(checkpoint, script)
        traced = torch.jit.load(script)
    difference = max(apart(outputs(module, images), exact), apart(outputs(traced, images), exact))
    yield within(f"    built by {NET}, and its TorchScript", difference, 1e-4)
    shutil.rmtree(checkpoint.parent)


def export(checkpoint, out):
    """Runs docs/torchmill_net.py as the program that it is, and gives the network that it built."""
    arguments, sys.argv = sys.argv, [NET, str(checkpoint), str(out)]
    try:
        return runpy.run_path(str(ROOT / NET), run_name="__main__")["net"].eval()
    finally:
        sys.argv = arguments


def outputs(network, images):
    """Probabilities, in float64."""
    with torch.no_grad():
        return torch.cat([network.eval()(batch) for batch in images.split(250)]).double().softmax(1)


def apart(a, b):
    return (a - b).abs().max().item() if a.shape == b.shape else float("inf")
