"""Checks a folder's pictures in TensorBoard: in its own reader, and in its web server, which the page uses.

Usage: images.py LOGDIR RUN SAMPLES

Both must have, under the tag `samples`, a picture for each epoch-*.png of the folder SAMPLES, which Pillow decodes to
the same pixels. Prints `step width height channels`, one per line.
"""

import io
import pathlib
import sys
import time
import urllib.parse
import urllib.request

from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import web


def pixels(png):
    image = Image.open(io.BytesIO(png))
    return image.mode, image.size, image.tobytes()


def served(logdir, run, count):
    server, url = web.start(logdir, "true")
    try:
        query = urllib.parse.urlencode({"run": run, "tag": "x/samples", "sample": 0})
        for _ in range(120):
            runs = web.get(url, "images/tags")
            found = web.get(url, f"images/images?{query}") if "x/samples" in runs.get(run, {}) else []
            if len(found) == count:
                break
            time.sleep(0.5)
        one = f"{url}/data/plugin/images/individualImage?"
        return {image["step"]: urllib.request.urlopen(one + image["query"]).read() for image in found}
    finally:
        server.terminate()
        server.wait()


def main(logdir, run, samples):
    files = {int(p.stem.removeprefix("epoch-")): p.read_bytes() for p in pathlib.Path(samples).glob("epoch-*.png")}
    events = EventAccumulator(f"{logdir}/{run}", size_guidance={"images": 0}).Reload()
    assert events.Tags()["images"] == ["x/samples"], events.Tags()["images"]
    for image in events.Images("x/samples"):
        mode, size, _ = pixels(image.encoded_image_string)
        assert (image.width, image.height) == size
        assert image.encoded_image_string == files[image.step]
        print(image.step, *size, len(mode))
    shown = served(logdir, run, len(files))
    assert {step: pixels(png) for step, png in shown.items()} == {step: pixels(png) for step, png in files.items()}


if __name__ == "__main__":
    main(*sys.argv[1:])
