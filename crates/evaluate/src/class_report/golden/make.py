"""Writes golden.json and report.txt: scikit-learn's metrics for some predictions (Python with numpy, scikit-learn).

Outputs of a network for seven classes, of which `mole` has no image and `newt` is never predicted, so that
scikit-learn's zero_division is used. The calibration error is that of Guo et al. 2017 (On Calibration of Modern
Neural Networks): 15 bins (a, b] of equal width.
"""

import json
import pathlib
import warnings

import numpy as np
from sklearn.metrics import classification_report, confusion_matrix, top_k_accuracy_score

CLASSES = ["ant", "bee", "crow", "dove", "emu", "mole", "newt"]
HERE = pathlib.Path(__file__).parent


def calibration_error(confidence, right, bins=15):
    edges = np.linspace(0, 1, bins + 1)
    error = 0.0
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return float(error)


def main():
    warnings.simplefilter("ignore")
    random = np.random.default_rng(0)
    labels = random.choice([0, 1, 2, 3, 4, 6], size=150, p=[0.3, 0.25, 0.2, 0.1, 0.1, 0.05])
    logits = random.normal(size=(150, 7)) * 1.5
    logits[np.arange(150), labels] += 1.5
    logits[:, 6] -= 20
    logits = logits.round(2).astype(np.float32)
    predictions = logits.argmax(1)
    exponentials = np.exp(logits.astype(np.float64))
    probabilities = exponentials / exponentials.sum(1, keepdims=True)
    every = dict(labels=range(7), target_names=CLASSES)
    report = classification_report(labels, predictions, output_dict=True, **every)
    golden = {
        "labels": labels.tolist(),
        "logits": [[round(float(x), 2) for x in row] for row in logits],
        "report": report,
        "confusion_matrix": confusion_matrix(labels, predictions, labels=range(7)).tolist(),
        "top_k": {k: top_k_accuracy_score(labels, logits, k=k, labels=range(7)) for k in (1, 2, 5)},
        "calibration_error": calibration_error(probabilities.max(1), predictions == labels),
    }
    (HERE / "golden.json").write_text(json.dumps(golden) + "\n")
    (HERE / "report.txt").write_text(classification_report(labels, predictions, digits=4, **every))


main()
