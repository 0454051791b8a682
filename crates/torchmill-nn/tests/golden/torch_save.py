"""Makes the .pt files that torch_save/tests.rs reads. Needs torch==2.11.0; run it in this folder."""

import torch

net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
with torch.no_grad():
    net[0].weight.copy_(torch.arange(6.0).reshape(2, 3))
    net[0].bias.copy_(torch.tensor([10.0, 20.0]))
torch.save(net.state_dict(), "state_dict.pt")

grid = torch.arange(12.0).reshape(3, 4)
views = {"transposed": grid.t(), "slice": grid[1:, 2:], "half": grid.half(), "bfloat16": grid.bfloat16(),
         "double": grid.double(), "parameter": torch.nn.Parameter(grid[0]), "scalar": torch.tensor(7)}
torch.save({"epoch": 3, "best": 0.5, "history": [1, 2], "state_dict": views}, "nested.pt")
torch.save(net, "module.pt")
