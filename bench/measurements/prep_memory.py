"""prep's peak memory in each of its formats: 100,000 generated images of 8x8 pixels, and with --large a million. Only
their labels and locations should grow with their number; files and pipes are written piece by piece."""
from harness import RELEASE, peak_resident
from measurements.scaling import raw

UNIT = "MiB"
FORMATS = ["shard", "safetensors", "npy", "tar", "csv", "jsonl"]


def ours(bench):
    figures = {}
    for count in [100_000] + [1_000_000] * bench.large:
        for form in FORMATS:
            command = [RELEASE / "prep", raw(bench, count), "-q", "--format", form, "-o", bench.emptied("prep-memory")]
            figures[f"prep, {form}, {count:,} images"] = peak_resident(command)
    bench.emptied("prep-memory")
    return figures


theirs = None
