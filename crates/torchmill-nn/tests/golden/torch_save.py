"""Makes the .pt files that the tests of torch_save read. Needs torch==2.11.0; run it in this folder."""

import torch


def network():
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    with torch.no_grad():
        net[0].weight.copy_(torch.arange(6.0).reshape(2, 3))
        net[0].bias.copy_(torch.tensor([10.0, 20.0]))
    return net


net = network()
state_dict = net.state_dict()
torch.save(state_dict, "state_dict.pt")

grid = torch.arange(12.0).reshape(3, 4)
views = {"transposed": grid.t(), "slice": grid[1:, 2:], "half": grid.half(), "bfloat16": grid.bfloat16(),
         "double": grid.double(), "parameter": torch.nn.Parameter(grid[0]), "scalar": torch.tensor(7)}
torch.save({"epoch": 3, "best": 0.5, "history": [1, 2], "state_dict": views}, "nested.pt")
torch.save(net, "module.pt")

# The format before PyTorch 1.6.
torch.save(views, "legacy.pt", _use_new_zipfile_serialization=False)

# Every kind of value that has an opcode in Python's later pickle protocols.
others = {"bytes": b"abc", "long bytes": bytes(300), "bytearray": bytearray(b"abc"), "set": {1, 2},
          "frozenset": frozenset([1]), "number": 1 << 80, "long text": "x" * 300, "float": 0.5, "none": None,
          "tuple": (1, (2, 3), [4, {5: 6}]), "net": state_dict}
for protocol in (3, 4, 5):
    torch.save(others, f"protocol{protocol}.pt", pickle_protocol=protocol)

# One dict under two keys, and two different ones.
torch.save({"ema": state_dict, "raw": state_dict, "epoch": 1}, "shared.pt")
torch.save({"ema": state_dict, "raw": network().state_dict(), "epoch": 1}, "several.pt")
torch.save({"net": state_dict, "acc": 93.1}, "only.pt")
torch.save({"epoch": 1, "model": net}, "module_in_dict.pt")

# Parameters instead of their tensors, one with an attribute.
net[0].weight.note = "hello"
torch.save(net.state_dict(keep_vars=True), "keep_vars.pt")

# Names that wrappers make, for a network that a recipe can describe.
small = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
with torch.no_grad():
    small[1].weight.copy_(torch.arange(12.0).reshape(3, 4))
    small[1].bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
torch.save(torch.optim.swa_utils.AveragedModel(small).state_dict(), "averaged.pt")
compiled = torch.nn.Sequential(torch.nn.Flatten(), torch.compile(small[1]))
torch.save(compiled.state_dict(), "compiled.pt")
lightning = {f"model.{name}": tensor for name, tensor in small.state_dict().items()}
torch.save({"epoch": 1, "state_dict": {**lightning, "criterion.weight": torch.ones(2)}}, "lightning.pt")
torch.jit.script(torch.nn.Linear(1, 1)).save("torchscript.pt")

# One storage with many views.
ones = torch.ones(256)
torch.save({f"{i}": ones[:] for i in range(40)}, "views.pt")
