"""The recipe cifar10-fast: a training step of 500 images with Muon and SGD, against the same network, loss and
optimizers in PyTorch, eager and compiled, with the images in memory."""
UNIT = "s"
PRECISIONS = ["fp32", "bf16"]
STEPS = {"cpu": 10, "cuda": 100}
BATCH = 500


def ours(bench):
    def prepare(out):
        bench.program("prep", bench.data, "-o", out, "--recipe", "cifar10-fast", "--limit", STEPS[bench.device] * BATCH)

    shards = bench.made("cifar10-fast-shards", prepare)
    recipe = ["--recipe", "cifar10-fast", "--data", shards, "--batch-size", BATCH]
    # The PyTorch side has images of full size, too.
    full_size = ["--set", "train.progressive_resizing.initial_scale=1.0"]
    options = ["--set", "train.limit_eval_batches=1", *full_size]
    return {
        figure(precision): bench.train_step(BATCH, *recipe, *options, "--precision", precision)
        for precision in PRECISIONS
    }


def theirs(bench):
    ways = bench.pytorch_steps("cifar10-fast", size=32, batch=BATCH, steps=STEPS[bench.device])
    return {figure(precision): ways[precision] for precision in PRECISIONS}


def figure(precision):
    return f"cifar10-fast, {precision}, a step of {BATCH}"
