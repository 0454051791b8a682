"""10,000 JPEG files to batches or shards, against torchvision's ImageFolder and a DataLoader."""
UNIT = "s"
PLAIN, RESIZED = "prep, 10,000 JPEGs", "prep, resized to 200x200"


def ours(bench):
    pipelines = {PLAIN: "ToTensor", RESIZED: "Resize((200, 200)) | ToTensor"}
    return {
        name: bench.program("prep", bench.images(), "-o", bench.emptied("out"), "--transform", transform)
        for name, transform in pipelines.items()
    }


def theirs(bench):
    # One loader process a thread, as one would have it; a single one is slower.
    workers = ["--workers", bench.threads]
    plain = bench.python("imagefolder_torchvision.py", bench.images(), *workers)
    resized = bench.python("imagefolder_torchvision.py", bench.images(), *workers, "--size", 200)
    return {PLAIN: float(plain[0][0]), RESIZED: float(resized[0][0])}
