"""Start-up: commands that do no work, against importing the modules of the Python program.

`--help` loads no libtorch, so the counterpart of `import torch` is `train --summary`, which loads it, builds a network
and prints its layers.
"""
import statistics
import sys

from harness import RELEASE

UNIT = "ms"
PROGRAMS = ["fetch-data", "prep", "train", "evaluate", "scalars"]
TIMES = 20
SUMMARY = "train --summary"


def milliseconds(bench, command, times=TIMES):
    return 1000 * statistics.median(bench.run(command)[0] for _ in range(times))


def ours(bench):
    helps = {f"{name} --help": milliseconds(bench, [RELEASE / name, "--help"]) for name in PROGRAMS}
    network = [RELEASE / "train", "--summary", "--input", "3x32x32", "--num-classes", 10]
    return helps | {SUMMARY: milliseconds(bench, network)}


def theirs(bench):
    imports = {SUMMARY: "torch, torchvision", "scalars --help": "torch.utils.tensorboard"}
    return {
        figure: milliseconds(bench, [sys.executable, "-c", f"import {modules}"], times=3)
        for figure, modules in imports.items()
    }
