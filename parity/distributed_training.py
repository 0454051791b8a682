"""50 steps of training on several processes: ours against DistributedDataParallel, both under torchrun; a `train` and
a Python process together against two `train`s; and ours under other launchers.

The perceptron has only linear layers. On AMD's processors torchmill multiplies them with oneDNN, which differs from
PyTorch's MKL by rounding. On other processors both sides use the same operators of libtorch, and the weights are equal
bit for bit. The article's bounds are those of the training on one process. ResNet-18's weights have a wide bound: the
biases of batch norm start at 0, and if rounding decides on which side of ReLU's 0 a value is, their first gradients
change by several per cent. PyTorch without oneDNN differs more from PyTorch in float64.
"""
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import torch
from harness import RELEASE
from safetensors.torch import load_file
from sandbox import ROOT, Stopped, curves, relative, state_difference, within

STEPS = 50
EPOCHS = 2  # of STEPS / EPOCHS steps each, for the comparisons that also evaluate
RESNET18 = ["article", "--architecture", "resnet18", "--set", "model.stem=cifar"]
SIZES = (2, 3)
PERCEPTRON = """
name = "perceptron"
[transforms]
train = "ToTensor"
test = "ToTensor"
[model]
layer = ["Flatten", "Linear(out_features=64)", "Tanh", "Linear"]
[train]
batch_size = 64
[train.optimizer]
type = "SGD"
lr = 0.01
"""


def compare(sandbox):
    recipe = sandbox.work / "perceptron.toml"
    recipe.write_text(PERCEPTRON)
    networks = {  # the recipe and its arguments, the bounds of the losses and of the weights
        "perceptron": ([recipe], 1e-6, 1e-6),
        "article": (["article"], 1e-4, 2e-3),
        "resnet18": ([*RESNET18, "--batch-size", 16, "--lr", 0.0001], 1e-3, 2e-1),
    }
    for name, (recipe, loss_bound, weight_bound) in networks.items():
        for size in SIZES:
            yield from against_pytorch(sandbox, name, recipe, size, loss_bound, weight_bound)
        yield from mixed(sandbox, name, recipe, loss_bound, weight_bound)
    yield from launchers(sandbox)
    yield from restarted(sandbox)


def against_pytorch(sandbox, name, recipe, size, loss_bound, weight_bound):
    run = f"{name}-{size}"
    arguments = ["--recipe", *recipe, "--data", sandbox.shards(), "--seed", 0, "--steps", STEPS]
    checkpoint, ours = sandbox.train_together(run, size, *arguments)
    theirs = torch.load(sandbox.made(f"{run}.pt", lambda out: reference(sandbox, name, size, out)))
    losses = relative(ours["train loss"], theirs["losses"])
    yield within(f"{name}, {size} processes: mean loss of each of {STEPS} steps", losses, loss_bound, " of it")
    difference = state_difference(load_file(checkpoint), theirs["state"])
    what = f"{name}, {size} processes: weights and buffers after the last step"
    yield within(what, difference, weight_bound, " of largest")


def reference(sandbox, name, size, out):
    """Runs distributed_pytorch.py, which writes its losses and its state dict to `out`."""
    data = sandbox.made("pictures.pt", lambda out: save_pictures(sandbox, out))
    script = ROOT / "parity" / "distributed_pytorch.py"
    sandbox.torchrun(size, [script, name, data, out, STEPS])


def save_pictures(sandbox, out):
    splits = {split: sandbox.pictures(split) for split in ("train", "test")}
    torch.save({split: {"images": p.images, "labels": p.labels} for split, p in splits.items()}, out)


def mixed(sandbox, name, recipe, loss_bound, weight_bound):
    """`train` and a Python process with DistributedDataParallel train together as two `train`s do."""
    arguments = ["--recipe", *recipe, "--data", sandbox.shards(), "--seed", 0, "--epochs", EPOCHS]
    arguments += ["--limit-batches", STEPS // EPOCHS]
    checkpoint, expected = sandbox.train_together(f"{name}-unmixed", 2, *arguments)
    expected_state = load_file(checkpoint)
    checkpoint, found, python = train_mixed(sandbox, name, arguments)
    what = f"{name}, train and Python as two trains"
    for tag, each in (("train loss", f"mean loss of each of {STEPS} steps"), ("test loss", f"{EPOCHS} test losses")):
        yield within(f"{what}: {each}", relative(found[tag], expected[tag]), loss_bound, " of it")
    state = load_file(checkpoint)
    yield within(f"{what}: weights and buffers", state_difference(state, expected_state), weight_bound, " of largest")
    yield within(f"{name}, train and Python: weights of one and of the other", state_difference(python, state), 0)


def train_mixed(sandbox, name, arguments):
    """Starts `train` as rank 0 and mixed_rank.py as rank 1. Returns train's last checkpoint and metrics, and the
    state dict of the other."""
    folder, out = sandbox.work / f"{name}-mixed", sandbox.work / f"{name}-mixed.pt"
    version = sandbox.program("train", "--version").split()[2].rstrip(",")
    data = sandbox.made("pictures.pt", lambda out: save_pictures(sandbox, out))
    options = ["--run", folder, "--device", "cpu", "--threads", 1, "--timeout", "60s", "-q"]
    script = ROOT / "parity" / "mixed_rank.py"
    commands = [
        [RELEASE / "train", *options, *arguments],
        [sys.executable, script, name, data, out, EPOCHS, STEPS // EPOCHS, version],
    ]
    said = run_ranks(commands)
    return said[0].strip(), curves(folder), torch.load(out)


def run_ranks(commands):
    """Runs a command for each rank, and returns their outputs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    environment["WORLD_SIZE"] = str(len(commands))
    ranks = []
    for rank, command in enumerate(commands):
        rank_environment = environment | {"RANK": str(rank)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        ranks.append(subprocess.Popen([str(part) for part in command], env=rank_environment, **pipes))
    outputs = [rank.communicate() for rank in ranks]
    if any(rank.returncode for rank in ranks):
        raise Stopped("; ".join(f"rank {rank}: {errors.strip()[-2000:]}" for rank, (_, errors) in enumerate(outputs)))
    return [said for said, _ in outputs]


def launchers(sandbox):
    """Two processes under mpirun or srun give the same bytes as two under torchrun."""
    arguments = ["--recipe", "article", "--data", sandbox.shards(), "--seed", 0, "--steps", STEPS]
    expected, _ = sandbox.train_together("torchrun", 2, *arguments)
    commands = {
        "mpirun": ["mpirun", "--oversubscribe", *(["--allow-run-as-root"] if os.geteuid() == 0 else []), "-n", "2"],
        "srun": ["srun", "--ntasks=2"],
    }
    for name, command in commands.items():
        if not is_usable(name):
            print(f"training on several processes: {name} is not here, so it is not compared", file=sys.stderr)
            continue
        folder = sandbox.work / name
        shutil.rmtree(folder, ignore_errors=True)
        command += [RELEASE / "train", "--run", folder, "--device", "cpu", "--threads", "1", "-q", *arguments]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run([str(part) for part in command], env=environment, capture_output=True, text=True)
        if done.returncode:
            raise Stopped(f"{name}: {done.stderr.strip()[-2000:]}")
        difference = state_difference(load_file(done.stdout.strip()), load_file(expected))
        yield within(f"article, 2 processes: weights under {name} and under torchrun", difference, 0)


def is_usable(launcher):
    """Whether the launcher is installed; for Slurm, also whether its controller answers."""
    if shutil.which(launcher) is None:
        return False
    if launcher != "srun":
        return True
    ping = subprocess.run(["sinfo", "--noheader"], capture_output=True, text=True)
    return ping.returncode == 0 and bool(ping.stdout.strip())


def restarted(sandbox):
    """One of two processes is killed, torchrun starts both again, and they continue from the last checkpoint."""
    arguments = ["--recipe", "article", "--data", sandbox.shards(), "--seed", 0, "--epochs", 6, "--limit-batches", 60]
    expected, _ = sandbox.train_together("undisturbed", 2, *arguments)
    folder = sandbox.work / "restarted"
    shutil.rmtree(folder, ignore_errors=True)
    command = [RELEASE / "train", "--run", folder, "--device", "cpu", "--threads", 1, "-q", *arguments]
    with sandbox.start_torchrun(2, command, "--max-restarts=2") as torchrun:
        wait_for(folder / "checkpoints" / "epoch-0002.safetensors", torchrun)
        os.kill(trainings(folder)[-1], signal.SIGKILL)
        said, errors = torchrun.communicate()
    if torchrun.returncode:
        raise Stopped(f"torchrun --max-restarts: {errors.strip()[-2000:]}")
    difference = state_difference(load_file(said.strip()), load_file(expected))
    yield within("article, 2 processes: weights with and without a process killed and restarted", difference, 0)


def wait_for(path, process):
    while not path.exists():
        if process.poll() is not None:
            raise Stopped(f"torchrun ended before it wrote {path}: {process.communicate()[1].strip()[-2000:]}")
        time.sleep(0.05)


def trainings(folder):
    """The process IDs of all `train`s in a run's folder."""
    found = subprocess.run(["pgrep", "-f", f"^{RELEASE / 'train'} .*{folder} "], capture_output=True, text=True)
    return [int(number) for number in found.stdout.split()]
