"""Training on a busy machine: 60 steps of the article with an evaluation while one process
per core spins, against the article's network in PyTorch under the same load."""
import contextlib
import subprocess
import sys

from harness import step_seconds

UNIT = "s"
STEPS = 60
FIGURE = "article, fp32, a step beside a busy process a core"


@contextlib.contextmanager
def busy(bench):
    spin = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(spin) for _ in range(bench.threads)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def ours(bench):
    recipe = ["--recipe", "article", "--data", bench.shards(), "--steps", STEPS, "--precision", "fp32"]
    with busy(bench):
        return {FIGURE: step_seconds(bench.train(*recipe, "--eval-every", 99, "--limit-batches", STEPS))}


def theirs(bench):
    with busy(bench):
        ways = bench.pytorch_steps("article", size=32, batch=64, steps=STEPS, ways=["eager fp32"])
    return {FIGURE: ways["fp32"]}
