"""Reads event files of `scalars` with TensorBoard's own readers, and compares them with the CSV they came from.

Usage: interop.py metrics.csv RUN_FOLDER ENCODING

The readers: EventAccumulator (what scripts use), the loader behind `tensorboard --load_fast=false`, and
`tensorboard --inspect`. Every point must be there once, in order, with the exact step and wall time, and with the
CSV's value or, where the file stores float32, the nearest float32.
"""

import csv
import math
import subprocess
import sys

import numpy as np
from tensorboard.backend.event_processing import plugin_event_accumulator
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

EVERYTHING = {"scalars": 0, "tensors": 0}


def expected(path, encoding):
    curves = {}
    for row in csv.DictReader(open(path, newline="")):
        value = float(row["value"])
        if encoding != "double":
            with np.errstate(over="ignore"):
                value = float(np.float32(value))
        point = (float(row["wall_time"]), int(row["step"]), value)
        curves.setdefault(row["tag"], []).append(point)
    return curves


def check(what, got, want):
    assert sorted(got) == sorted(want), f"{what}: tags {sorted(got)}, not {sorted(want)}"
    for tag in want:
        assert len(got[tag]) == len(want[tag]), f"{what}: {len(got[tag])} points of {tag}, not {len(want[tag])}"
        for g, w in zip(got[tag], want[tag]):
            same = g[:2] == w[:2] and (g[2] == w[2] or math.isnan(g[2]) and math.isnan(w[2]))
            assert same, f"{what}: {tag}: {g}, not {w}"
    print(f"{what}: {sum(map(len, want.values()))} points of {len(want)} tags, exactly")


def main(path, folder, encoding):
    want = expected(path, encoding)

    reader = EventAccumulator(folder, size_guidance=EVERYTHING).Reload()
    if encoding == "simple":
        got = {t: [(e.wall_time, e.step, e.value) for e in reader.Scalars(t)] for t in reader.Tags()["scalars"]}
    else:
        tags = [t for t in reader.Tags()["tensors"] if not t.startswith("_hparams_")]
        number = lambda e: float(tensor_util.make_ndarray(e.tensor_proto))
        got = {t: [(e.wall_time, e.step, number(e)) for e in reader.Tensors(t)] for t in tags}
    check("EventAccumulator", got, want)
    assert reader.FirstEventTimestamp() == min(p[0] for points in want.values() for p in points[:1])
    for tag in want:
        assert reader.SummaryMetadata(tag).plugin_data.plugin_name == "scalars", tag

    reader = plugin_event_accumulator.EventAccumulator(folder, tensor_size_guidance={"scalars": 0}).Reload()
    tags = reader.PluginTagToContent("scalars")
    number = lambda e: float(tensor_util.make_ndarray(e.tensor_proto))
    got = {t: [(e.wall_time, e.step, number(e)) for e in reader.Tensors(t)] for t in tags}
    check("plugin_event_accumulator", got, want)

    inspect = [sys.executable, "-m", "tensorboard.main", "--inspect", "--logdir", folder]
    text = subprocess.run(inspect, capture_output=True, text=True, check=True).stdout
    for tag in want:
        assert tag in text, f"tensorboard --inspect does not name {tag}:\n{text}"
    print("tensorboard --inspect names every tag")


if __name__ == "__main__":
    main(*sys.argv[1:])
