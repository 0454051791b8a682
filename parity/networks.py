"""The built-in architectures in PyTorch and torchvision, and photographs as their input."""
from collections import OrderedDict
from unittest import mock

import numpy as np
from article_pytorch import article_network
from PIL import Image
from torch import nn
from torchvision import models
from torchvision.models.vision_transformer import VisionTransformer
from sandbox import Pictures, script

CLASSES, SIZE = 10, 64
IMAGES = {"train": 6, "test": 3}  # of each class


class Article(nn.Module):
    """The article's class: its layers are in `module1`."""

    def __init__(self, channels=3, size=SIZE):
        super().__init__()
        self.module1 = article_network(channels, size)

    def forward(self, x):
        return self.module1(x)


def lenet5():
    return nn.Sequential(OrderedDict([
        ("conv1", nn.Conv2d(3, 6, 5)), ("1", nn.Tanh()), ("2", nn.AvgPool2d(2)),
        ("conv2", nn.Conv2d(6, 16, 5)), ("4", nn.Tanh()), ("5", nn.AvgPool2d(2)), ("6", nn.Flatten()),
        ("fc1", nn.Linear(16 * ((SIZE - 12) // 4) ** 2, 120)), ("8", nn.Tanh()),
        ("fc2", nn.Linear(120, 84)), ("10", nn.Tanh()), ("fc3", nn.Linear(84, CLASSES)),
    ]))


def cifar_resnet18(channels=3):
    """torchvision's ResNet, built with the small stem from the start, so that weights are drawn in the same order."""

    class SmallStem(nn.Conv2d):
        """A Conv2d, except that a ResNet's first 7 x 7 convolution becomes 3 x 3 with stride 1 and these channels."""

        def __init__(self, in_channels, *arguments, **named):
            if named.get("kernel_size") == 7:
                in_channels = channels
                named |= {"kernel_size": 3, "stride": 1, "padding": 1}
            super().__init__(in_channels, *arguments, **named)

    with mock.patch.object(nn, "Conv2d", SmallStem):
        module = models.resnet18(num_classes=CLASSES)
    module.maxpool = nn.Identity()
    return module


def vit_tiny():
    return VisionTransformer(image_size=SIZE, patch_size=16, num_layers=12, num_heads=3, hidden_dim=192, mlp_dim=768,
                             num_classes=CLASSES)


def torchvision(name):
    return lambda: getattr(models, name)(num_classes=CLASSES)


# The arguments of `train --architecture`, and the same networks in PyTorch. The larger siblings
# (resnet34, vgg16_bn, vit_b_16) are built by the same code as those here.
ARCHITECTURES = {
    "article": Article,
    "lenet5": lenet5,
    "resnet18": torchvision("resnet18"),
    "resnet18 --set model.stem=cifar": cifar_resnet18,
    "resnet50": torchvision("resnet50"),
    "vgg11_bn": torchvision("vgg11_bn"),
    "mobilenet_v2": torchvision("mobilenet_v2"),
    "mobilenet_v3_small": torchvision("mobilenet_v3_small"),
    "mobilenet_v3_large": torchvision("mobilenet_v3_large"),
    "efficientnet_b0": torchvision("efficientnet_b0"),
    "convnext_tiny": torchvision("convnext_tiny"),
    "vit_tiny": vit_tiny,
}


def photographs(count, height, width, seed):
    """Generated images that resemble photographs, in RGB: [count, height, width, 3]."""
    photo = script("crates/torchmill/tests/golden/transforms.py").photo
    return np.stack([photo(height, width, 3, seed + i) for i in range(count)])


def photograph_shards(sandbox):
    """Shards of photographs of ten classes, which differ in colour, in the input size of these networks."""

    def make(out):
        for split, count in IMAGES.items():
            for index, image in enumerate(coloured(split, count)):
                path = sandbox.work / "photographs" / split / f"class-{index // count}" / f"{index:03}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(path)
        sandbox.program("prep", sandbox.work / "photographs", "-o", out)

    return sandbox.made("photograph-shards", make)


def coloured(split, count):
    images = photographs(CLASSES * count, SIZE, SIZE, 0 if split == "train" else 1000).astype(int)
    tints = np.random.default_rng(0).integers(-60, 60, (CLASSES, 1, 1, 3)).repeat(count, 0)
    return np.clip(images + tints, 0, 255).astype(np.uint8)


def photographs_of(split):
    """A split of `photograph_shards`."""
    count = IMAGES[split]
    return Pictures(coloured(split, count).transpose(0, 3, 1, 2), np.arange(CLASSES).repeat(count))
