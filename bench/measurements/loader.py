"""The images of an epoch: random crops, flipped and normalised, in batches, with a trivial network.

There are 2,000 photographs of 500x375 and 200 of 4000x3000. `train` reads them from shards that hold the files, with a
network that looks at a few pixels. The peers are torchvision's ImageFolder and DataLoader with PIL, which give the same
pixels, and with decode_jpeg and transforms on tensors, which give different ones; each with no worker processes or two,
whichever is faster.
"""
import sys

from harness import HERE, step_seconds

from measurements.prep import photographs

UNIT = "s"
TRANSFORM = "RandomResizedCrop(224) | RandomHorizontalFlip | ToTensor | Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))"
LARGE = (4000, 3000)


def large_photographs(bench):
    """200 JPEG files of 4000x3000."""
    make = [sys.executable, HERE / "photographs.py", bench.data]
    return bench.made("large-photographs", lambda out: bench.run([*make, out, 200, *LARGE]))


def cases(bench):
    """The folders: {what they hold: (folder, images in a batch)}."""
    return {
        "2,000 photographs of 500x375": (photographs(bench), 64),
        "200 photographs of 4000x3000": (large_photographs(bench), 16),
    }


def names(what):
    """The figures of a folder: exact, and decoded at a smaller scale."""
    return f"loader, {what}", f"loader, {what}, scaled decoding"


def count(folder):
    """The number of files."""
    return sum(1 for _ in folder.glob("*/*.jpg"))


def ours(bench):
    figures = {}
    for what, (folder, batch) in cases(bench).items():
        # One test image of each class: they take time, too.
        options = ["--transform", TRANSFORM, "--store", "encoded", "--test-fraction", 10 / count(folder)]
        shards = bench.made(f"{folder.name}-shards", lambda out: bench.program("prep", folder, "-o", out, *options))
        for name, scaled in zip(names(what), ["false", "true"]):
            settings = ["--set", f"data.scaled_decoding={scaled}", "--set", f"train.batch_size={batch}"]
            rows = bench.train("--recipe", HERE / "loader.toml", "--data", shards, *settings)
            figures[name] = step_seconds(rows) * count(folder) / batch
    return figures


def theirs(bench):
    figures = {}
    for what, (folder, batch) in cases(bench).items():
        rows = bench.python("loader_torchvision.py", folder, "--batch", batch, "--epochs", 2)
        peers = {way: float(seconds) for way, seconds in rows}
        exact, scaled = names(what)
        figures[exact] = {"torchvision, PIL": peers["PIL"], "torchvision, decode_jpeg": peers["tensors"]}
        figures[scaled] = figures[exact]
    return figures
