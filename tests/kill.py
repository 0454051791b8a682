#!/usr/bin/env python3
"""Kills the programs while they write, runs them again, and compares what is left.

Usage: tests/kill.py [--programs FOLDER] [--kills N] [--seed N] [--only CASE]

Each case is a command that writes files. It runs once undisturbed. Then copies of it are
killed with SIGKILL: half of them after a random time, half of them, where strace is
installed, at a random system call that changes the file system. After each kill the command
(or the one that resumes it) runs to its end. The files must then be those of the undisturbed
run, byte for byte except for times, and there must be no other files.
"""
import argparse
import collections
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

# System calls that change the file system, and those that make a change permanent.
SYSTEM_CALLS = [
    "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink",
    "unlinkat", "rmdir", "mkdir", "mkdirat", "ftruncate", "fsync", "fdatasync", "fallocate",
]
RECIPE = """
name = "small"
[model]
layer = [{ type = "Flatten" }, { type = "Linear" }]
[train]
epochs = 3
batch_size = 50
[train.optimizer]
type = "SGD"
lr = 0.05
momentum = 0.9
"""

Case = collections.namedtuple("Case", "name inputs command again")


def cases():
    """The cases: name, inputs, command, and the command to run after a kill."""
    def case(name, inputs, command, again=None):
        return Case(name, inputs.split(), command.split(), (again or command).split())

    yield case("fetch-data included", "", "fetch-data mnist-5k --root raw")
    yield case("fetch-data archive", "pets.tar", "fetch-data pets --from pets.tar --root raw")
    yield case("fetch-data folder", "pets", "fetch-data pets --from pets --root raw")
    yield case("fetch-data --force", "pets fetched",
               "fetch-data pets --from pets --root fetched --force")
    for form in ["shard", "safetensors", "npy", "tar", "csv", "jsonl"]:
        yield case(f"prep {form}", "digits",
                   f"prep digits -o out --limit 900 --shard-size 100KiB --format {form}")
    yield case("prep over other settings", "digits shards",
               "prep digits -o shards --limit 300 --transform Resize(20)|ToTensor")
    yield case("prep --skip-bad", "pets",
               "prep pets -o out --test-fraction 0.2 --skip-bad bad.tsv")
    yield case("prep --preview", "pets", "prep pets --preview sheet.png")
    train = "train --recipe small.toml --data shards --device cpu --threads 1 --run run"
    yield case("train", "shards small.toml", train, train + " --resume")
    often = train + " --save-every 5 --keep 1"
    yield case("train --save-every", "shards small.toml", often, often + " --resume")
    more = "train --resume run --epochs 6 --device cpu --threads 1"
    yield case("train --resume", "shards small.toml run", more)
    evaluate = "evaluate run --device cpu"
    yield case("evaluate --predictions", "shards small.toml run",
               evaluate + " --predictions predictions.csv")
    yield case("evaluate --html", "shards small.toml run", evaluate + " --html page.html")
    yield case("evaluate --samples", "shards small.toml run", evaluate + " --samples samples")
    for encoding in ["simple", "tensor", "double"]:
        yield case(f"scalars {encoding}", "run", f"scalars run --encoding {encoding}")
    yield case("scalars again", "run logs", "scalars run")
    yield case("scalars --html", "run", "scalars run --html page.html")


class Campaign:
    def __init__(self, programs, folder, seed):
        self.folder = pathlib.Path(folder)
        self.random = random.Random(seed)
        self.environment = dict(os.environ, OMP_NUM_THREADS="1", LC_ALL="C.UTF-8")
        self.environment["PATH"] = f"{programs}:{os.environ['PATH']}"
        self.strace = shutil.which("strace")
        self.inputs = self.folder / "inputs"
        self.inputs.mkdir()
        self.failures = 0
        self.killed = collections.Counter()
        self.missed = 0

    def run(self, command, folder):
        """Runs a command to its end; returns its exit status and its output."""
        done = subprocess.run(command, cwd=folder, env=self.environment, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        return done.returncode, done.stdout

    def must(self, command, folder):
        status, said = self.run(command.split(), folder)
        if status != 0:
            sys.exit(f"{command}: {status}\n{said}")

    def make_inputs(self):
        """Makes the inputs of the cases."""
        for kind in ["cat", "dog"]:
            (self.inputs / "pets" / kind).mkdir(parents=True)
            for i in range(60):
                pixels = self.random.randbytes(24 * 20 * 3)
                image = self.inputs / "pets" / kind / f"{i}.ppm"
                image.write_bytes(b"P6 24 20 255\n" + pixels)
        (self.inputs / "pets/cat/bad.ppm").write_bytes(b"P6 9 9 255\nshort")
        self.must("tar -cf pets.tar pets", self.inputs)
        self.must("fetch-data mnist-5k --root .", self.inputs)
        (self.inputs / "mnist-5k").rename(self.inputs / "digits")
        self.must("fetch-data pets --from pets --root fetched", self.inputs)
        self.must("prep digits -o shards --limit 1000 --transform ToTensor", self.inputs)
        (self.inputs / "small.toml").write_text(RECIPE)
        self.must("train --recipe small.toml --data shards --device cpu --threads 1 --run run",
                  self.inputs)
        self.must("scalars run", self.inputs)

    def start(self, case):
        """A folder with the case's inputs."""
        folder = self.folder / "work"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name in case.inputs:
            source, copy = self.inputs / name, folder / name
            if source.is_dir():
                shutil.copytree(source, copy, symlinks=True)
            else:
                shutil.copy2(source, copy)
        return folder

    def undisturbed(self, case):
        """The files of the undisturbed case, its duration, and its system calls."""
        folder = self.start(case)
        began = time.monotonic()
        status, said = self.run(case.command, folder)
        duration = time.monotonic() - began
        if status != 0:
            sys.exit(f"{case.name}: exit status {status}\n{said}")
        files = self.files(folder)
        calls = collections.Counter()
        if self.strace:
            folder = self.start(case)
            log = self.folder / "strace.log"
            trace = "trace=?" + ",?".join(SYSTEM_CALLS)
            self.run(["strace", "-f", "-qq", "-o", str(log), "-e", trace, *case.command], folder)
            threads = collections.Counter(re.findall(r"^(\d+) +(\w+)\(", log.read_text(), re.M))
            for (_, call), count in threads.items():
                calls[call] = max(calls[call], count)
        return files, duration, calls

    def files(self, folder):
        """The files below a folder, without what depends on the time."""
        files = {}
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            if path.is_symlink():
                files[name] = os.readlink(path)
            elif path.is_file():
                name = re.sub(r"events\.out\.tfevents\S*", "EVENTS", name)
                if name in files:
                    name += " (another)"
                files[name] = self.contents(path)
        return files

    def contents(self, path):
        if "tfevents" in path.name:
            return self.run(["scalars", "--dump", str(path)], path.parent)[1]
        if path.name in ["run.jsonl", ".lock"]:
            return ""
        data = path.read_bytes()
        if path.suffix == ".state":
            return without_times(data)
        if path.name == "metrics.csv":
            rows = [row.split(",") for row in data.decode().splitlines()]
            return [row[1:] for row in rows if row[3] != "x/images per second"]
        return data

    def kill_after(self, case, folder, duration):
        """Kills after a random time. Returns whether the command was still running."""
        child = subprocess.Popen(case.command, cwd=folder, env=self.environment,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(self.random.uniform(0, duration))
        was_running = child.poll() is None
        if was_running:
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        return was_running

    def kill_at(self, case, folder, calls):
        """Kills before a random system call. Returns whether there was such a call."""
        call = self.random.choice(sorted(calls))
        number = self.random.randint(1, calls[call])
        inject = f"inject={call}:signal=KILL:when={number}"
        done, _ = self.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}",
                            "-e", inject, *case.command], folder)
        return done != 0

    def trial(self, case, undisturbed, number):
        files, duration, calls = undisturbed
        folder = self.start(case)
        by_call = number % 2 == 1 and bool(calls)
        if by_call:
            killed = self.kill_at(case, folder, calls)
        else:
            killed = self.kill_after(case, folder, duration)
        if not killed:
            self.missed += 1
            return
        self.killed[case.name] += 1
        status, said = self.run(case.again, folder)
        left = self.files(folder)
        wrong = [name for name in files if left.get(name) != files[name]]
        extra = [name for name in left if name not in files]
        if status == 0 and not wrong and not extra:
            return
        how = "at a system call" if by_call else "after a random time"
        print(f"{case.name}: killed {how}, then exit status {status}; "
              f"differ: {some(wrong)}; left over: {some(extra)}\n{said[-500:]}", flush=True)
        self.failures += 1


def without_times(state):
    """A training state without its checksum and the length of metrics.csv, which holds times.

    The checksum is bytes 12 to 15. The length is a varint of at most 9 bytes before the last
    8, which are the learning rate.
    """
    return state[:12] + state[16:-17] + state[-8:]


def some(names):
    """The first names of a list, and the number of the others."""
    if not names:
        return "none"
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", default="target/release", type=pathlib.Path)
    parser.add_argument("--kills", default=500, type=int)
    parser.add_argument("--seed", default=0, type=int)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    options = parser.parse_args()
    chosen = [case for case in cases() if options.only in case.name]
    with tempfile.TemporaryDirectory(prefix="torchmill-kill-") as folder:
        campaign = Campaign(options.programs.resolve(), folder, options.seed)
        if not campaign.strace:
            print("strace is not installed: the programs are killed at random times only")
        campaign.make_inputs()
        for i, case in enumerate(chosen):
            count = options.kills * (i + 1) // len(chosen) - options.kills * i // len(chosen)
            undisturbed = campaign.undisturbed(case)
            for number in range(count):
                campaign.trial(case, undisturbed, number)
            print(f"{case.name}: {campaign.killed[case.name]} kills of {count}", flush=True)
        print(f"{campaign.killed.total()} kills, {campaign.failures} failures; "
              f"{campaign.missed} times the command ended before it was killed")
        sys.exit(campaign.failures > 0)


main()
