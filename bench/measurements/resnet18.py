"""A larger network: a training step of ResNet-18 for CIFAR, channels last, against PyTorch's in
the same layout, eager and compiled; its bf16 is torch.autocast's."""
from harness import HERE

UNIT = "s"
PRECISIONS = ["fp32", "bf16"]
STEPS = {"cpu": 20, "cuda": 200}
BATCH = 64


def ours(bench):
    def prepare(out):
        bench.program("prep", bench.data, "-o", out, "--recipe", "article", "--limit", STEPS[bench.device] * BATCH)

    shards = bench.made("resnet18-shards", prepare)
    recipe = ["--recipe", HERE / "resnet18.toml", "--data", shards]
    return {figure(precision): bench.train_step(BATCH, *recipe, "--precision", precision) for precision in PRECISIONS}


def theirs(bench):
    ways = bench.pytorch_steps("resnet18-cifar", size=32, batch=BATCH, steps=STEPS[bench.device])
    return {figure(precision): ways[precision] for precision in PRECISIONS}


def figure(precision):
    return f"resnet18, {precision}, a step of {BATCH}"
