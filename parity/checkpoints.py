"""Checkpoints in both directions, on trained networks: names, weights and outputs."""
import runpy
import shutil
import sys
import warnings

import torch
from networks import ARCHITECTURES, Article, photograph_shards, photographs_of
from safetensors.torch import load_file
from sandbox import ROOT, Row, within

NET = "docs/torchmill_net.py"
# How much the probability of some class must vary between the images: if the outputs are the same
# for all images, near uniform or near one class, any two networks agree.
SPREAD = 0.01
# Steps and learning rate of networks for which three steps at 0.005 give outputs that are all
# alike, or logits in the thousands, for which float32 is too coarse: PyTorch's own logits are then
# off by tens from those in float64.
TRAINING = {"article": (100, 0.01), "lenet5": (200, 0.1), "resnet50": (3, 0.00001), "efficientnet_b0": (3, 0.00005)}


def compare(sandbox):
    yield from article(sandbox)
    shards, images = photograph_shards(sandbox), photographs_of("test").tensor()
    for name, make in ARCHITECTURES.items():
        yield from ours_to_pytorch(sandbox, name, make(), shards, images)


def article(sandbox):
    """The article's network on the data set itself, in both directions."""
    test = sandbox.pictures("test")
    images = test.images[:1000].float().div(255)
    options = ["--recipe", "article", "--data", sandbox.shards()]
    checkpoint, _ = sandbox.train("to-pytorch", *options, "--steps", 100, "--lr", 0.1)
    network = Article(*images.shape[1:3])
    network.load_state_dict(load_file(checkpoint))
    ours = sandbox.probabilities(checkpoint, sandbox.shards())
    yield within("article: ours in PyTorch, load_state_dict(strict=True)", apart(ours[:1000], outputs(network, images)), 1e-5)
    # PyTorch's own network: another seed and a few steps, so that it is independent of torchmill.
    network = theirs(test)
    saved = sandbox.work / "article.pt"
    torch.save(network.state_dict(), saved)
    ours = sandbox.probabilities(saved, sandbox.shards(), "--model", "article")
    yield within("article: torch.save in evaluate --model article", apart(ours[:1000], outputs(network, images)), 1e-5)
    checkpoint, _ = sandbox.train("from-pytorch", *options, "--epochs", 0, "--init", saved)
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


def ours_to_pytorch(sandbox, name, module, shards, images):
    """A network that torchmill trained, in torchvision's module, as built by docs/torchmill_net.py, and as TorchScript.

    It starts from PyTorch's weights and running statistics of the images, which a few steps would not give.
    """
    torch.manual_seed(1)
    settled(module, photographs_of("train").tensor())
    torch.save(module.state_dict(), sandbox.work / "start.pt")
    steps, lr = TRAINING.get(name, (3, 0.005))
    options = ["--data", shards, "--batch-size", 16, "--keep", 1, "--eval-every", 1000]
    options += ["--init", sandbox.work / "start.pt", "--architecture", *name.split()]
    checkpoint, _ = sandbox.train("trained", "--steps", steps, "--lr", lr, *options)
    ours = sandbox.probabilities(checkpoint, shards)
    module.load_state_dict(load_file(checkpoint))
    exact = outputs(module, images)
    spread = (exact.max(0).values - exact.min(0).values).max().item()
    if not spread > SPREAD:
        yield Row(f"{name}, trained", f"outputs vary by {spread:.1e}", f"above {SPREAD}", False)
        return
    yield within(f"{name}: evaluate, and PyTorch's module", apart(ours, exact), 1e-4)
    script = sandbox.work / "script.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = export(checkpoint, script)
        traced = torch.jit.load(script)
    difference = max(apart(outputs(module, images), exact), apart(outputs(traced, images), exact))
    yield within(f"    built by {NET}, and its TorchScript", difference, 1e-4)
    shutil.rmtree(checkpoint.parent)


def settled(module, images):
    """Sets batch norm's statistics from these images, and non-zero weights in transformers' last layers."""
    norms = [m for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None  # the mean of all batches
    with torch.no_grad():
        for batch in images.split(20):
            module.train()(batch)
        for name, parameter in module.named_parameters():
            if name.startswith("heads.head"):
                torch.nn.init.normal_(parameter, std=0.1)
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum


def export(checkpoint, out):
    """Runs docs/torchmill_net.py as a program, and returns the network that it built."""
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
