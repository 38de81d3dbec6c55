"""Labels that each hold or do not: average precision per class, F1 of the sets (scikit-learn)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from kuleshov.evals.metrics.base import Metric, Names, Numbers, finite_value
from kuleshov.evals.metrics.classes import ClassScores, label_place
from kuleshov.evals.types import Answer, Target


def has_labels(target: Target) -> bool:
    return target.labels is not None


def label_marks(labels: Sequence[str], names: Names) -> list[float]:
    """1 for each name that is among `labels`, else 0."""
    chosen = {label_place(label, names) for label in labels}
    return [float(number in chosen) for number in range(len(names))]


def scored_row(target: Target, answer: Answer, names: Names) -> list[float] | None:
    """People's marks, then the system's score of each label."""
    if answer.probabilities is None or any(name not in answer.probabilities for name in names):
        return None
    return label_marks(target.labels or (), names) + [answer.probabilities[name] for name in names]


def chosen_row(target: Target, answer: Answer, names: Names) -> list[float] | None:
    """People's marks, then the system's. A label that the task does not have is left out."""
    said = answer.several
    if said is None:
        return None
    return label_marks(target.labels or (), names) + [float(name in said) for name in names]


def none_chosen(target: Target, names: Names) -> list[float]:
    return label_marks(target.labels or (), names) + [0.0] * len(names)


def average_precisions(rows: Numbers, names: Names) -> Numbers:
    """Average precision of each label, NaN for one that no sample has."""
    from sklearn.metrics import average_precision_score

    width = len(names)
    return np.array(
        [
            average_precision_score(rows[:, label], rows[:, width + label])
            if rows[:, label].any()
            else math.nan
            for label in range(width)
        ]
    )


def _mean_precision(rows: Numbers, names: Names) -> float:
    found = average_precisions(rows, names)
    return float(np.nanmean(found)) if np.isfinite(found).any() else math.nan


def _set_f1(average: str) -> Callable[[Numbers, Names], float]:
    def compute(rows: Numbers, names: Names) -> float:
        from sklearn.metrics import f1_score

        truth, said = rows[:, : len(names)], rows[:, len(names) :]
        occur = np.flatnonzero(truth.any(axis=0) | said.any(axis=0))
        if not len(occur):
            return math.nan
        return float(
            f1_score(truth[:, occur], said[:, occur], average=average, zero_division=0)
            if len(occur) > 1
            else f1_score(truth[:, occur[0]], said[:, occur[0]], zero_division=0)
        )

    return compute


def per_label(rows: Numbers, names: Names) -> list[ClassScores]:
    """Each label from rows of `scored_row`; precision, recall and F1 at 0.5."""
    from sklearn.metrics import precision_recall_fscore_support

    width = len(names)
    aps = average_precisions(rows, names)
    table = []
    for number, name in enumerate(names):
        truth, said = rows[:, number] > 0, rows[:, width + number] > 0.5
        precision, recall, f1, _ = precision_recall_fscore_support(
            truth, said, average="binary", zero_division=np.nan
        )
        table.append(
            ClassScores(
                label=name,
                n=int(truth.sum()),
                precision=finite_value(precision),
                recall=finite_value(recall),
                f1=finite_value(f1),
                average_precision=finite_value(aps[number]),
            )
        )
    return table


MAP = Metric(
    "map",
    "mAP",
    "mean over the labels of average precision (Kosti et al. 2020; scikit-learn)",
    has_labels,
    scored_row,
    _mean_precision,
)
MULTI_MACRO_F1 = Metric(
    "multi_macro_f1",
    "Macro F1 of sets",
    "mean over the labels that occur of F1; probabilities hold from 0.5 (scikit-learn)",
    has_labels,
    chosen_row,
    _set_f1("macro"),
    missed=none_chosen,
)
MULTI_MICRO_F1 = Metric(
    "multi_micro_f1",
    "Micro F1 of sets",
    "F1 over all pairs of sample and label (scikit-learn)",
    has_labels,
    chosen_row,
    _set_f1("micro"),
    missed=none_chosen,
)
