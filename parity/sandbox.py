"""Shared by the comparisons: the data for both sides, running the programs, rows of the report."""
import csv
import dataclasses
import functools
import gzip
import importlib.util
import math
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import torch
from article_pytorch import Cifar10
from harness import RELEASE
from torch.utils.data import Dataset

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Stopped(Exception):
    """A comparison that cannot be made, and why."""


@dataclasses.dataclass
class Row:
    """A line of the report."""

    what: str
    difference: str
    bound: str
    ok: bool


def within(what, difference, bound, unit=""):
    """A row for a difference that must be at most `bound`. NaN fails."""
    found = "none" if difference == 0 else f"{difference:.1e}{unit}"
    return Row(what, found, "none" if bound == 0 else f"{bound:.0e}{unit}", not math.isnan(difference) and difference <= bound)


class Pictures(Dataset):
    """uint8 images [N, C, H, W] with labels, returned as ToTensor gives them."""

    def __init__(self, images, labels):
        self.images, self.labels = torch.from_numpy(images.copy()), torch.as_tensor(labels).long()

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.images[index].float().div(255), self.labels[index].item()

    def tensor(self):
        """All of them."""
        return self.images.float().div(255)


class Sandbox:
    """One run of all comparisons, in its own folder."""

    def __init__(self, data, work):
        self.work = work
        if data is None:
            self.name = "mnist-5k"
            self.raw = pathlib.Path(self.program("fetch-data", "mnist-5k", "--root", work / "raw").strip())
        else:
            folders = [f for f in (data, data / "cifar-10-batches-bin") if (f / "test_batch.bin").exists()]
            if not folders:
                raise SystemExit(f"parity: no data_batch_1.bin ... test_batch.bin in {data}; without DATA, mnist-5k is taken")
            self.name, self.raw = "CIFAR-10", folders[0]

    def program(self, name, *arguments):
        """Runs one of torchmill's programs on one thread and returns its output."""
        command = [str(RELEASE / name), *map(str, arguments), "-q"]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
        except FileNotFoundError:
            raise SystemExit(f"parity: there is no {command[0]}: make build") from None
        if done.returncode:
            raise Stopped(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def torchrun(self, size, command):
        """Runs a command as `size` processes under torchrun, and returns its output."""
        with self.start_torchrun(size, command) as torchrun:
            said, errors = torchrun.communicate()
        if torchrun.returncode:
            raise Stopped(f"{' '.join(torchrun.args)}: {errors.strip()[-2000:]}")
        return said

    def start_torchrun(self, size, command, *options):
        """Starts torchrun with `size` processes of a command."""
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes=1", f"--nproc-per-node={size}", *options]
        torchrun += ["--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0", "--local-addr=127.0.0.1"]
        torchrun += [] if str(command[0]).endswith(".py") else ["--no-python"]
        # Without `--`, torchrun takes the program's --run for an abbreviation of its own --run-path.
        command = [str(part) for part in [*torchrun, "--", *command]]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def made(self, name, make):
        """The path of a file or folder in the run's folder, which make(path) makes the first time."""
        path = self.work / name
        if not path.exists():
            make(path)
        return path

    def shards(self):
        """The data set, prepared with `--recipe article`."""
        return self.made("shards", lambda out: self.program("prep", self.raw, "-o", out, "--recipe", "article"))

    def train(self, run, *arguments):
        """Runs `train` in a new folder; returns the last checkpoint and the values in metrics.csv, {tag: values}."""
        folder = self.work / run
        shutil.rmtree(folder, ignore_errors=True)
        said = self.program("train", "--run", folder, "--device", "cpu", "--threads", 1, *arguments)
        return pathlib.Path(said.strip()), curves(folder)

    def train_together(self, run, size, *arguments):
        """The same with `size` processes."""
        folder = self.work / run
        shutil.rmtree(folder, ignore_errors=True)
        command = [RELEASE / "train", "--run", folder, "--device", "cpu", "--threads", 1, "-q", *arguments]
        said = self.torchrun(size, command)
        return pathlib.Path(said.strip()), curves(folder)

    def probabilities(self, checkpoint, shards, *arguments):
        """The probabilities that `evaluate` computes for each test image: [N, classes]."""
        out = self.work / "predictions.csv"
        self.program("evaluate", checkpoint, "--data", shards, "--device", "cpu", "--predictions", out, *arguments)
        rows = list(csv.DictReader(open(out, newline="")))
        return torch.tensor([[float(v) for k, v in row.items() if k.startswith("p(")] for row in rows], dtype=torch.float64)

    @functools.cache
    def pictures(self, split):
        """The raw data set, read without any of our programs."""
        if self.name == "CIFAR-10":
            read = Cifar10(self.raw, "test_batch.bin" if split == "test" else "data_batch_*.bin")
            return Pictures(read.images.transpose(0, 3, 1, 2), read.labels)
        prefix = "t10k" if split == "test" else "train"
        images, labels = (idx(self.raw / f"{prefix}-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1"))
        return Pictures(images[:, None], labels.astype(np.int64))


def curves(folder):
    """The values in a run's metrics.csv: {tag: values}."""
    found = {}
    metrics = folder / "metrics.csv"
    for row in csv.DictReader(open(metrics, newline="")) if metrics.exists() else []:
        found.setdefault(row["tag"], []).append(float(row["value"]))
    return found


def idx(path):
    """An array of an IDX file (MNIST's)."""
    data = gzip.open(path).read()
    shape = np.frombuffer(data, ">u4", count=data[3], offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)


def script(path):
    """Imports one of the project's Python files, by its path from the root."""
    spec = importlib.util.spec_from_file_location("torchmill_" + pathlib.Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def relative(ours, theirs):
    """The largest difference between two sequences of numbers, relative to theirs."""
    if len(ours) != len(theirs):
        raise Stopped(f"there are {len(ours)} values, PyTorch has {len(theirs)}")
    return max((abs(a - b) / max(abs(b), 1e-30) for a, b in zip(ours, theirs)), default=math.nan)


def state_difference(ours, theirs):
    """The largest difference between two state dicts, relative to each tensor's largest value in `theirs`."""
    if {n: t.shape for n, t in ours.items()} != {n: t.shape for n, t in theirs.items()}:
        odd = sorted(set(ours) ^ set(theirs))
        raise Stopped(f"names or shapes in the state dict differ: {odd[:5] or 'only shapes'}")
    worst = 0.0
    for name, tensor in theirs.items():
        scale = tensor.double().abs().max().item() or 1.0
        difference = (ours[name].double() - tensor.double()).abs().max().item() / scale
        worst = difference if math.isnan(difference) else max(worst, difference)
    return worst
