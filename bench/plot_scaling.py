#!/usr/bin/env python3
"""Draws the results of `run.py --only scaling` (or of a whole bench) as PNG files.

Usage: plot_scaling.py results.csv FOLDER

Writes scaling-images.png, scaling-threads.png and scaling-batch-size.png to FOLDER.
"""
import argparse
import csv
import pathlib
import re

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

SIZE = (6.4, 3.6)  # inches
DPI = 100


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    args = parser.parse_args()
    with open(args.results, newline="") as file:
        rows = list(csv.DictReader(file))
    args.folder.mkdir(parents=True, exist_ok=True)
    processor = rows[0]["processor"]

    cost = curves(rows, r"(\w+), an image of ([\d,]+)")
    draw(args.folder / "scaling-images.png", cost, "images", "microseconds per image", processor, log=True)

    threads = curves(rows, r"article, (\w+), an image on (\d+) threads?")
    draw(args.folder / "scaling-threads.png", rates(threads), "threads", "images per second", processor)

    sizes = curves(rows, r"article, (\w+), an image in batches of ([\d,]+)")
    draw(args.folder / "scaling-batch-size.png", rates(sizes), "batch size", "images per second", processor, log=True)


def curves(rows, pattern):
    """{name: [(x, microseconds per image)]} of the figures whose names match: a name, then x."""
    found = {}
    for row in rows:
        if match := re.fullmatch(pattern, row["figure"]):
            point = (int(match[2].replace(",", "")), float(row["torchmill"]))
            found.setdefault(match[1], []).append(point)
    return found


def rates(curves):
    """Images per second instead of microseconds per image."""
    return {name: [(x, 1e6 / microseconds) for x, microseconds in points] for name, points in curves.items()}


def draw(path, curves, x_label, y_label, processor, log=False):
    figure, axes = plt.subplots(figsize=SIZE, layout="constrained")
    ticks = sorted({x for points in curves.values() for x, _ in points})
    for name, points in curves.items():
        axes.plot(*zip(*sorted(points)), marker="o", label=name)
    if log:
        axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{x:,}" for x in ticks])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set(xlabel=x_label, ylabel=y_label, title=processor)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=DPI)
    plt.close(figure)


if __name__ == "__main__":
    main()
