"""50 steps of the article's training on 2 and 3 processes, under torchrun: ours against DistributedDataParallel's.

The bounds are those of the article's training on one process: the networks' own operations differ by rounding.
"""
import torch
from safetensors.torch import load_file
from sandbox import ROOT, relative, state_difference, within

STEPS = 50
SIZES = (2, 3)


def compare(sandbox):
    for size in SIZES:
        checkpoint, ours = sandbox.train_together(
            f"article-{size}", size, "--recipe", "article", "--data", sandbox.shards(), "--seed", 0, "--steps", STEPS
        )
        theirs = sandbox.made(f"article-{size}.pt", lambda out: reference(sandbox, size, out))
        theirs = torch.load(theirs)
        what = f"{size} processes: loss of each of {STEPS} steps, the mean of the processes'"
        yield within(what, relative(ours["train loss"], theirs["losses"]), 1e-4, " of it")
        difference = state_difference(load_file(checkpoint), theirs["state"])
        yield within(f"{size} processes: weights after the last step", difference, 2e-3, " of largest")


def reference(sandbox, size, out):
    """Runs distributed_pytorch.py, which writes its losses and its state dict to `out`."""
    pictures = sandbox.pictures("train")
    data = sandbox.work / "pictures.pt"
    torch.save({"images": pictures.images, "labels": pictures.labels}, data)
    script = ROOT / "parity" / "distributed_pytorch.py"
    sandbox.torchrun(size, [script, data, out, STEPS])
