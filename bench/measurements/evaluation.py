"""Evaluating a checkpoint on CIFAR-10's 10,000 test images, from the command line to the report, against a Python
program that does the same."""
UNIT = "s"
FIGURE = "evaluate, 10,000 images, with start-up"


def ours(bench):
    def train(out):
        bench.program("train", "--recipe", "article", "--data", bench.shards(), "--run", out, "--epochs", 0)

    checkpoint = bench.made("evaluated-run", train) / "checkpoints" / "last.safetensors"
    options = ["--data", bench.shards(), "--device", bench.device]
    return {FIGURE: bench.program("evaluate", checkpoint, *options)}


def theirs(bench):
    options = ["--epochs", 0, "--threads", bench.threads, "--device", bench.device]
    return {FIGURE: bench.timed_python("article_pytorch.py", bench.data, *options)}
