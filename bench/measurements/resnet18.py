"""A larger network: ResNet-18 for CIFAR, channels last, some steps of 64 images, against PyTorch's eager mode in the
same layout; its bf16 is torch.autocast's."""
from harness import HERE, step_seconds

UNIT = "s"
PRECISIONS = ["fp32", "bf16"]
STEPS = 20


def ours(bench):
    def prepare(out):
        bench.program("prep", bench.data, "-o", out, "--recipe", "article", "--limit", STEPS * 64)

    shards = bench.made("resnet18-shards", prepare)
    recipe = ["--recipe", HERE / "resnet18.toml", "--data", shards, "--epochs", 1]
    return {
        figure(precision): step_seconds(bench.train(*recipe, "--precision", precision)) for precision in PRECISIONS
    }


def theirs(bench):
    options = ["--steps", STEPS, "--threads", bench.threads, "--device", bench.device]
    rows = bench.python("resnet18_pytorch.py", *options)[1:]
    return {figure(precision): float(seconds) for precision, seconds in rows}


def figure(precision):
    return f"resnet18, {precision}, a step of 64"
