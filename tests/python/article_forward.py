"""The article's network in numpy: checks that a checkpoint's tensors have the meaning of their PyTorch names.

Usage: article_forward.py CHECKPOINT.safetensors RAW_MNIST_FOLDER PREDICTIONS.csv

Written from the definitions of torch.nn's layers, independently of torchmill. Reads the checkpoint with the
safetensors package and the images with numpy, and compares every probability with those of `evaluate`.
"""
import csv, gzip, pathlib, sys

import numpy as np
from safetensors.numpy import load_file

checkpoint, raw, predictions = map(pathlib.Path, sys.argv[1:])


def idx(kind):
    (path,) = [p for p in raw.rglob("*") if p.name.startswith(("t10k", "test")) and kind in p.name]
    data = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
    shape = np.frombuffer(data, ">u4", count=data[3], offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)


def conv2d(x, weight, bias, padding):
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, weight, optimize=True) + bias[:, None, None]


def max_pool2d(x, k):
    n, c, h, w = x.shape
    return x[:, :, : h // k * k, : w // k * k].reshape(n, c, h // k, k, w // k, k).max(axis=(3, 5))


tensors = load_file(checkpoint)
shapes = {
    "module1.0": (32, 1, 5, 5), "module1.2": (32, 32, 5, 5), "module1.4": (64, 32, 5, 5),
    "module1.7": (64, 576), "module1.8": (10, 64),
}
expected = {f"{name}.weight": shape for name, shape in shapes.items()}
expected |= {f"{name}.bias": shape[:1] for name, shape in shapes.items()}
assert {name: t.shape for name, t in tensors.items()} == expected, {n: t.shape for n, t in tensors.items()}
assert all(t.dtype == np.float32 for t in tensors.values())

layer = lambda name: (tensors[f"{name}.weight"], tensors[f"{name}.bias"])
images, labels = idx("images"), idx("labels")
logits = []
for start in range(0, len(images), 100):  # 100 images at a time, to limit memory
    x = images[start : start + 100, None].astype(np.float32) / 255
    for name in ["module1.0", "module1.2", "module1.4"]:
        x = max_pool2d(conv2d(x, *layer(name), padding=2), 2)
    x = x.reshape(len(x), -1)
    for name in ["module1.7", "module1.8"]:
        weight, bias = layer(name)
        x = x @ weight.T + bias
    logits.append(x)
logits = np.concatenate(logits).astype(np.float64)
ours = np.exp(logits - logits.max(1, keepdims=True))
ours /= ours.sum(1, keepdims=True)

rows = list(csv.DictReader(open(predictions, newline="")))
assert len(rows) == len(labels), (len(rows), len(labels))
theirs = np.array([[float(v) for k, v in row.items() if k.startswith("p(")] for row in rows])
assert [int(row["label"]) for row in rows] == labels.tolist()
difference = np.abs(ours - theirs).max()
assert difference < 1e-4, difference
print(f"{len(rows)} images, largest difference {difference:.1e}, accuracy {(ours.argmax(1) == labels).mean():.4f}")
