"""Writes label_errors.json: the label errors that cleanlab finds (Python with
numpy, cleanlab), by confident learning, the most likely first."""

import json
import pathlib

import numpy as np
from cleanlab.filter import find_label_issues

HERE = pathlib.Path(__file__).parent


def main():
    random = np.random.default_rng(0)
    truth = random.integers(0, 4, size=200)
    labels = np.where(random.random(200) < 0.15, random.integers(0, 4, size=200), truth)
    logits = random.normal(size=(200, 4))
    logits[np.arange(200), truth] += 2
    exponentials = np.exp(logits)
    probabilities = (exponentials / exponentials.sum(1, keepdims=True)).round(4)
    issues = find_label_issues(
        labels,
        probabilities,
        filter_by="confident_learning",
        return_indices_ranked_by="normalized_margin",
        n_jobs=1,
    )
    golden = {
        "labels": labels.tolist(),
        "probabilities": probabilities.tolist(),
        "issues": issues.tolist(),
    }
    (HERE / "label_errors.json").write_text(json.dumps(golden) + "\n")


main()
