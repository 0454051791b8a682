#!/usr/bin/env python3
"""Measures the programs against the usual alternatives, pair by pair in the same run, and
prints a table of ratios.

Usage: run.py --data FOLDER [--pairs N] [--threads N] [--device D] [--only NAME ...] [--large] [--output FILE]

FOLDER is CIFAR-10's binary version, or a folder that has cifar-10-batches-bin in it. Each
measurement is made --pairs times, ours and theirs in turn, so that a busy machine slows both.
The table has a row for each peer with medians, and ratio = theirs / ours, pair by pair: if it
is above 1, torchmill is faster, or uses less memory. Rows are printed and written as soon as
their measurement is done. Needs the release builds (make build) in target/release. Each file
in measurements/ is one measurement.
"""
import argparse
import csv
import os
import pathlib
import statistics
import sys
import tempfile

from harness import Bench, processor
from measurements import MEASUREMENTS, ON_GPU

HEADER = ["figure", "unit", "torchmill", "peer", "theirs", "ratio", "pairs", "threads", "device", "processor"]


def main():
    args = arguments()
    print(f"{args.threads} threads on {processor()}", file=sys.stderr)
    with Results(args) as results, tempfile.TemporaryDirectory(prefix="torchmill-bench-") as work:
        bench = Bench(cifar_folder(args.data), pathlib.Path(work), args.threads, args.device, args.large)
        for name in args.only:
            measurement = MEASUREMENTS[name]
            results.add(measurement.UNIT, measure(name, measurement, bench, args.pairs))


def measure(name, measurement, bench, pairs):
    """{figure: ([ours], {peer: [theirs]})}, with one number for each pair."""
    figures = {}
    for pair in range(pairs):
        print(f"{name}: pair {pair + 1} of {pairs}", file=sys.stderr)
        ours = measurement.ours(bench)
        theirs = measurement.theirs(bench) if measurement.theirs else {}
        for figure, number in ours.items():
            numbers, peers = figures.setdefault(figure, ([], {}))
            numbers.append(number)
            for peer, other in by_peer(theirs.get(figure)).items():
                peers.setdefault(peer, []).append(other)
    return figures


def by_peer(theirs):
    """A figure of the other side: a number if there is one peer, else {peer: number}."""
    if theirs is None:
        return {}
    return theirs if isinstance(theirs, dict) else {"PyTorch": theirs}


class Results:
    """Prints rows and writes them to --output as soon as each measurement is done, so that
    an interruption loses none."""

    def __init__(self, args):
        self.args, self.file = args, None
        if args.output:
            self.file = open(args.output, "w", newline="")
            self.write([HEADER])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.file:
            self.file.close()

    def write(self, rows):
        csv.writer(self.file, lineterminator="\n").writerows(rows)
        self.file.flush()

    def add(self, unit, figures):
        rows = [row for figure, numbers in figures.items() for row in self.rows(figure, unit, *numbers)]
        if self.file:
            self.write(rows)
        print_table(rows)

    def rows(self, figure, unit, ours, peers):
        """A row for each peer, the fastest first: medians of both sides and of the pairs' ratios."""
        end = [len(ours), self.args.threads, self.args.device, processor()]
        start = [figure, unit, f"{statistics.median(ours):.4g}"]
        if not peers:
            return [[*start, "", "", "", *end]]
        rows = []
        for peer, theirs in sorted(peers.items(), key=lambda item: statistics.median(item[1])):
            ratio = statistics.median(b / a for a, b in zip(ours, theirs))
            rows.append([*start, peer, f"{statistics.median(theirs):.4g}", f"{ratio:.2f}", *end])
        return rows


def arguments():
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=cores)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS)
    parser.add_argument("--large", action="store_true", help="also what takes minutes: scaling to 1,000,000 images, all 60,000 JPEGs")
    parser.add_argument("--output", type=pathlib.Path)
    args = parser.parse_args()
    known = ON_GPU if args.device == "cuda" else list(MEASUREMENTS)
    args.only = args.only or known
    if not set(args.only) <= set(known):
        parser.error(f"--device cuda measures only {', '.join(ON_GPU)}")
    return args


def cifar_folder(given):
    for folder in [given, given / "cifar-10-batches-bin"]:
        if (folder / "data_batch_1.bin").exists():
            return folder
    raise SystemExit(
        f"bench: no CIFAR-10 in {given}: `make fetch DATASET=cifar10` gets it, or `make bench DATA=FOLDER` "
        "where FOLDER holds data_batch_1.bin ... test_batch.bin"
    )


def print_table(rows):
    width = max(len(row[0]) for row in rows)
    for figure, unit, ours, peer, theirs, ratio, *_ in rows:
        compared = f"{theirs:>9} {unit:3} {ratio:>6}x  {peer}" if peer else ""
        print(f"{figure:{width}}  {ours:>9} {unit:3} {compared}".rstrip(), flush=True)


if __name__ == "__main__":
    main()
