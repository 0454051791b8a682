"""How fast points become TensorBoard event files: `scalars` against torch.utils.tensorboard and tensorboardX.

Usage: python bench/scalars.py [--points 1000000] [--scalars target/release/scalars]

All three write the same points, in the same run, on the same machine: `scalars` from a metrics.csv (which it has
to parse), the others from numbers in memory, one add_scalar a point, as training scripts do; each is timed until
its file is closed. A writer that is not installed is left out, and named. The peak memory of `scalars` is
measured for a tenth of the points too: it must not grow with them. Processor time is there for machines that are
busy with other things. Prints CSV.
"""

import argparse
import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time


def points(count):
    """Two tags in turn, as a training loop with two losses logs them."""
    for i in range(count):
        yield 1_700_000_000.25 + i * 0.125, i // 2, ("train loss", "test loss")[i % 2], 2.5 / (1 + i * 1e-3)


def write_csv(path, count):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["wall_time", "step", "epoch", "tag", "value"])
        writer.writerows((t, step, 1, tag, value) for t, step, tag, value in points(count))


def run_scalars(program, path, logdir):
    """Seconds, seconds of processor time, and the peak of resident memory in MiB."""
    start = time.perf_counter()
    child = subprocess.Popen([program, "-q", path, "--logdir", logdir])
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    if status != 0:
        raise SystemExit(f"{program} failed")
    cpu = usage.ru_utime + usage.ru_stime
    return seconds, cpu, usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def run_writer(make, count, logdir):
    data = list(points(count))
    start, cpu = time.perf_counter(), time.process_time()
    writer = make(logdir)
    for wall_time, step, tag, value in data:
        writer.add_scalar(tag, value, step, walltime=wall_time)
    writer.close()
    return time.perf_counter() - start, time.process_time() - cpu


def python_writers():
    try:
        from torch.utils.tensorboard import SummaryWriter

        yield "torch.utils.tensorboard", SummaryWriter
    except ImportError as error:
        print(f"torch.utils.tensorboard left out: {error}", file=sys.stderr)
    try:
        import tensorboardX

        yield "tensorboardX", tensorboardX.SummaryWriter
    except ImportError as error:
        print(f"tensorboardX left out: {error}", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--scalars", default="target/release/scalars")
    arguments = parser.parse_args()
    folder = tempfile.mkdtemp()
    try:
        report(arguments, folder)
    finally:
        shutil.rmtree(folder)


def report(arguments, folder):
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["writer", "points", "seconds", "cpu_seconds", "times_scalars", "times_scalars_cpu", "peak_mib"])
    fastest = None
    for count in [arguments.points // 10, arguments.points]:
        path = os.path.join(folder, f"{count}.csv")
        write_csv(path, count)
        runs = [run_scalars(arguments.scalars, path, os.path.join(folder, f"{count}-{i}")) for i in range(3)]
        fastest, least, peak = min(runs)
        out.writerow(["scalars", count, f"{fastest:.3f}", f"{least:.3f}", 1, 1, f"{peak:.1f}"])
        sys.stdout.flush()
    for name, make in python_writers():
        seconds, cpu = run_writer(make, arguments.points, os.path.join(folder, re.sub(r"\W", "_", name)))
        times, times_cpu = f"{seconds / fastest:.1f}", f"{cpu / least:.1f}"
        out.writerow([name, arguments.points, f"{seconds:.3f}", f"{cpu:.3f}", times, times_cpu, ""])
        sys.stdout.flush()


if __name__ == "__main__":
    main()
