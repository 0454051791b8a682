"""The images of an epoch: random crops, flipped and normalised, in batches of 64, with a trivial network.

There are 2,000 photographs of 500x375. `train` reads them from shards that hold the files, with a network that averages
the pixels. The peers are torchvision's ImageFolder and DataLoader with PIL, which give the same pixels, and with
decode_jpeg and transforms on tensors, which give different ones; each with no worker processes or two, whichever is
faster.
"""
from harness import HERE, step_seconds

from measurements.prep import photographs

UNIT = "s"
BATCH, EPOCHS = 64, 2
TRANSFORM = "RandomResizedCrop(224) | RandomHorizontalFlip | ToTensor | Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))"
EXACT, SCALED = "loader, an epoch of photographs", "loader, decoded at a smaller scale"


def count(folder):
    """The number of files."""
    return sum(1 for _ in folder.glob("*/*.jpg"))


def ours(bench):
    folder = photographs(bench)
    options = ["--transform", TRANSFORM, "--store", "encoded", "--test-fraction", "0.01"]
    shards = bench.made("photograph-shards", lambda out: bench.program("prep", folder, "-o", out, *options))
    figures = {}
    for name, scaled in [(EXACT, "false"), (SCALED, "true")]:
        rows = bench.train("--recipe", HERE / "loader.toml", "--data", shards, "--set", f"data.scaled_decoding={scaled}")
        figures[name] = step_seconds(rows) * count(folder) / BATCH
    return figures


def theirs(bench):
    folder = photographs(bench)
    rows = bench.python("loader_torchvision.py", folder, "--batch", BATCH, "--epochs", EPOCHS)
    peers = {way: float(seconds) for way, seconds in rows}
    return {EXACT: {"torchvision, PIL": peers["PIL"]}, SCALED: {"torchvision, decode_jpeg": peers["tensors"]}}
