"""Checks an ONNX file, runs it with onnxruntime on the images on standard input, and compares
the probabilities with those that `evaluate --predictions` wrote.

Usage: prep ... --split test --format npy -o - | run_onnx.py NETWORK.onnx BYTES.onnx PREDICTIONS.csv

NETWORK.onnx takes the output of ToTensor, BYTES.onnx uint8 images, [N, H, W, C].
"""
import csv
import json
import sys
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime

network, of_bytes, predictions = sys.argv[1:]
# numpy wants a file that it can seek in; given only a read method, it reads a pipe.
images = np.lib.format.read_array(SimpleNamespace(read=sys.stdin.buffer.read))
with open(predictions, newline="") as file:
    rows = list(csv.DictReader(file))
expected = np.array([[float(v) for k, v in row.items() if k.startswith("p(")] for row in rows])
images = images[: len(expected)]


def probabilities(path, inputs):
    """Runs batches of 1 and more images: any number is allowed."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (only,) = session.get_inputs()
    assert (only.name, only.shape[0]) == ("images", "N"), (only.name, only.shape)
    (output,) = session.get_outputs()
    assert (output.name, output.shape) == ("logits", ["N", expected.shape[1]]), output.shape
    batches = np.split(inputs, [1, min(50, len(inputs))])
    logits = np.concatenate([session.run(None, {"images": b})[0] for b in batches if len(b)])
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)


for path, inputs in [
    (network, images.astype(np.float32) / 255),
    (of_bytes, images.transpose(0, 2, 3, 1).copy()),
]:
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    known = {entry.key: entry.value for entry in model.metadata_props}
    assert len(json.loads(known["classes"])) == expected.shape[1], known["classes"]
    assert known["transform"] == ("ToTensor" if path == network else ""), known["transform"]
    json.loads(known["torchmill"])
    difference = np.abs(probabilities(path, inputs) - expected).max()
    assert difference < 1e-5, f"{path}: probabilities differ by {difference}"
print("equal")
