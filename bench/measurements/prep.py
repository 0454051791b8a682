"""Images to tensors, against torchvision's ImageFolder and a DataLoader; and CIFAR's binary version, against `cat`.

Both sides turn JPEG files into float32 tensors, which are discarded: prep writes one npy stream, the
DataLoader makes batches. The DataLoader has no worker processes or two, whichever is faster.
"""
import subprocess
import sys

from harness import HERE, RELEASE

UNIT = "s"
CROPPED = "Resize(224) | CenterCrop(224) | ToTensor()"
SHARDS = "prep, CIFAR-10 to shards"


def pipelines(bench):
    """The cases: {figure: (folder, pipeline)}."""
    jpegs, count = bench.images(), 60_000 if bench.large else 10_000
    return {
        f"prep, {count:,} JPEGs": (jpegs, "ToTensor()"),
        f"prep, {count:,} JPEGs to 224x224": (jpegs, CROPPED),
        "prep, 2,000 photographs to 224x224": (photographs(bench), CROPPED),
    }


def photographs(bench):
    """2,000 JPEG files of 500x375."""
    make = [sys.executable, HERE / "photographs.py", bench.data]
    return bench.made("photographs", lambda out: bench.run([*make, out, 2000]))


def ours(bench):
    figures = {}
    for name, (folder, transform) in pipelines(bench).items():
        stream = f"'{RELEASE}/prep' -q '{folder}' --transform '{transform}' --dtype float32 --format npy -o - >/dev/null"
        figures[name] = bench.run(["sh", "-c", stream])[0]
    subprocess.run(["sync"])
    figures[SHARDS] = bench.program("prep", bench.data, "-o", bench.emptied("out"))
    return figures


def theirs(bench):
    figures = {}
    for name, (folder, transform) in pipelines(bench).items():
        arguments = ["imagefolder_torchvision.py", folder, "--transform", transform, "--workers"]
        figures[name] = min(float(bench.python(*arguments, workers)[0][0]) for workers in [0, 2])
    subprocess.run(["sync"])
    copy = f"cat '{bench.data}'/*_batch*.bin | tee '{bench.emptied('copy')}' | cksum && sync '{bench.work}/copy'"
    figures[SHARDS] = bench.run(["sh", "-c", copy])[0]
    return figures
