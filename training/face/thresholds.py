"""What MediaPipe's blendshapes reach on calm faces, and how well the rules of expressions do.

`python -m training.face.thresholds` prints `tools/faces/mediapipe.py`'s THRESHOLDS, and for the
rules (`tools/faces/reverse.py`) accuracy and log-loss by TEMPER on the Training part of FER+; then
once, at the TEMPER in use, on PublicTest.
"""

from __future__ import annotations

import numpy as np

from kuleshov.tools.faces import facs, mediapipe
from kuleshov.tools.faces import rules as reverse
from training.face.data import BLENDSHAPES, DEFAULT_DATA, FACES

QUANTILES = (0.80, 0.95, 0.99)
FLOOR = (0.05, 0.1, 0.2)
TEMPERS = (0.2, 0.3, 0.4, 0.5, 0.7, 1.0)


def thresholds() -> dict[int, tuple[float, ...]]:
    """Unit → the percentiles over faces that most raters called neutral, at least FLOOR."""
    names, shapes, votes, _ = _load()
    calm = (votes.argmax(1) == 0) & (votes.max(1) > votes.sum(1) / 2)
    found = {}
    for unit in mediapipe.THRESHOLDS:
        columns = [names.index(name) for name in facs.BLENDSHAPES[unit]]
        values = shapes[calm][:, columns].mean(1)
        found[unit] = tuple(
            round(max(floor, float(np.quantile(values, q))), 3)
            for q, floor in zip(QUANTILES, FLOOR, strict=True)
        )
    return found


def rules(usage: str, temper: float, most: int = 3000) -> tuple[float, float, float, int]:
    """Accuracy, unweighted recall and mean log-loss against the majority vote; number of faces."""
    names, shapes, votes, part = _load()
    order = {"neutral": 0, "happiness": 1, "surprise": 2, "sadness": 3, "anger": 4, "disgust": 5,
             "fear": 6}  # fmt: skip
    clear = (part == usage) & (votes.max(1) > votes.sum(1) / 2) & (votes.argmax(1) < 7)
    right, losses = {}, []
    kept = reverse.TEMPER
    reverse.TEMPER = temper
    try:
        for row in np.flatnonzero(clear)[:most]:
            units = mediapipe.from_blendshapes(dict(zip(names, shapes[row], strict=True)))
            said = reverse.infer_expression(units)
            assert said is not None
            truth = next(label for label, k in order.items() if k == votes[row].argmax())
            right.setdefault(truth, []).append(said.top == truth)
            losses.append(-np.log(max(said.probabilities[truth], 1e-6)))
    finally:
        reverse.TEMPER = kept
    flat = [one for ones in right.values() for one in ones]
    recall = np.mean([np.mean(ones) for ones in right.values()])
    return float(np.mean(flat)), float(recall), float(np.mean(losses)), len(flat)


def _load() -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    faces = np.load(DEFAULT_DATA / FACES)
    teacher = np.load(DEFAULT_DATA / BLENDSHAPES)
    names = [str(name) for name in teacher["blendshape_names"]]
    shapes = teacher["blendshapes"].astype(np.float64)
    found = ~np.isnan(shapes[:, 0])
    return names, shapes[found], faces["votes"][found], faces["usage"][found].astype(str)


if __name__ == "__main__":
    for unit, steps in thresholds().items():
        print(unit, steps)
    for temper in TEMPERS:
        print("Training", temper, rules("Training", temper))
    print("PublicTest", reverse.TEMPER, rules("PublicTest", reverse.TEMPER, 10_000))
