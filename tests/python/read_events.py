"""Compares a folder of event files, read with TensorBoard's own reader, with the metrics.csv they were made from.

Usage: read_events.py METRICS.csv LOGDIR
"""
import csv, struct, sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

metrics, logdir = sys.argv[1:]
accumulator = EventAccumulator(logdir, size_guidance={"scalars": 0, "tensors": 0})
accumulator.Reload()
tags = accumulator.Tags()


def points(tag):
    if tag in tags["scalars"]:
        return [(e.wall_time, e.step, e.value) for e in accumulator.Scalars(tag)]
    return [(e.wall_time, e.step, e.tensor_proto.float_val[0]) for e in accumulator.Tensors(tag)]


expected = {}
for row in csv.DictReader(open(metrics, newline="")):
    # Event files hold float32.
    value = struct.unpack("f", struct.pack("f", float(row["value"])))[0]
    expected.setdefault(row["tag"], []).append((float(row["wall_time"]), int(row["step"]), value))
assert expected, "no metrics"
# The run's settings, for the HPARAMS page, are not points.
found = {tag: points(tag) for tag in tags["scalars"] + tags["tensors"] if not tag.startswith("_hparams_/")}
assert found.keys() == expected.keys(), (sorted(found), sorted(expected))
for tag in expected:
    assert found[tag] == expected[tag], f"{tag}: {found[tag][:3]} ..., expected {expected[tag][:3]} ..."
print(", ".join(f"{tag}: {len(p)}" for tag, p in sorted(found.items())))
