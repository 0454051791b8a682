"""Writes the points for comparing writers of TensorBoard's event files, as a CSV or with a Python writer.

Usage: scalars.py csv POINTS FILE                          writes them as train writes metrics.csv
       scalars.py torch|tensorboardX POINTS LOGDIR         writes them as events, and prints the seconds

The Python writers get numbers in memory, with one add_scalar per point, as in training scripts, and are timed
until their file is closed. The time to import them and to make the numbers is not counted.
"""

import csv
import sys
import time


def points(count):
    """Two alternating tags, as a training loop with two losses logs them."""
    for i in range(count):
        yield 1_700_000_000.25 + i * 0.125, i // 2, ("train loss", "test loss")[i % 2], 2.5 / (1 + i * 1e-3)


def write_csv(count, path):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["wall_time", "step", "epoch", "tag", "value"])
        writer.writerows((t, step, 1, tag, value) for t, step, tag, value in points(count))


def time_writer(name, count, logdir):
    if name == "torch":
        from torch.utils.tensorboard import SummaryWriter
    else:
        from tensorboardX import SummaryWriter
    data = list(points(count))
    start = time.perf_counter()
    writer = SummaryWriter(logdir)
    for wall_time, step, tag, value in data:
        writer.add_scalar(tag, value, step, walltime=wall_time)
    writer.close()
    return time.perf_counter() - start


if __name__ == "__main__":
    what, count, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    if what == "csv":
        write_csv(count, path)
    else:
        print(f"{time_writer(what, count, path):.3f}")
