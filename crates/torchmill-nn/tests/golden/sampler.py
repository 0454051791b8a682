"""Prints the batches of a WeightedRandomSampler, for weighted_sampler.rs, and the images
that DistributedSampler gives each process, for sampler.rs.

    python3 sampler.py     # torch==2.11.0
"""

import torch
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset, WeightedRandomSampler

torch.manual_seed(7)
weights = [0.1, 0.1, 0.1, 0.4, 0.4, 1.0, 1.0, 0.3, 0.3, 0.3]
images = TensorDataset(torch.arange(10))
loader = DataLoader(images, batch_size=4, sampler=WeightedRandomSampler(weights, 10), drop_last=True)
for epoch in range(2):
    print([batch[0].tolist() for batch in loader])
print(torch.empty((), dtype=torch.int64).random_().item())

# For sampler.rs: the images of each process in epoch 1 with seed 7.
for n, size, drop_last in [(10, 2, False), (10, 3, False), (10, 3, True), (2, 5, False)]:
    shares = []
    for rank in range(size):
        sampler = DistributedSampler(range(n), size, rank, seed=7, drop_last=drop_last)
        sampler.set_epoch(1)
        shares.append(list(sampler))
    print(n, size, drop_last, shares)
