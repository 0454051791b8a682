"""Builds a checkpoint's nn.Module by docs/torchmill_net.py, and compares its probabilities with those that
`evaluate --predictions` wrote, and with those of the TorchScript that it writes as a program.

Usage: prep ... --split test --format npy -o - | module_forward.py CHECKPOINT PREDICTIONS.csv
"""
import csv
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

try:
    import torch
except ImportError:
    sys.exit("no torch in this Python")
import numpy

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
import torchmill_net  # noqa: E402

checkpoint, predictions = sys.argv[1:]
net, spec = torchmill_net.load(checkpoint)
# numpy wants a file that it can seek in; given only a read method, it reads a pipe.
pipe = SimpleNamespace(read=sys.stdin.buffer.read)
images = torch.from_numpy(numpy.lib.format.read_array(pipe)).float() / 255
rows = list(csv.DictReader(open(predictions)))
expected = torch.tensor([[float(v) for k, v in row.items() if k.startswith("p(")] for row in rows])
with torch.no_grad():
    got = torch.cat([net.eval()(batch).softmax(1) for batch in images[: len(expected)].split(250)])
difference = (got - expected).abs().max().item()
assert len(got) == len(expected) and difference < 1e-4, f"{checkpoint}: probabilities differ by {difference}"
script = Path(predictions).with_suffix(".pt")
subprocess.run([sys.executable, torchmill_net.__file__, checkpoint, script], check=True)
with torch.no_grad():
    traced = torch.jit.load(script)(images[:250]).softmax(1)
assert (traced - got[:250]).abs().max().item() < 1e-5, f"{checkpoint}: TorchScript's probabilities differ"
print(f"equal to {difference:.1e}")
