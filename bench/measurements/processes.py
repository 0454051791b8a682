"""Data parallel training on the CPU, against DistributedDataParallel: a step of ResNet-18 by one process, by two that are
not connected, and by two that average their gradients. Each process has one thread and its own batch. The difference
between connected and unconnected processes is what the averaging costs, waiting included; that between one process and
two unconnected ones is what sharing the machine costs. `allreduce` is the averaging alone.
"""
import csv
import os
import socket
import subprocess

from harness import HERE, RELEASE, step_seconds

UNIT = "s"
STEPS = 20
BATCH = 32
WAYS = {
    "alone": "by one process",
    "apart": "by each of two processes that are not connected",
    "together": "by each of two connected processes",
}
ELEMENTS = 11_250_000  # 45 MB, ResNet-18's gradients
ROUNDS = 30
ALLREDUCE = "allreduce of 45 MB between two processes"


def ours(bench):
    def prepare(out):
        bench.program("prep", bench.data, "-o", out, "--recipe", "article", "--limit", STEPS * BATCH * 2)

    shards = bench.made("processes-shards", prepare)
    seconds = {figure(way): training(bench, shards, way) for way in WAYS}
    return seconds | {ALLREDUCE: allreduce()}


def training(bench, shards, way):
    """Seconds per step of the first process."""
    runs = [bench.emptied(f"run-{rank}") for rank in range(1 if way == "alone" else 2)]
    command = [RELEASE / "train", "-q", "--recipe", HERE / "resnet18.toml", "--data", shards, "--batch-size", BATCH]
    command += ["--steps", STEPS, "--device", bench.device, "--threads", 1, "--precision", "fp32"]
    command += ["--set", "train.limit_eval_batches=1"]
    if way == "together":
        started = start([[*command, "--run", runs[0]]] * 2, connected=True)
    else:
        started = start([[*command, "--run", run] for run in runs], connected=False)
    finish(started)
    return step_seconds(list(csv.DictReader(open(runs[0] / "metrics.csv", newline=""))))


def allreduce():
    """Median seconds of a round between two of our processes."""
    build = [HERE.parent / "scripts/build", "--quiet", "-p", "torchmill-nn", "--example", "allreduce"]
    subprocess.run(build, check=True)
    return float(finish(start([[RELEASE / "examples/allreduce", ELEMENTS, ROUNDS]] * 2, connected=True)))


def start(commands, connected):
    """Starts the processes, one for each command; connected ones find each other through their environment."""
    port = free_port()
    started = []
    for rank, command in enumerate(commands):
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        if connected:
            environment |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(len(commands))}
            environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        command = list(map(str, command))
        started.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    return started


def finish(started):
    """Waits for the processes and returns what the first one printed."""
    outputs = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise SystemExit("bench: one of several processes failed, its message is above")
    return outputs[0]


def theirs(bench):
    options = ["--steps", STEPS, "--batch", BATCH, "--device", bench.device]
    seconds = {}
    for way in WAYS:
        rows = bench.python("processes_pytorch.py", "--way", way, "--port", free_port(), *options)
        seconds[figure(way)] = {"PyTorch, DistributedDataParallel": float(rows[0][0])}
    options = ["--elements", ELEMENTS, "--rounds", ROUNDS, "--port", free_port()]
    rows = bench.python("allreduce_pytorch.py", *options)
    return seconds | {ALLREDUCE: {"torch.distributed": float(rows[0][0])}}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def figure(way):
    return f"resnet18, fp32, a step of {BATCH} {WAYS[way]} of 1 thread"
