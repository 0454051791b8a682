"""Measures which library multiplies float32 matrices faster on this processor: ATen's or oneDNN.

    python3 bench/products.py [--threads N]

crates/torchmill-nn/src/kernel/processor.rs makes the choice for each kind of processor, and conv2d.rs has the
limits for convolutions. Prints GFLOP/s of processor time for each size, the best of five.
"""

import argparse
import time

import torch
from harness import processor

# Rows, inputs, outputs: a large product, a late convolution and the first one of small networks,
# layers of a transformer.
SIZES = [(2048, 2048, 2048), (1024, 4608, 512), (65536, 75, 32), (788, 768, 3072), (256, 1600, 64)]
# Images, input and output channels, height and width of convolutions with a kernel of 3 x 3.
CONVOLUTIONS = [(64, 512, 512, 4), (64, 256, 512, 4), (64, 256, 256, 8), (64, 128, 128, 16)]


def onednn(x, weight):
    return torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")


def seconds(work):
    """Processor seconds of a call, the best of five."""
    work()
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def speed(operations, work):
    return f"{operations / seconds(work) / 1e9:8.0f}"


def im2col(x):
    """The pixels under a kernel of 3 x 3 with a padding of 1, a row for each output pixel."""
    x = torch.nn.functional.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    images, height, width, channels = x.shape
    step = x.stride()
    shape = (images, height - 2, width - 2, 3, 3, channels)
    rows = x.as_strided(shape, (step[0], step[1], step[2], step[1], step[2], step[3]))
    return rows.reshape(-1, 9 * channels)


def products():
    print(f"{'rows x inputs x outputs':>24} {'ATen':>8} {'oneDNN':>8}")
    for rows, inputs, outputs in SIZES:
        x, weight = torch.randn(rows, inputs), torch.randn(outputs, inputs)
        operations = 2 * rows * inputs * outputs
        aten = speed(operations, lambda: x @ weight.t())
        own = speed(operations, lambda: onednn(x, weight))
        print(f"{rows} x {inputs} x {outputs}".rjust(24), aten, own)


def weight_gradients():
    print(f"\n{'gradient of weights':>24} {'direct':>8} {'ATen':>8} {'oneDNN':>8}")
    for images, inputs, outputs, side in CONVOLUTIONS:
        last = torch.channels_last
        x = torch.randn(images, inputs, side, side).to(memory_format=last)
        weight = torch.randn(outputs, inputs, 3, 3).to(memory_format=last)
        gradient = torch.randn(images, outputs, side, side).to(memory_format=last)
        rows = gradient.permute(0, 2, 3, 1).reshape(-1, outputs)
        operations = 2 * images * inputs * outputs * 9 * side * side

        def direct():
            mask = [False, True, False]
            torch.ops.aten.convolution_backward(
                gradient, x, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, mask)

        print(
            f"{images} x {inputs} -> {outputs}, {side}".rjust(24),
            speed(operations, direct),
            speed(operations, lambda: rows.t() @ im2col(x)),
            speed(operations, lambda: onednn(rows.t(), im2col(x).t())))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    print(f"{processor()}, {torch.get_num_threads()} threads, PyTorch {torch.__version__}")
    with torch.no_grad():
        products()
        weight_gradients()


if __name__ == "__main__":
    main()
