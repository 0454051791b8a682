"""Shared by the measurements: paths, running the programs, and measuring their memory."""
import contextlib
import csv
import dataclasses
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
RELEASE = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target")) / "release"


@dataclasses.dataclass
class Bench:
    """One run of the bench. Both sides get the same threads and the same device."""

    data: pathlib.Path  # CIFAR-10's binary version
    work: pathlib.Path  # a temporary folder of the run
    threads: int
    device: str = "cpu"  # or cuda
    large: bool = False  # also measurements that take minutes

    def program(self, name, *arguments):
        """Runs one of torchmill's programs and returns the seconds it took."""
        return self.run([RELEASE / name, "-q", *arguments])[0]

    def python(self, script, *arguments):
        """Runs one of the scripts in this folder and returns its output, as rows of a CSV."""
        environment = os.environ | {"OMP_NUM_THREADS": str(self.threads)}
        output = self.run([sys.executable, HERE / script, *arguments], environment)[1]
        return list(csv.reader(output.splitlines()))

    def timed_python(self, script, *arguments):
        """Runs one of the scripts in this folder and returns the seconds it took, including Python's start."""
        return self.run([sys.executable, HERE / script, *arguments], os.environ | {"OMP_NUM_THREADS": str(self.threads)})[0]

    def pytorch_steps(self, network, size, batch, steps, ways=None):
        """Seconds of a training step in PyTorch: {precision: {way: seconds}}."""
        options = ["--size", size, "--batch", batch, "--steps", steps, "--threads", self.threads, "--device", self.device]
        rows = self.python("step_pytorch.py", network, *options, *(["--ways", *ways] if ways else []))[1:]
        found = {}
        for way, seconds in rows:
            found.setdefault(way.split()[1], {})[f"PyTorch, {way}"] = float(seconds)
        return found

    @staticmethod
    def run(command, environment=None):
        """Seconds from start to end, and standard output. A command that fails ends the bench."""
        start = time.perf_counter()
        done = subprocess.run(list(map(str, command)), env=environment, stdout=subprocess.PIPE, text=True)
        seconds = time.perf_counter() - start
        if done.returncode:
            raise SystemExit(f"bench: {command[0]} failed, its message is above")
        return seconds, done.stdout

    def made(self, name, make):
        """The path of a file or folder in the run's folder, which make(path) makes the first time."""
        path = self.work / name
        if not path.exists():
            make(path)
        return path

    def emptied(self, name):
        """An unused path in the run's folder."""
        path = self.work / name
        shutil.rmtree(path, ignore_errors=True)
        return path

    def shards(self):
        """CIFAR-10, prepared with `--recipe article`."""
        return self.made("shards", lambda out: self.program("prep", self.data, "-o", out, "--recipe", "article"))

    def images(self):
        """The test set's 10,000 images as JPEG files, in a folder per class; all 60,000 with --large."""

        def write(folder):
            import numpy as np
            from PIL import Image

            batches = sorted(self.data.glob("*_batch*.bin")) if self.large else [self.data / "test_batch.bin"]
            records = np.concatenate([np.fromfile(batch, np.uint8).reshape(-1, 3073) for batch in batches])
            for index, record in enumerate(records):
                path = folder / f"class-{record[0]}" / f"{index:05}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(record[1:].reshape(3, 32, 32).transpose(1, 2, 0)).save(path, quality=90)

        return self.made("images", write)

    def train(self, *arguments, threads=None):
        """Runs `train` in a new folder, with the bench's device and threads; returns the rows of its metrics.csv."""
        run = self.emptied("run")
        self.program("train", "--run", run, "--device", self.device, "--threads", threads or self.threads, *arguments)
        return list(csv.DictReader(open(run / "metrics.csv", newline="")))

    def train_step(self, batch, *arguments):
        """Seconds of a training step of `train` with batches of this size, from the first step of an epoch to the
        last.
        """
        if self.device == "cpu":
            return step_seconds(self.train(*arguments, "--epochs", 1))
        # A GPU lags behind the loop that drives it, and the losses have the loop's times. An epoch ends when the GPU
        # has done it. The first one includes one-time work.
        rows = self.train(*arguments, "--epochs", 3)
        speeds = [float(row["value"]) for row in rows if row["tag"] == "x/images per second"]
        return batch / speeds[-1]


def processor():
    """The processor's name, with its bf16 instructions."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor() or platform.machine()
    text = cpuinfo.read_text()
    name = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    flags = re.search(r"^flags\s*: (.*)$", text, re.MULTILINE)
    known = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16", "avx512f": "AVX512", "avx2": "AVX2"}
    about = [label for flag, label in known.items() if flags and flag in flags[1].split()][:1]
    # In virtual machines, AMD's names do not say which generation it is. A core of Zen 5 multiplies twice as fast.
    family = re.search(r"^cpu family\s*: (\d+)$", text, re.MULTILINE)
    if "AuthenticAMD" in text and family and about == ["AVX512-BF16"]:
        about.insert(0, {"25": "Zen 4", "26": "Zen 5"}.get(family[1], f"family {family[1]}"))
    return f"{name[1] if name else platform.machine()}{' (' + ', '.join(about) + ')' if about else ''}"


def times(rows, tag):
    """The wall times of this tag's points, in seconds."""
    return [float(row["wall_time"]) for row in rows if row["tag"] == tag]


def step_seconds(rows, warm_up=1):
    """Seconds per training step on a CPU, from the end of the steps that warm up to the end of the last."""
    steps = times(rows, "train loss")[warm_up - 1 :]
    return (steps[-1] - steps[0]) / (len(steps) - 1)


# The memory that a new process shares with its parent before it starts its program counts too, so
# the parent must be small.
LAUNCHER = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""


def peak_resident(command):
    """Runs a command and returns its peak resident memory in MiB. The system measures it, so no peak is missed even if
    the command is short. Values below about 10 MiB cannot be measured.
    """
    launched = subprocess.run([sys.executable, "-c", LAUNCHER, *map(str, command)], stdout=subprocess.PIPE, text=True)
    if launched.returncode:
        raise SystemExit(f"bench: {command[0]} failed, its message is above")
    return int(launched.stdout) / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def peak_memory(command, environment=None):
    """Runs a command and returns the largest observed parts of its resident memory, in MiB.

    From /proc (Linux): `anonymous` memory is the process's own; `files` are mapped ones (libraries, shards), whose
    pages the system shares between processes and can drop; of these `shards` are the mapped shards.
    """
    parts = dict.fromkeys(["resident", "anonymous", "files", "shards"], 0.0)
    child = subprocess.Popen(list(map(str, command)), env=environment, stdout=subprocess.DEVNULL)
    while child.poll() is None:
        with contextlib.suppress(OSError, ProcessLookupError):
            status = pathlib.Path(f"/proc/{child.pid}/status").read_text()
            seen = {name: int(kib) / 1024 for name, kib in re.findall(r"^(\w+):\s+(\d+) kB", status, re.MULTILINE)}
            maps = pathlib.Path(f"/proc/{child.pid}/smaps").read_text()
            shards = re.findall(r"\.shard\nSize:.*\n(?:\w+PageSize:.*\n)*Rss:\s+(\d+) kB", maps)
            now = [seen.get(n, 0) for n in ("VmHWM", "RssAnon", "RssFile")] + [sum(map(int, shards)) / 1024]
            parts = {name: max(before, mib) for (name, before), mib in zip(parts.items(), now)}
        time.sleep(0.05)
    if child.returncode:
        raise SystemExit(f"bench: {command[0]} failed, its message is above")
    return parts
