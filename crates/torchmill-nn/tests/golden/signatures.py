"""Makes signatures.json: the order of the arguments of PyTorch's layers, for tests/integration/layers.rs.

    python3 signatures.py > signatures.json     # torch==2.11.0, torchvision==0.26.0
"""

import inspect
import json

from torch import nn
from torchvision import ops

LAYERS = [
    nn.AdaptiveAvgPool2d, nn.AvgPool2d, nn.BatchNorm2d, nn.Conv2d, nn.Dropout, nn.Flatten, nn.GELU, nn.GroupNorm,
    nn.Hardsigmoid, nn.Hardswish, nn.LayerNorm, nn.LeakyReLU, nn.Linear, nn.LogSoftmax, nn.MaxPool2d,
    nn.MultiheadAttention, nn.ReLU, nn.ReLU6, nn.SiLU, nn.Softmax, ops.Permute, ops.StochasticDepth,
]

print("{")
for i, layer in enumerate(LAYERS):
    names = [name for name in inspect.signature(layer.__init__).parameters if name != "self"]
    print(f"  {json.dumps(layer.__name__)}: {json.dumps(names)}{',' if i + 1 < len(LAYERS) else ''}")
print("}")
