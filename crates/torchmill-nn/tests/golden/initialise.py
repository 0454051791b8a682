"""Makes initialise.json: dirac_ and whitening filters by PyTorch, for tests/integration/initialise.rs.

    python3 initialise.py > initialise.json     # torch==2.11.0
"""

import json

import torch
from torch import nn


def images(*shape):
    """Reproducible numbers without a simple period: sin(0), sin(1), sin(4), sin(9), ..."""
    return torch.arange(torch.tensor(shape).prod().item(), dtype=torch.float64).square().sin().float().reshape(shape)


def whitening(x, height, width, eps):
    """K. Jordan's get_whitening_parameters and initialize_whitening_layer (arXiv 2404.00498), in float64."""
    patches = x.double().unfold(2, height, 1).unfold(3, width, 1).transpose(1, 3)
    channels = x.shape[1]
    flat = patches.reshape(-1, channels * height * width)
    values, vectors = torch.linalg.eigh(flat.T @ flat / len(flat))
    scaled = vectors.T.flip(0) / (values.flip(0)[:, None] + eps).sqrt()
    return torch.cat((scaled, -scaled)).float()


def dirac(shape, groups):
    return nn.init.dirac_(torch.empty(shape), groups)


DIRAC = [((4, 4, 3, 3), 1), ((5, 3, 3, 3), 1), ((2, 4, 2, 5), 1), ((6, 2, 3, 3), 3), ((6, 4, 1, 1), 2)]
WHITENING = [((20, 3, 6, 5), (2, 2), 5e-4), ((300, 1, 4, 4), (3, 2), 0.01)]

print(json.dumps({
    "dirac": [{"shape": s, "groups": g, "values": dirac(s, g).flatten().tolist()} for s, g in DIRAC],
    "whitening": [
        {"images": s, "kernel": k, "eps": e, "values": whitening(images(*s), *k, e).flatten().tolist()} for s, k, e in WHITENING
    ],
}))
