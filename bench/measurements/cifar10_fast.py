"""The recipe cifar10-fast: a training step of 500 images with Muon and SGD, against the same network, loss and
optimizers in PyTorch, eager and compiled, with the images in memory."""
from harness import step_seconds

UNIT = "s"
PRECISIONS = ["fp32", "bf16"]
STEPS = 10
BATCH = 500


def ours(bench):
    def prepare(out):
        bench.program("prep", bench.data, "-o", out, "--recipe", "cifar10-fast", "--limit", STEPS * BATCH)

    shards = bench.made("cifar10-fast-shards", prepare)
    recipe = ["--recipe", "cifar10-fast", "--data", shards, "--batch-size", BATCH, "--epochs", 1]
    options = ["--set", "train.limit_eval_batches=1"]
    return {
        figure(precision): step_seconds(bench.train(*recipe, *options, "--precision", precision))
        for precision in PRECISIONS
    }


def theirs(bench):
    ways = bench.pytorch_steps("cifar10-fast", size=32, batch=BATCH, steps=STEPS)
    return {figure(precision): ways[precision] for precision in PRECISIONS}


def figure(precision):
    return f"cifar10-fast, {precision}, a step of {BATCH}"
