"""Describes torchvision's networks: writes architectures.json, run as

    python architectures.py > architectures.json      (torch 2.11.0, torchvision 0.26.0)

For each: the digest of its state dict's names and shapes, and with torch.manual_seed(7) the initial weights' sums and
the logits of a wave of an image in eval(). Batch norm's bias is a wave, too: else the layers' order would not show.
"""
import hashlib
import json

import torch
from torch import nn
from torchvision import models
from torchvision.models.vision_transformer import VisionTransformer

torch.set_num_threads(1)
CLASSES = 10


def wave(*shape):
    """Reproducible numbers: sin(0), sin(1), ..."""
    return torch.arange(torch.tensor(shape).prod().item(), dtype=torch.float64).sin().float().reshape(shape)


def cifar(make):
    def changed():
        module = make(num_classes=CLASSES)
        module.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        module.maxpool = nn.Identity()
        return module
    return changed


def of(make, **arguments):
    return lambda: make(num_classes=CLASSES, **arguments)


# The recipe's [model], the images' size, the module, and whether torchvision draws its weights in the same order (not
# so with a changed stem).
NETWORKS = [
    ('architecture="resnet18"', 64, of(models.resnet18), True),
    ('architecture="resnet18"\nstem="cifar"', 32, cifar(models.resnet18), False),
    ('architecture="resnet34"', 64, of(models.resnet34), True),
    ('architecture="resnet50"', 64, of(models.resnet50), True),
    ('architecture="vgg11_bn"', 32, of(models.vgg11_bn), True),
    ('architecture="vgg16_bn"', 32, of(models.vgg16_bn), False),
    ('architecture="mobilenet_v2"', 64, of(models.mobilenet_v2), True),
    ('architecture="mobilenet_v3_small"', 64, of(models.mobilenet_v3_small), True),
    ('architecture="mobilenet_v3_large"', 64, of(models.mobilenet_v3_large), True),
    ('architecture="efficientnet_b0"', 64, of(models.efficientnet_b0), True),
    ('architecture="convnext_tiny"', 64, of(models.convnext_tiny), True),
    ('architecture="vit_tiny"\npatch_size=4', 32, lambda: VisionTransformer(
        image_size=32, patch_size=4, num_layers=12, num_heads=3, hidden_dim=192, mlp_dim=768, num_classes=CLASSES), True),
    ('architecture="vit_b_16"', 32, of(models.vit_b_16, image_size=32), False),
]


def describe(toml, size, make, seeded):
    torch.manual_seed(7)
    module = make().eval()
    state = module.state_dict()
    shapes = "".join(f"{name} {list(t.shape)}\n" for name, t in sorted(state.items()))
    golden = {"model": toml, "size": size, "tensors": len(state), "shapes": hashlib.sha256(shapes.encode()).hexdigest(),
              "parameters": sum(p.numel() for p in module.parameters())}
    if seeded:
        # Sums tell one draw from another. A float64 sum does not depend on the order up to many digits.
        golden["squares"] = {n: p.double().square().sum().item() for n, p in list(module.named_parameters())[:3]}
        with torch.no_grad():
            for name, tensor in state.items():
                if tensor.dim() == 1 and name.endswith("bias") or name.startswith("heads.head"):
                    tensor.copy_(wave(*tensor.shape) * 0.1)
            golden["logits"] = module(wave(2, 3, size, size)).flatten().tolist()
    return golden


print(json.dumps([describe(*n) for n in NETWORKS], indent=1))
