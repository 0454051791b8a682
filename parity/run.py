#!/usr/bin/env python3
"""Compares what the programs compute with what PyTorch and torchvision compute, number by number, in one report.

Usage: run.py [--data FOLDER] [--only NAME ...] [--output FILE]

FOLDER is CIFAR-10's binary version; the default is mnist-5k, which is part of fetch-data. Each comparison is a
function in a file of this folder (docs/parity.md describes them). Needs the release builds (make build) in
target/release, and cargo for the layers. The exit status is 1 if a bound is exceeded.
"""
import argparse
import pathlib
import sys
import tempfile
import time

import PIL
import torch
import torchvision

# bench/ has the article's network in PyTorch and the paths of the programs.
sys.path.insert(1, str(pathlib.Path(__file__).resolve().parent.parent / "bench"))

import article_training  # noqa: E402
import checkpoints  # noqa: E402
import distributed_training  # noqa: E402
import initial_weights  # noqa: E402
import layers  # noqa: E402
import onnx_files  # noqa: E402
import optimizers  # noqa: E402
import photograph_training  # noqa: E402
import photographs  # noqa: E402
import transforms  # noqa: E402
from sandbox import Stopped, Sandbox  # noqa: E402

COMPARISONS = {
    "initial weights": initial_weights.compare,
    "the article's training": article_training.compare,
    "training on several processes": distributed_training.compare,
    "optimizers": optimizers.compare_optimizers,
    "schedules": optimizers.compare_schedules,
    "layers": layers.compare,
    "checkpoints": checkpoints.compare,
    "ONNX files": onnx_files.compare,
    "transforms": transforms.compare,
    "photographs": photographs.compare,
    "training on photographs": photograph_training.compare,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=pathlib.Path, help="a folder with CIFAR-10's binary version [default: mnist-5k]")
    parser.add_argument("--only", nargs="+", choices=COMPARISONS, default=list(COMPARISONS))
    parser.add_argument("--output", type=pathlib.Path, help="also write the report to this file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    report = Report(args.output)
    with tempfile.TemporaryDirectory(prefix="torchmill-parity-") as work:
        sandbox = Sandbox(args.data, pathlib.Path(work))
        report.line(
            f"torchmill and PyTorch {torch.__version__}, torchvision {torchvision.__version__}, Pillow "
            f"{PIL.__version__}: on {sandbox.name}, one thread of a CPU"
        )
        for name in args.only:
            report.begin(name)
            start = time.perf_counter()
            try:
                for row in COMPARISONS[name](sandbox):
                    report.row(row)
            except Stopped as stopped:
                report.failed(str(stopped))
            print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    sys.exit(report.end())


class Report:
    """A table that is printed as it grows, and also written to a file if one is given."""

    def __init__(self, path):
        self.path, self.lines, self.rows, self.failures = path, [], 0, 0

    def line(self, text):
        print(text, flush=True)
        self.lines.append(text)
        if self.path:
            self.path.write_text("\n".join(self.lines) + "\n")

    def begin(self, name):
        self.line(f"\n{name:<80}  {'largest difference':<24}  bound")

    def row(self, row):
        self.rows += 1
        self.failures += not row.ok
        self.line(f"  {row.what:<78}  {row.difference:<24}  {row.bound:<22}  {'ok' if row.ok else 'FAILED'}")

    def failed(self, why):
        self.rows += 1
        self.failures += 1
        self.line(f"  FAILED: {why}")

    def end(self):
        """The last line; the exit status."""
        self.line(f"\n{self.rows} comparisons, {self.failures} failed" if self.failures else f"\nall {self.rows} ok")
        return 1 if self.failures else 0


if __name__ == "__main__":
    main()
