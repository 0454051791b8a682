"""Logits of networks that `evaluate --export` wrote, in onnxruntime, and of the same checkpoints in PyTorch, in float64.

Every architecture of `train` is compared, on photographs and in batches of different sizes.
"""
import numpy as np
import onnx
import onnxruntime
import torch
from checkpoints import settled
from networks import ARCHITECTURES, CLASSES, SIZE, photograph_shards, photographs, photographs_of, torchvision
from safetensors.torch import load_file
from sandbox import Row, within
from torchvision import models

# The larger siblings of those in networks.py.
LARGER = {
    "resnet34": torchvision("resnet34"),
    "vgg16_bn": torchvision("vgg16_bn"),
    "vit_b_16": lambda: models.vit_b_16(num_classes=CLASSES, image_size=SIZE),
}
IMAGES = 100
BATCHES = [1, 37, 62]


def compare(sandbox):
    shards = photograph_shards(sandbox)
    images = photographs(IMAGES, SIZE, SIZE, 5000).transpose(0, 3, 1, 2).astype(np.float32) / 255
    for name, make in (ARCHITECTURES | LARGER).items():
        yield from exported(sandbox, name, make, shards, images)


def exported(sandbox, name, make, shards, images):
    """Exports a network to ONNX. It has PyTorch's initial weights, and running statistics of the images."""
    torch.manual_seed(1)
    module = make()
    settled(module, photographs_of("train").tensor())
    torch.save(module.state_dict(), sandbox.work / "start.pt")
    options = ["--data", shards, "--batch-size", 16, "--epochs", 0, "--init", sandbox.work / "start.pt"]
    checkpoint, _ = sandbox.train("exported", *options, "--architecture", *name.split())
    file = sandbox.work / "network.onnx"
    sandbox.program("evaluate", checkpoint, "--export", file)
    onnx.checker.check_model(str(file), full_check=True)
    found = logits_of_file(file, images)
    # PyTorch's logits in float32 have rounding errors as large as onnxruntime's: in ResNet-50, 1.4e-4 and 1.1e-4.
    single = logits_of_module(module, images)
    exact = logits_of_module(module.double(), images.astype(np.float64))
    spread = exact.max() - exact.min()
    size = file.stat().st_size / 1e6
    weights = sum(tensor.numel() for tensor in load_file(checkpoint).values()) * 4 / 1e6
    if not spread > 0.01:
        yield Row(f"{name}: logits vary by {spread:.1e}", "", "above 0.01", False)
        return
    # Logits may be large if the running statistics are from few images, and float32 only has seven digits.
    scale = max(1.0, np.abs(exact).max())
    apart, pytorchs = (np.abs(logits - exact).max() / scale for logits in [found, single])
    what = f"{name}: onnxruntime's logits ({size:.1f} MB; PyTorch's: {pytorchs:.0e})"
    yield within(what, apart, 1e-4)
    yield within(f"{name}: the file's size, and its weights'", max(0.0, size / weights - 1 - 0.5 / weights), 0.01)


def logits_of_module(network, images):
    network.eval()
    with torch.no_grad():
        return torch.cat([network(batch) for batch in torch.from_numpy(images).split(25)]).numpy()


def logits_of_file(file, images):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    batches = np.split(images, np.cumsum(BATCHES)[:-1])
    found = np.concatenate([session.run(None, {"images": batch})[0] for batch in batches])
    assert found.shape == (len(images), CLASSES), found.shape
    return found

