"""Prints the values that the tests in generator.rs and sampler.rs expect. Needs torch==2.11.0."""

import torch
from torch.utils.data import DataLoader

torch.manual_seed(0)
print("uniform_", torch.empty(6).uniform_(-0.25, 0.5).tolist())
print("random_", [torch.empty((), dtype=torch.int64).random_().item() for _ in range(3)])
generator = torch.Generator()
generator.manual_seed(5)
print("randperm", torch.randperm(20, generator=generator).tolist())
generator.manual_seed(2**40 + 3)
print("randperm", torch.randperm(50000, generator=generator)[:8].tolist())

torch.manual_seed(7)
train = DataLoader(list(range(10)), 4, shuffle=True, drop_last=True)
test = DataLoader(list(range(10)), 4)
for epoch in range(2):
    print("epoch", epoch, [batch.tolist() for batch in train])
    list(test)
