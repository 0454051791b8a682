"""Writes a run that starts again from step 3, as PyTorch's SummaryWriter(purge_step=3) does, and prints the points
that TensorBoard keeps, a line each: step,tag,value.

Usage: purge.py RUN_FOLDER
"""

import logging
import sys
import time

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter


def add(writer, tag, step, value):
    summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
    writer.add_event(Event(wall_time=1000 + step, step=step, summary=summary))


folder = sys.argv[1]
writer = EventFileWriter(folder)
for step in range(6):
    add(writer, "loss", step, 10 + step)
    add(writer, "accuracy", step, step)
writer.close()
time.sleep(1.1)  # the file's name contains the second

writer = EventFileWriter(folder)
writer.add_event(Event(wall_time=2000, step=3, file_version="brain.Event:2"))
writer.add_event(Event(wall_time=2000, step=3, session_log=SessionLog(status=SessionLog.START)))
add(writer, "loss", 3, 99)
writer.close()

logging.disable(logging.WARNING)
events = EventAccumulator(folder).Reload()
points = [(e.step, tag, e.value) for tag in events.Tags()["scalars"] for e in events.Scalars(tag)]
for step, tag, value in sorted(points):
    print(f"{step},{tag},{value:g}")
