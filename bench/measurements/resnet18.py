"""A larger network: a training step of ResNet-18 for CIFAR, channels last, against PyTorch's in
the same layout, eager and compiled; its bf16 is torch.autocast's."""
from harness import HERE, step_seconds

UNIT = "s"
PRECISIONS = ["fp32", "bf16"]
STEPS = 20
BATCH = 64


def ours(bench):
    def prepare(out):
        bench.program("prep", bench.data, "-o", out, "--recipe", "article", "--limit", STEPS * BATCH)

    shards = bench.made("resnet18-shards", prepare)
    recipe = ["--recipe", HERE / "resnet18.toml", "--data", shards, "--epochs", 1]
    return {
        figure(precision): step_seconds(bench.train(*recipe, "--precision", precision)) for precision in PRECISIONS
    }


def theirs(bench):
    ways = bench.pytorch_steps("resnet18-cifar", size=32, batch=BATCH, steps=STEPS)
    return {figure(precision): ways[precision] for precision in PRECISIONS}


def figure(precision):
    return f"resnet18, {precision}, a step of {BATCH}"
