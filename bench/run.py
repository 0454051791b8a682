#!/usr/bin/env python3
"""Measures the programs against PyTorch, pair by pair in the same run, and prints a table of ratios.

Usage: run.py --data FOLDER [--pairs N] [--threads N] [--only NAME ...] [--output FILE]

FOLDER is CIFAR-10's binary version, or a folder that has cifar-10-batches-bin in it. Each measurement is made
--pairs times, ours and theirs in turn, so that a busy machine slows both. The table gives medians, and
ratio = theirs / ours: above 1, torchmill is faster. Needs the release builds (make build) in target/release.
"""
import argparse
import csv
import dataclasses
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
RELEASE = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target")) / "release"


@dataclasses.dataclass
class Bench:
    """What the measurements share: where things are, and how many threads each side gets."""

    data: pathlib.Path  # CIFAR-10's binary version
    work: pathlib.Path  # a folder of the run's own
    threads: int

    def program(self, name, *arguments):
        """Runs one of ours and returns the seconds it took."""
        return self.run([RELEASE / name, "-q", *arguments])[0]

    def python(self, script, *arguments):
        """Runs one of the scripts beside this one and returns what it printed, as rows."""
        environment = os.environ | {"OMP_NUM_THREADS": str(self.threads)}
        output = self.run([sys.executable, HERE / script, *arguments], environment)[1]
        return [line.split(",") for line in output.splitlines()]

    @staticmethod
    def run(command, environment=None):
        start = time.perf_counter()
        done = subprocess.run(list(map(str, command)), env=environment, stdout=subprocess.PIPE, text=True)
        seconds = time.perf_counter() - start
        if done.returncode:
            raise SystemExit(f"bench: {command[0]} failed, its message is above")
        return seconds, done.stdout

    def made(self, name, make):
        """A folder in the work folder, made by make(folder) the first time."""
        folder = self.work / name
        if not folder.exists():
            make(folder)
        return folder

    def shards(self):
        return self.made("shards", lambda out: self.program("prep", self.data, "-o", out, "--recipe", "article"))

    def images(self):
        """The test set's 10,000 images as JPEG files, a folder for each class."""

        def write(folder):
            import numpy as np
            from PIL import Image

            records = np.fromfile(self.data / "test_batch.bin", np.uint8).reshape(-1, 3073)
            for index, record in enumerate(records):
                path = folder / f"class-{record[0]}" / f"{index:05}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(record[1:].reshape(3, 32, 32).transpose(1, 2, 0)).save(path, quality=90)

        return self.made("images", write)


def training_ours(bench):
    """Training and evaluating for one epoch, in both precisions. metrics.csv holds when each step was made."""
    times = {}
    for precision in ["fp32", "bf16"]:
        run = bench.work / "run"
        shutil.rmtree(run, ignore_errors=True)
        bench.program("train", "--recipe", "article", "--data", bench.shards(), "--run", run, "--epochs", "1",
                      "--threads", bench.threads, "--precision", precision)
        rows = list(csv.DictReader(open(run / "metrics.csv", newline="")))
        steps = [float(row["wall_time"]) for row in rows if row["tag"] == "train loss"]
        (tested,) = [float(row["wall_time"]) for row in rows if row["tag"] == "test loss"]
        # Between the first step and the last there is one interval fewer than there are steps.
        trained = (steps[-1] - steps[0]) * len(steps) / (len(steps) - 1)
        times |= training_figures(precision, trained, tested - steps[-1])
    return times


def training_theirs(bench):
    """The article's program has one precision, which ours are both compared with."""
    _, row = bench.python("article_pytorch.py", bench.data, "--threads", bench.threads)
    times = [training_figures(precision, float(row[1]), float(row[2])) for precision in ["fp32", "bf16"]]
    return times[0] | times[1]


def training_figures(precision, trained, tested):
    return {f"train, {precision}": trained, f"test, {precision}": tested, f"epoch, {precision}": trained + tested}


def prep_ours(bench):
    out = bench.work / "out"
    times = {}
    for name, transform in {"prep 10,000 JPEGs": "ToTensor", "prep, resized": "Resize((200, 200)) | ToTensor"}.items():
        shutil.rmtree(out, ignore_errors=True)
        times[name] = bench.program("prep", bench.images(), "-o", out, "--transform", transform)
    return times


def prep_theirs(bench):
    # One loader process a thread, as one would have it; a single one is slower.
    workers = ["--workers", bench.threads]
    plain = bench.python("imagefolder_torchvision.py", bench.images(), *workers)
    resized = bench.python("imagefolder_torchvision.py", bench.images(), *workers, "--size", 200)
    return {"prep 10,000 JPEGs": float(plain[0][0]), "prep, resized": float(resized[0][0])}


# The writers of event files that `scalars` is compared with, and how many points each writes.
WRITERS = {"scalars, SummaryWriter": "torch", "scalars, tensorboardX": "tensorboardX"}
POINTS = 1_000_000


def scalars_ours(bench):
    """From a CSV, which has to be parsed, to event files. Memory must not grow with the points."""
    seconds, peaks = 0.0, []
    for count in [POINTS // 10, POINTS]:
        table = bench.made(f"{count}.csv", lambda path: bench.python("scalars.py", "csv", count, path))
        logs = bench.work / "logs"
        shutil.rmtree(logs, ignore_errors=True)
        start = time.perf_counter()
        child = subprocess.Popen([RELEASE / "scalars", "-q", table, "--logdir", logs])
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        if status:
            raise SystemExit("bench: scalars failed, its message is above")
        peaks.append(usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10))
    print(f"scalars: at most {peaks[0]:.1f} MiB for {POINTS // 10:,} points, {peaks[1]:.1f} MiB for {POINTS:,}",
          file=sys.stderr)
    return dict.fromkeys(WRITERS, seconds)


def scalars_theirs(bench):
    times = {}
    for figure, writer in WRITERS.items():
        logs = bench.work / "logs"
        shutil.rmtree(logs, ignore_errors=True)
        times[figure] = float(bench.python("scalars.py", writer, POINTS, logs)[-1][0])
    return times


# What can be measured: ours and theirs, each a function from Bench to {figure: seconds}.
MEASUREMENTS = {"train": (training_ours, training_theirs), "prep": (prep_ours, prep_theirs),
                "scalars": (scalars_ours, scalars_theirs)}


def cifar_folder(given):
    for folder in [given, given / "cifar-10-batches-bin"]:
        if (folder / "data_batch_1.bin").exists():
            return folder
    raise SystemExit(
        f"bench: no CIFAR-10 in {given}: `make fetch DATASET=cifar10` gets it, or `make bench DATA=FOLDER` "
        "where FOLDER holds data_batch_1.bin ... test_batch.bin"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    parser.add_argument("--output", type=pathlib.Path)
    args = parser.parse_args()
    data = cifar_folder(args.data)
    figures = {}  # name → list of (ours, theirs)
    with tempfile.TemporaryDirectory(prefix="torchmill-bench-") as work:
        bench = Bench(data, pathlib.Path(work), args.threads)
        for name in args.only:
            ours, theirs = MEASUREMENTS[name]
            for pair in range(args.pairs):
                print(f"{name}: pair {pair + 1} of {args.pairs}", file=sys.stderr)
                a, b = ours(bench), theirs(bench)
                for figure in a:
                    figures.setdefault(figure, []).append((a[figure], b[figure]))
    median = lambda values: statistics.median(values)
    header = ["figure", "torchmill_seconds", "pytorch_seconds", "ratio", "pairs", "threads"]
    rows = [
        [name, f"{median(a for a, _ in pairs):.3f}", f"{median(b for _, b in pairs):.3f}",
         f"{median(b / a for a, b in pairs):.2f}", len(pairs), args.threads]
        for name, pairs in figures.items()
    ]
    print(f"{'':20} {'torchmill':>10} {'PyTorch':>10} {'ratio':>8}")
    for name, ours, theirs, ratio, *_ in rows:
        print(f"{name:20} {ours:>8} s {theirs:>8} s {ratio:>7}x")
    if args.output:
        temporary = args.output.with_suffix(".partial")
        with open(temporary, "w", newline="") as file:
            csv.writer(file).writerows([header, *rows])
        temporary.replace(args.output)


if __name__ == "__main__":
    main()
