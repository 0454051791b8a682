#!/usr/bin/env python3
"""Measures the programs against what people use today, pair by pair in the same run, and prints a table of ratios.

Usage: run.py --data FOLDER [--pairs N] [--threads N] [--device D] [--only NAME ...] [--large] [--output FILE]

FOLDER is CIFAR-10's binary version, or a folder that has cifar-10-batches-bin in it. Each measurement is made
--pairs times, ours and theirs in turn, so that a busy machine slows both. The table gives medians, and
ratio = theirs / ours, a pair at a time: above 1, torchmill is faster, or smaller. Needs the release builds (make
build) in target/release. What is measured is in measurements/, a file each.
"""
import argparse
import csv
import os
import pathlib
import statistics
import sys
import tempfile

from harness import Bench
from measurements import MEASUREMENTS

HEADER = ["figure", "unit", "torchmill", "pytorch", "ratio", "pairs", "threads", "device"]


def main():
    args = arguments()
    figures = {}  # (name, unit) → list of (ours, theirs or None)
    with tempfile.TemporaryDirectory(prefix="torchmill-bench-") as work:
        bench = Bench(cifar_folder(args.data), pathlib.Path(work), args.threads, args.device, args.large)
        for name in args.only:
            measurement = MEASUREMENTS[name]
            for pair in range(args.pairs):
                print(f"{name}: pair {pair + 1} of {args.pairs}", file=sys.stderr)
                ours = measurement.ours(bench)
                theirs = measurement.theirs(bench) if measurement.theirs else {}
                for figure, number in ours.items():
                    figures.setdefault((figure, measurement.UNIT), []).append((number, theirs.get(figure)))
    rows = [row(*key, pairs, args) for key, pairs in figures.items()]
    print_table(rows)
    if args.output:
        temporary = args.output.with_suffix(".partial")
        with open(temporary, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([HEADER, *rows])
        temporary.replace(args.output)


def arguments():
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=cores)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    parser.add_argument("--large", action="store_true", help="also what takes minutes: scaling to 1,000,000 images, all 60,000 JPEGs")
    parser.add_argument("--output", type=pathlib.Path)
    return parser.parse_args()


def cifar_folder(given):
    for folder in [given, given / "cifar-10-batches-bin"]:
        if (folder / "data_batch_1.bin").exists():
            return folder
    raise SystemExit(
        f"bench: no CIFAR-10 in {given}: `make fetch DATASET=cifar10` gets it, or `make bench DATA=FOLDER` "
        "where FOLDER holds data_batch_1.bin ... test_batch.bin"
    )


def row(figure, unit, pairs, args):
    """A row of the CSV: medians of each side, and of the pairs' ratios."""
    ours = statistics.median(number for number, _ in pairs)
    compared = [(a, b) for a, b in pairs if b is not None]
    theirs = f"{statistics.median(b for _, b in compared):.4g}" if compared else ""
    ratio = f"{statistics.median(b / a for a, b in compared):.2f}" if compared else ""
    return [figure, unit, f"{ours:.4g}", theirs, ratio, len(pairs), args.threads, args.device]


def print_table(rows):
    width = max(len(row[0]) for row in rows)
    print(f"{'':{width}}  {'torchmill':>9}    {'PyTorch':>9} {'ratio':>10}")
    for name, unit, ours, theirs, ratio, *_ in rows:
        times = f"{ratio}x" if ratio else ""
        print(f"{name:{width}}  {ours:>9} {unit:3} {theirs:>9} {unit if theirs else '':3} {times:>6}")


if __name__ == "__main__":
    main()
