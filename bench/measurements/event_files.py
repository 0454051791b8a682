"""A million points to TensorBoard's event files, against torch.utils.tensorboard's SummaryWriter and tensorboardX."""
import os
import subprocess
import sys
import time

from harness import RELEASE

UNIT = "s"
# The writers that `scalars` is compared with, and how many points each writes.
WRITERS = {"scalars, against SummaryWriter": "torch", "scalars, against tensorboardX": "tensorboardX"}
POINTS = 1_000_000


def ours(bench):
    """Converts a CSV, including the time to parse it. Memory must not grow with the number of points."""
    seconds, peaks = 0.0, []
    for count in [POINTS // 10, POINTS]:
        table = bench.made(f"{count}.csv", lambda path: bench.python("scalars.py", "csv", count, path))
        start = time.perf_counter()
        child = subprocess.Popen([RELEASE / "scalars", "-q", table, "--logdir", bench.emptied("logs")])
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        if status:
            raise SystemExit("bench: scalars failed, its message is above")
        peaks.append(usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10))
    print(f"scalars: at most {peaks[0]:.1f} MiB for {POINTS // 10:,} points, {peaks[1]:.1f} MiB for {POINTS:,}",
          file=sys.stderr)
    return dict.fromkeys(WRITERS, seconds)


def theirs(bench):
    def seconds(writer):
        return float(bench.python("scalars.py", writer, POINTS, bench.emptied("logs"))[-1][0])

    return {figure: seconds(writer) for figure, writer in WRITERS.items()}
