"""The measurements of `make bench`, one per file.

A measurement has two functions. `ours` takes a Bench and returns {figure: number}. `theirs` does
the same work with the usual alternatives and returns the same figures, each with a number, or
with {peer: number} if several peers were measured; it is None if there is nothing to compare
with. UNIT is the numbers' unit; lower is always better. A figure's name describes the work.
"""
from measurements import (
    architectures, article, busy, cifar10_fast, evaluation, event_files, loader, memory, prep, prep_memory, processes,
    resnet18, scaling, start,
)

# Those that also measure a GPU.
ON_GPU = ["resnet18", "cifar10-fast", "article"]

MEASUREMENTS = {
    "article": article,
    "resnet18": resnet18,
    "cifar10-fast": cifar10_fast,
    "architectures": architectures,
    "busy": busy,
    "evaluation": evaluation,
    "start": start,
    "memory": memory,
    "prep": prep,
    "prep-memory": prep_memory,
    "loader": loader,
    "event-files": event_files,
    "processes": processes,
    "scaling": scaling,
}
