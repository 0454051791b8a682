#!/usr/bin/env python3
"""Makes the Parquet files in parquet/, for src/dataset/parquet/tests.rs: what Hugging Face's datasets and pyarrow write.

Run by hand, with the versions that the files come from:
    pip install datasets==5.2.0 pyarrow==26.0.1 pillow==12.3.0
    python parquet.py

huggingface.parquet has rows enough for several row groups. The images are PNG files of one pixel, whose colour tells
the row: (row, label, 7).
"""

import io
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Dataset, Features, Image, Value
from PIL import Image as PILImage

OUT = pathlib.Path(__file__).parent / "parquet"
CLASSES = ["cat", "dog", "owl"]


def png(row, label):
    """A PNG file of one pixel."""
    out = io.BytesIO()
    PILImage.new("RGB", (1, 1), (row, label, 7)).save(out, "PNG")
    return out.getvalue()


def labels(count):
    """The labels of this many rows."""
    return [row * 2 % 3 for row in range(count)]


def images(count):
    """The images of this many rows."""
    return [png(row, label) for row, label in enumerate(labels(count))]


def huggingface(name, count, features, rows, **options):
    """What Dataset.to_parquet writes."""
    Dataset.from_dict(rows, features=Features(features)).to_parquet(OUT / name, **options)


def table(name, columns, **options):
    """What pyarrow writes, without any description of the columns."""
    pq.write_table(pa.table(columns), OUT / name, **options)


def main():
    OUT.mkdir(exist_ok=True)
    structs = [{"bytes": image, "path": f"{row}.png"} for row, image in enumerate(images(150))]
    described = {"image": Image(), "id": Value("int64"), "label": ClassLabel(names=CLASSES)}
    huggingface("huggingface.parquet", 150, described, {"image": structs, "id": range(150), "label": labels(150)}, batch_size=100)
    two = {"img": Image(), "fine_label": ClassLabel(names=CLASSES), "coarse_label": ClassLabel(names=["all"])}
    huggingface("two_labels.parquet", 3, two, {"img": structs[:3], "fine_label": labels(3), "coarse_label": [0, 0, 0]})
    withheld = {"image": structs[:2], "id": range(2), "label": [0, -1]}
    huggingface("withheld.parquet", 2, described, withheld)
    names = [CLASSES[label] for label in labels(70)]
    table("plain.parquet", {"image": images(70), "label": pa.array(names).dictionary_encode()}, compression="zstd")
    table("gzip.parquet", {"image": images(3), "label": pa.array(labels(3), pa.int8())}, compression="gzip")
    table("beyond.parquet", {"image": images(2), "label": [0, 200_000]}, compression="none", data_page_version="2.0")
    table("nulls.parquet", {"image": [png(0, 0), None], "label": [0, 1]})
    table("no_label.parquet", {"image": [png(0, 0), png(1, 1)], "label": [0, None]})
    table("lists.parquet", {"image": [[png(0, 0)]], "label": [0]})
    table("other.parquet", {"text": ["a"], "stars": [5]})
    table("brotli.parquet", {"image": images(3), "label": labels(3)}, compression="brotli")


main()
