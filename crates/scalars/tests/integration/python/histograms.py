"""Prints the histograms that TensorBoard's own reader finds in a folder: `tag step num sum`, one per line.

Usage: histograms.py LOGDIR
"""

import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

events = EventAccumulator(sys.argv[1], size_guidance={"histograms": 0}).Reload()
for tag in sorted(events.Tags()["histograms"]):
    for event in events.Histograms(tag):
        value = event.histogram_value
        assert len(value.bucket) == len(value.bucket_limit) and sum(value.bucket) == value.num
        assert value.bucket_limit[-1] == value.max
        print(tag, event.step, int(value.num), value.sum)
