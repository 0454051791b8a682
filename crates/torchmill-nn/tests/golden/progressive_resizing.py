"""Prints torchvision's resized images, for progressive_resizing.rs.

    python3 progressive_resizing.py     # torch==2.11.0, torchvision==0.26.0
"""

import torch
from torchvision.transforms.v2.functional import resize

images = torch.arange(2 * 4 * 6, dtype=torch.float64).sin().float().reshape(1, 2, 4, 6)
print(resize(images, [2, 4]).tolist())
