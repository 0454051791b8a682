"""From the command line to its end where there is nothing to do, against importing what the Python program imports."""
import statistics
import sys

from harness import RELEASE

UNIT = "ms"
PROGRAMS = ["fetch-data", "prep", "train", "evaluate", "scalars"]
TIMES = 20


def milliseconds(bench, command, times=TIMES):
    return 1000 * statistics.median(bench.run(command)[0] for _ in range(times))


def ours(bench):
    return {figure(name): milliseconds(bench, [RELEASE / name, "--help"]) for name in PROGRAMS}


def theirs(bench):
    imports = {
        "train": "torch, torchvision",
        "evaluate": "torch, torchvision",
        "scalars": "torch.utils.tensorboard",
    }
    return {
        figure(name): milliseconds(bench, [sys.executable, "-c", f"import {modules}"], times=3)
        for name, modules in imports.items()
    }


def figure(name):
    return f"{name} --help"
