"""What `make bench` measures, a file each.

A measurement has two functions, each from a Bench to {figure: number}: `ours`, and `theirs`, which does the same
work with what people use today and gives the same figures; it is None where there is nothing to compare with.
UNIT says what the numbers are; in every one of them less is better. A figure's name says what was done.
"""
from measurements import article, evaluation, event_files, memory, prep, prep_memory, resnet18, scaling, start

MEASUREMENTS = {
    "article": article,
    "resnet18": resnet18,
    "evaluation": evaluation,
    "start": start,
    "memory": memory,
    "prep": prep,
    "prep-memory": prep_memory,
    "event-files": event_files,
    "scaling": scaling,
}
