"""100,000 points to TensorBoard's event files, against torch.utils.tensorboard's SummaryWriter and tensorboardX."""
from harness import RELEASE

import scalars as writers

UNIT = "s"
POINTS = 100_000


def ours(bench):
    table = bench.made("points.csv", lambda path: writers.write_csv(path, POINTS))
    seconds, *_ = writers.run_scalars(RELEASE / "scalars", table, bench.emptied("events"))
    return {f"scalars, against {name}": seconds for name, _ in writers.python_writers()}


def theirs(bench):
    return {
        f"scalars, against {name}": writers.run_writer(make, POINTS, str(bench.emptied("their-events")))[0]
        for name, make in writers.python_writers()
    }
