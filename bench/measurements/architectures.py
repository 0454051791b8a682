"""A training step of torchvision's other architectures on small batches of generated images,
against PyTorch's, eager and compiled."""
from harness import step_seconds

UNIT = "s"
PRECISIONS = ["fp32", "bf16"]
STEPS = 6
WARM_UP = 3  # Steps that are not measured, as in step_pytorch.py: memory is allocated in the first ones.
# Name, side of the images, images in a batch.
NETWORKS = [
    ("resnet50", 64, 16),
    ("vgg11_bn", 64, 16),
    ("mobilenet_v2", 64, 32),
    ("efficientnet_b0", 64, 32),
    ("convnext_tiny", 64, 16),
    ("vit_b_16", 224, 4),
]


def ours(bench):
    figures = {}
    for name, size, batch in NETWORKS:
        network = ["--architecture", name, "--data", shards(bench, size, batch), "--lr", 0.001, "--steps", WARM_UP + STEPS]
        for precision in PRECISIONS:
            rows = bench.train(*network, "--batch-size", batch, "--precision", precision, "--eval-every", 99)
            figures[figure(name, size, batch, precision)] = step_seconds(rows, WARM_UP)
    return figures


def theirs(bench):
    figures = {}
    for name, size, batch in NETWORKS:
        ways = bench.pytorch_steps(name, size=size, batch=batch, steps=STEPS)
        figures |= {figure(name, size, batch, precision): ways[precision] for precision in PRECISIONS}
    return figures


def figure(name, size, batch, precision):
    return f"{name}, {precision}, a step of {batch} at {size}x{size}"


def shards(bench, size, batch):
    """Random images of this size, enough for the steps, in ten classes."""

    def write(folder):
        import numpy as np
        from PIL import Image

        generator = np.random.default_rng(0)
        for split, count in {"train": batch * (WARM_UP + STEPS), "test": 10}.items():
            for index in range(count):
                path = folder / split / f"class-{index % 10}" / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(generator.integers(0, 256, (size, size, 3), np.uint8)).save(path)

    images = bench.made(f"random-{size}-{batch}", write)
    make = lambda out: bench.program("prep", images, "-o", out)
    return bench.made(f"random-{size}-{batch}-shards", make)
