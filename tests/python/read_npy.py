"""Reads `prep --format npy -o -` as a user's script would, and compares it with the raw images.

Usage: prep ... --split test --format npy -o - | read_npy.py RAW_MNIST_FOLDER
"""
import gzip, pathlib, sys
from types import SimpleNamespace

import numpy as np

raw = pathlib.Path(sys.argv[1])
(path,) = [p for p in raw.rglob("*") if p.name.startswith(("t10k", "test")) and "images" in p.name]
data = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
expected = np.frombuffer(data, np.uint8, offset=16).reshape(-1, 1, 28, 28)

# numpy wants a file that it can seek in; given only a read method, it reads a pipe.
pipe = SimpleNamespace(read=sys.stdin.buffer.read)
images = np.lib.format.read_array(pipe)
labels = np.lib.format.read_array(pipe)
assert images.dtype == np.uint8 and np.array_equal(images, expected), (images.dtype, images.shape)
assert labels.shape == (len(images),) and set(labels.tolist()) == set(range(10)), labels
print(images.shape, labels.shape)
