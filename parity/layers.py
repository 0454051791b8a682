"""Every layer's forward and backward pass, losses, and clipping: golden values against PyTorch and torchmill.

crates/torchmill-nn/tests/golden/nn.py writes them; its output here is compared with the committed nn.json, and then
`cargo test` compares torchmill with that file, element by element (its bounds are in
crates/torchmill-nn/tests/integration/pytorch.rs).
"""
import json
import math
import os
import re
import subprocess
import sys

from sandbox import ROOT, Row, Stopped, within

FOLDER = ROOT / "crates/torchmill-nn/tests/golden"


def compare(_bench):
    made = run([sys.executable, FOLDER / "nn.py"])
    ours, theirs = json.loads((FOLDER / "nn.json").read_text()), json.loads(made)
    if ours.keys() != theirs.keys():
        raise Stopped(f"nn.json has {list(ours)}, nn.py makes {list(theirs)}")
    for kind in theirs:
        what = f"goldens of {len(theirs[kind])} {kind}, and this PyTorch's"
        yield within(what, difference(ours[kind], theirs[kind]), 1e-5)
    said = run(["cargo", "test", "--locked", "-p", "torchmill-nn", "--test", "integration", "pytorch::"])
    passed, failed = map(int, re.search(r"(\d+) passed; (\d+) failed", said).groups())
    yield Row("torchmill and these goldens (cargo test)", f"{failed} of {passed + failed} tests fail", "none", failed == 0)


def run(command):
    done = subprocess.run(list(map(str, command)), cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    if done.returncode and " failed; " not in done.stdout:
        raise Stopped(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


def difference(a, b):
    """The largest difference between two JSON values, relative for numbers above 1; infinite if structures differ."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return max((difference(a[key], b[key]) for key in a), default=0.0)
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return max(map(difference, a, b), default=0.0)
    if type(a) in (int, float) and type(b) in (int, float):
        return abs(a - b) / max(1.0, abs(b))
    return 0.0 if a == b else math.inf
