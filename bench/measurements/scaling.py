"""How the cost per image depends on the number of images, on the number of threads and on the batch size.

For the number of images, the images are generated, 8x8 pixels in IDX files, to measure the cost of an image rather than
of its pixels; --large measures a million images, too. Threads and batch sizes are measured with the article's network
on CIFAR-10. bench/plot_scaling.py draws the results.
"""
import struct

from harness import step_seconds

UNIT = "us"
FEW = 1_000  # The time for these, mostly start-up, is subtracted.
BATCH = 500
BATCH_SIZES = [32, 64, 128, 256, 512, 1024, 2048]
PRECISIONS = ["fp32", "bf16"]


def ours(bench):
    figures = {}
    for count in [10_000, 100_000] + [1_000_000] * bench.large:
        for stage in [prep, train, evaluate]:
            figures[f"{stage.__name__}, an image of {count:,}"] = 1e6 * stage(bench, count)
    for precision in PRECISIONS:
        for threads in range(1, bench.threads + 1):
            name = f"article, {precision}, an image on {threads} thread{'s' if threads > 1 else ''}"
            figures[name] = 1e6 * article(bench, precision, 64, threads)
        for batch_size in BATCH_SIZES:
            name = f"article, {precision}, an image in batches of {batch_size:,}"
            figures[name] = 1e6 * article(bench, precision, batch_size, bench.threads)
    return figures


theirs = None


def prep(bench, count):
    def seconds(images):
        source = raw(bench, images)
        return fastest(lambda: bench.program("prep", source, "-o", bench.emptied(f"scaling-out-{images}")))

    return (seconds(count) - seconds(FEW)) / (count - FEW)


def train(bench, count):
    rows = bench.train("--recipe", recipe(bench), "--data", shards(bench, count), "--epochs", 1)
    return step_seconds(rows) / BATCH


def evaluate(bench, count):
    def untrained(out):
        options = ["--recipe", recipe(bench), "--data", shards(bench, FEW), "--run", out, "--epochs", 0]
        bench.program("train", *options)

    checkpoint = bench.made("scaling-run", untrained) / "checkpoints" / "last.safetensors"
    def seconds(images):
        data = shards(bench, images)
        return fastest(
            lambda: bench.program("evaluate", checkpoint, "--data", data, "--split", "train", "--device", bench.device)
        )

    return (seconds(count) - seconds(FEW)) / (count - FEW)


def fastest(run):
    """Of five runs: 10,000 images take less time than starting a program, which varies."""
    return min(run() for _ in range(5))


def article(bench, precision, batch_size, threads):
    """Seconds of training per image, over about 20,000 images."""
    steps = max(8, 20_000 // batch_size)
    options = ["--recipe", "article", "--data", bench.shards(), "--precision", precision, "--batch-size", batch_size]
    options += ["--steps", steps, "--set", "train.limit_eval_batches=1"]
    return step_seconds(bench.train(*options, threads=threads)) / batch_size


def recipe(bench):
    """One linear layer, so that loading the images takes most of the time."""
    text = f"""name = "linear"
[transforms]
train = "ToTensor"
test = "ToTensor"
[[model.layer]]
type = "Flatten"
[[model.layer]]
type = "Linear"
[train]
batch_size = {BATCH}
[train.optimizer]
type = "SGD"
lr = 0.01
"""
    return bench.made("linear.toml", lambda path: path.write_text(text))


def shards(bench, count):
    return bench.made(f"scaling-{count}", lambda out: bench.program("prep", raw(bench, count), "-o", out))


def raw(bench, count):
    """This many images to train on, and 100 to test on."""

    def write(folder):
        folder.mkdir()
        for split, n in {"train": count, "t10k": 100}.items():
            labels = bytes(i % 10 for i in range(n))
            pixels = b"".join(bytes((i + j) % 256 for j in range(64)) for i in range(256))
            pixels = (pixels * (n // 256 + 1))[: 64 * n]
            (folder / f"{split}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 0x803, n, 8, 8) + pixels)
            (folder / f"{split}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, n) + labels)

    return bench.made(f"scaling-raw-{count}", write)
