"""What `make bench` measures, a file each.

A measurement has two functions. `ours` takes a Bench and returns {figure: number}. `theirs` does
the same work with what people use today and returns the same figures, each with a number, or
with {peer: number} where several peers were measured; it is None where there is nothing to
compare with. UNIT is the numbers' unit; less is always better. A figure's name says what was
done.
"""
from measurements import (
    architectures, article, busy, cifar10_fast, evaluation, event_files, loader, memory, prep, prep_memory, processes,
    resnet18, scaling, start,
)

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
