"""Measures each operator of a training step against what the processor can do.

    python3 bench/roofline.py [--network NAME] [--precision bf16|fp32] [--threads N]

A convolution and its gradients are compared with the fastest product of two matrices, everything else with the
fastest copy. The operators are PyTorch's, on images in channels-last layout. Times are of processor time, the best
of five. docs/speed.md has results.
"""

import argparse

import torch
import torch.nn.functional as F
from harness import processor
from products import onednn, seconds

# For each network the batch size and its convolutions: input and output channels, size of the input, kernel, padding,
# and how often the network has such a layer.
NETWORKS = {
    "article": (64, [(3, 32, 32, 5, 2, 1), (32, 32, 16, 5, 2, 1), (32, 64, 8, 5, 2, 1)]),
    "cifar10-fast": (500, [
        (3, 24, 32, 2, 0, 1), (24, 64, 31, 3, 1, 1), (64, 64, 15, 3, 1, 1), (64, 256, 15, 3, 1, 1),
        (256, 256, 7, 3, 1, 2), (256, 256, 3, 3, 1, 1)]),
    "resnet18": (64, [
        (3, 64, 32, 3, 1, 1), (64, 64, 32, 3, 1, 4), (128, 128, 16, 3, 1, 3), (256, 256, 8, 3, 1, 3),
        (512, 512, 4, 3, 1, 3)]),
}


def random(*size, kind):
    x = torch.randn(*size).to(kind)
    return x.to(memory_format=torch.channels_last) if len(size) == 4 else x


def fastest_product(kind):
    """Floating point operations a second of a product of two large matrices."""
    x, weight = random(2048, 2048, kind=kind), random(2048, 2048, kind=kind)
    return 2 * 2048**3 / min(seconds(lambda: x @ weight.t()), seconds(lambda: onednn(x, weight)))


def fastest_copy():
    """Bytes a second that a copy between buffers larger than the caches reads and writes."""
    x = torch.zeros(256 << 20, dtype=torch.uint8)
    y = torch.empty_like(x)
    return 2 * x.numel() / seconds(lambda: y.copy_(x))


def convolution(layer, images, kind, peak):
    """Prints a convolution's output and gradients; returns its seconds, and those at the peak."""
    inputs, outputs, side, kernel, padding, count = layer
    x = random(images, inputs, side, side, kind=kind)
    weight = random(outputs, inputs, kernel, kernel, kind=kind)
    y = F.conv2d(x, weight, padding=padding)
    gradient = torch.randn_like(y)
    operations = 2 * y.numel() * inputs * kernel * kernel

    def backward(*mask):
        torch.ops.aten.convolution_backward(
            gradient, x, weight, None, [1, 1], [padding] * 2, [1, 1], False, [0, 0], 1, [*mask, False])

    times = [seconds(lambda: F.conv2d(x, weight, padding=padding)), seconds(lambda: backward(False, True))]
    # The first layer's input needs no gradient.
    if inputs != 3:
        times.append(seconds(lambda: backward(True, False)))
    shares = [f"{t * 1e3:8.1f} ms {operations / t / peak:5.0%}" for t in times]
    print(f"{count} x {inputs} -> {outputs}, {kernel} x {kernel} on {side} x {side}".ljust(36), *shares)
    return count * sum(times), count * len(times) * operations / peak


def memory_operators(layers, images, kind, peak):
    """Prints the operators between convolutions, on the output of each."""
    for _, outputs, side, kernel, padding, count in layers:
        side += 2 * padding - kernel + 1
        x = random(images, outputs, side, side, kind=kind)
        scale = torch.ones(outputs)
        mean, variance = torch.zeros(outputs), torch.ones(outputs)
        other = torch.float32 if kind == torch.bfloat16 else torch.bfloat16
        # Each operator with the bytes that it reads and writes for a byte of its input. Batch norm reads it twice.
        ways = {
            "batch norm": (3, lambda: F.batch_norm(x, mean, variance, scale, mean.clone(), training=True)),
            "GELU": (2, lambda: F.gelu(x)),
            "ReLU": (2, lambda: F.relu(x)),
            "max pooling": (1.25, lambda: F.max_pool2d(x, 2)),
            "cast": (1 + other.itemsize / kind.itemsize, lambda: x.to(other)),
        }
        line = []
        for name, (moved, way) in ways.items():
            t = seconds(way)
            line.append(f"{name} {t * 1e3:.1f} ms {moved * x.nbytes / t / peak:.0%}")
        print(f"{count} x {outputs} channels of {side} x {side}".ljust(36), ", ".join(line))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NETWORKS, default="cifar10-fast")
    parser.add_argument("--precision", choices=["bf16", "fp32"], default="bf16")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    kind = torch.bfloat16 if options.precision == "bf16" else torch.float32
    images, layers = NETWORKS[options.network]
    with torch.no_grad():
        product, copy = fastest_product(kind), fastest_copy()
        print(f"{processor()}, {options.threads} threads, PyTorch {torch.__version__}, {options.precision}, "
              f"{images} images: product {product / 1e9:.0f} GFLOP/s, copy {copy / 1e9:.1f} GB/s")
        print("convolution: output, weight's gradient, input's gradient")
        taken, at_peak = zip(*(convolution(layer, images, kind, product) for layer in layers))
        print(f"all: {sum(taken) * 1e3:.0f} ms; at the speed of the product {sum(at_peak) * 1e3:.0f} ms")
        print("forward, with the share of the fastest copy's speed")
        memory_operators(layers, images, kind, copy)


if __name__ == "__main__":
    main()
