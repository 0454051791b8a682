#!/usr/bin/env python3
"""Draws the test accuracy of training runs against the time since their start.

Usage: plot_accuracy.py OUTPUT.png NAME=METRICS.csv ...

METRICS.csv is a run's metrics.csv, or any CSV with the columns wall_time (seconds), tag and value. A run starts with its
first row. Its points are the rows with the tag "test accuracy".
"""
import argparse
import csv
import pathlib

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

TAG = "test accuracy"
SIZE = (6.4, 3.6)  # inches
DPI = 100


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("runs", nargs="+", metavar="NAME=METRICS.csv")
    args = parser.parse_args()
    figure, axes = plt.subplots(figsize=SIZE, layout="constrained")
    for run in args.runs:
        name, _, path = run.partition("=")
        seconds, accuracy = points(path)
        axes.plot(seconds, accuracy, marker="o", label=name)
    axes.set_ylim(0, 100)
    axes.set_xlim(left=0)
    axes.set(xlabel="seconds", ylabel="accuracy on the test set, %")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    args.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.output, dpi=DPI)


def points(path):
    """Seconds since the first row, and the accuracy in per cent."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    start = float(rows[0]["wall_time"])
    found = [row for row in rows if row["tag"] == TAG]
    seconds = [float(row["wall_time"]) - start for row in found]
    accuracy = [100 * float(row["value"]) for row in found]
    return seconds, accuracy


if __name__ == "__main__":
    main()
