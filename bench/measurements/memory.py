"""The peak resident memory of an epoch of the article's training, against the article's program."""
import os
import sys

from harness import HERE, RELEASE, peak_memory

UNIT = "MiB"


def ours(bench):
    run = bench.emptied("run")
    figures = {}
    for precision in ["fp32", "bf16"]:
        command = [RELEASE / "train", "-q", "--recipe", "article", "--data", bench.shards(), "--run", run, "--epochs", 1]
        command += ["--threads", bench.threads, "--device", bench.device, "--precision", precision]
        bench.emptied("run")
        figures |= {f"memory, {precision}, {part}": mib for part, mib in peak_memory(command).items()}
    return figures


def theirs(bench):
    command = [sys.executable, HERE / "article_pytorch.py", bench.data, "--threads", bench.threads]
    parts = peak_memory([*command, "--device", bench.device], os.environ | {"OMP_NUM_THREADS": str(bench.threads)})
    del parts["shards"]
    return {f"memory, {precision}, {part}": mib for precision in ["fp32", "bf16"] for part, mib in parts.items()}
