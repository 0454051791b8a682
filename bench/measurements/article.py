"""The article's network on CIFAR-10: one epoch of training and the test set, in each precision, against the
article's program, which only has fp32."""
from harness import step_seconds, times

UNIT = "s"
PRECISIONS = ["fp32", "bf16"]
BATCH = 64
BATCHES = 50_000 // BATCH


def ours(bench):
    figures = {}
    for precision in PRECISIONS:
        recipe = ["--recipe", "article", "--data", bench.shards(), "--precision", precision]
        if bench.device == "cpu":
            rows = bench.train(*recipe, "--epochs", 1)
            trained = step_seconds(rows) * len(times(rows, "train loss"))
            tested = times(rows, "test loss")[0] - times(rows, "train loss")[-1]
        else:
            # A GPU lags behind the loop that drives it, so only whole epochs can be measured. The
            # first one includes one-time work.
            tested_at = times(bench.train(*recipe, "--epochs", 3), "test loss")
            trained, tested = (tested_at[2] - tested_at[0]) / 2, 0.0
        figures |= named(precision, trained, tested, bench)
    return figures


def theirs(bench):
    epochs = 1 if bench.device == "cpu" else 3
    options = ["--epochs", epochs, "--threads", bench.threads, "--device", bench.device]
    rows = bench.python("article_pytorch.py", bench.data, *options)[1:]
    kept = rows[-2:] if epochs > 1 else rows
    trained, tested = (sum(float(row[column]) for row in kept) / len(kept) for column in (1, 2))
    program = "the article's program, fp32"
    figures = {}
    for precision in PRECISIONS:
        figures |= {figure: {program: seconds} for figure, seconds in named(precision, trained, tested, bench).items()}
    add_steps(figures, bench)
    return figures


def add_steps(figures, bench):
    """PyTorch's time for the epoch's steps if an expert has put the images into memory."""
    ways = bench.pytorch_steps("article", size=32, batch=BATCH, steps=150)
    for precision in PRECISIONS:
        figure = f"article, {precision}, train"
        if figure in figures:
            figures[figure] |= {way: seconds * BATCHES for way, seconds in ways[precision].items()}


def named(precision, trained, tested, bench):
    whole = {f"article, {precision}, epoch": trained + tested}
    if bench.device != "cpu":
        return whole
    return {f"article, {precision}, train": trained, f"article, {precision}, test": tested} | whole
