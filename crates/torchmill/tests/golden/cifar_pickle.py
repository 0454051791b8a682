"""Makes cifar_pickle.safetensors: batches of CIFAR-10's and CIFAR-100's Python version of three images, pickled
as Python 2 did (the published form) and with each protocol of Python 3, and their pixels.

Run with numpy and safetensors: python cifar_pickle.py
"""
import io
import pathlib
import pickle
import struct

import numpy
from safetensors.numpy import save_file


class Python2(pickle._Pickler):
    """Writes bytes and short texts as Python 2 wrote its strings: SHORT_BINSTRING and BINSTRING."""

    dispatch = dict(pickle._Pickler.dispatch)

    def __init__(self, file):
        super().__init__(file, protocol=2)

    def save_string(self, value):
        value = value if isinstance(value, bytes) else value.encode("ascii")
        if len(value) < 256:
            self.write(pickle.SHORT_BINSTRING + bytes([len(value)]) + value)
        else:
            self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch[bytes] = save_string
    dispatch[str] = save_string


def python2(value):
    file = io.BytesIO()
    Python2(file).dump(value)
    return file.getvalue()


def main():
    pixels = numpy.random.default_rng(5).integers(0, 256, (3, 3072)).astype(numpy.uint8)
    cifar10 = {
        "batch_label": "training batch 1 of 5",
        "labels": [1, 0, 1],
        "data": pixels,
        "filenames": ["a.png", "b.png", "c.png"],
    }
    cifar100 = {
        "filenames": ["a.png", "b.png", "c.png"],
        "batch_label": "training batch 1 of 1",
        "fine_labels": [2, 0, 1],
        "coarse_labels": [1, 0, 0],
        "data": pixels,
    }
    tensors = {"pixels": pixels}
    for name, batch in [("cifar10", cifar10), ("cifar100", cifar100)]:
        files = {"python2": python2(batch)}
        files |= {f"protocol{n}": pickle.dumps(batch, protocol=n) for n in range(2, 6)}
        for kind, content in files.items():
            # What Python reads is what was meant.
            back = pickle.loads(content, encoding="latin1")
            assert (back["data"] == pixels).all()
            tensors[f"{name} {kind}"] = numpy.frombuffer(content, numpy.uint8).copy()
    names = {"num_cases_per_batch": 3, "label_names": ["cat", "dog"], "num_vis": 3072}
    tensors["batches.meta"] = numpy.frombuffer(python2(names), numpy.uint8).copy()
    names = {"fine_label_names": ["apple", "baby", "bear"], "coarse_label_names": ["x", "y"]}
    tensors["meta"] = numpy.frombuffer(python2(names), numpy.uint8).copy()
    save_file(tensors, pathlib.Path(__file__).with_name("cifar_pickle.safetensors"))


if __name__ == "__main__":
    main()
