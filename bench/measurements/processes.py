"""Data-parallel training on the CPU: a step of ResNet-18 on one process, and on two that share the
machine, against DistributedDataParallel. Each process has one thread and its own batch, so the
extra time of two processes is the cost of averaging the gradients and sharing the machine."""
import csv
import os
import socket
import subprocess

from harness import HERE, RELEASE, step_seconds

UNIT = "s"
STEPS = 20
BATCH = 32
SIZES = [1, 2]


def ours(bench):
    def prepare(out):
        bench.program("prep", bench.data, "-o", out, "--recipe", "article", "--limit", STEPS * BATCH * max(SIZES))

    shards = bench.made("processes-shards", prepare)
    return {figure(size): together(bench, shards, size) for size in SIZES}


def together(bench, shards, size):
    """Seconds per step of `size` processes that find each other through environment variables."""
    run = bench.emptied("run")
    command = [RELEASE / "train", "-q", "--recipe", HERE / "resnet18.toml", "--data", shards, "--run", run, "--batch-size", BATCH]
    command += ["--steps", STEPS, "--device", bench.device, "--threads", 1, "--precision", "fp32", "--limit-batches", 1]
    processes = []
    port = free_port()
    for rank in range(size):
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        if size > 1:
            environment |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
            environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        processes.append(subprocess.Popen(list(map(str, command)), env=environment, stdout=subprocess.DEVNULL))
    if any([process.wait() for process in processes]):
        raise SystemExit("bench: train failed on several processes, its message is above")
    return step_seconds(list(csv.DictReader(open(run / "metrics.csv", newline=""))))


def theirs(bench):
    options = ["--steps", STEPS, "--batch", BATCH, "--device", bench.device]
    seconds = {}
    for size in SIZES:
        rows = bench.python("processes_pytorch.py", "--size", size, "--port", free_port(), *options)
        seconds[figure(size)] = {"PyTorch, DistributedDataParallel": float(rows[0][0])}
    return seconds


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def figure(size):
    return f"resnet18, fp32, a step of {BATCH} on each of {size} process{'es' if size > 1 else ''} of 1 thread"
