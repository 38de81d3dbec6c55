"""One label of several: accuracy, recall, F1, per class and together (scikit-learn).

A label is a number here: its place in the label set. An unanswered sample is -1, which is no label
and can only be wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kuleshov.evals.metrics.base import Metric, Names, Numbers, finite_value
from kuleshov.evals.types import Answer, Target
from kuleshov.studies import statistics
from kuleshov.studies.statistics import Bin
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.types import Record

NONE = -1


def label_place(label: str, names: Names) -> int:
    """The number of a label. Raises KuleshovError if the task does not have it."""
    if label not in names:
        raise KuleshovError(
            f"people answered {label!r}, which is no label of the task; its labels are "
            f"{', '.join(names)}."
        )
    return names.index(label)


def has_label(target: Target) -> bool:
    return target.label is not None


def label_pair(target: Target, answer: Answer, names: Names) -> tuple[float, float] | None:
    """(people's label, the system's); an answer that is no label of the task is not readable."""
    said = answer.top
    if said is None or said not in names:
        return None
    return label_place(target.label or "", names), names.index(said)


def missed_pair(target: Target, names: Names) -> tuple[float, float]:
    return label_place(target.label or "", names), NONE


def _class_score(function: str, **options: Any) -> Callable[[Numbers, Names], float]:
    """A scikit-learn score over the classes that occur among the targets."""

    def compute(rows: Numbers, names: Names) -> float:
        from sklearn import metrics

        truth, said = rows[:, 0].astype(int), rows[:, 1].astype(int)
        if function == "accuracy_score":
            return float(metrics.accuracy_score(truth, said))
        return float(
            getattr(metrics, function)(
                truth, said, labels=np.unique(truth), zero_division=0, **options
            )
        )

    return compute


def _f1_of_all(rows: Numbers, names: Names) -> float:
    """Macro F1 over the classes that occur at all, answered or meant: one never meant counts 0."""
    from sklearn.metrics import f1_score

    truth, said = rows[:, 0].astype(int), rows[:, 1].astype(int)
    occur = np.union1d(truth, said[said != NONE])
    return float(f1_score(truth, said, labels=occur, average="macro", zero_division=0))


def _class_alpha(rows: Numbers, names: Names) -> float:
    counts = np.zeros((len(rows), len(names)))
    for column in (0, 1):
        np.add.at(counts, (np.arange(len(rows)), rows[:, column].astype(int)), 1)
    return statistics.alpha_of_counts(counts)


def _ece_row(target: Target, answer: Answer, names: Names) -> Sequence[float] | None:
    if answer.probabilities is None or any(name not in answer.probabilities for name in names):
        return None
    return (label_place(target.label or "", names), *(answer.probabilities[name] for name in names))


def _class_ece(rows: Numbers, names: Names) -> float:
    return statistics.calibration_error(rows[:, 1:], rows[:, 0].astype(int))


def _class_brier(rows: Numbers, names: Names) -> float:
    return statistics.brier_score(rows[:, 1:], rows[:, 0].astype(int))


def _classwise_ece(rows: Numbers, names: Names) -> float:
    return statistics.classwise_ece(rows[:, 1:], rows[:, 0].astype(int))


def _ap_positive(rows: Numbers, names: Names) -> float:
    """Area under precision over recall at the thresholds 0, 0.001 … 0.999, by trapezoids.

    As the authors of BAH compute it; scikit-learn's average precision is another number.
    """
    from sklearn.metrics import auc

    meant, score = rows[:, 0] == 0, rows[:, 1]
    if not meant.any():
        return math.nan
    found = score[:, None] >= np.arange(0, 1, 0.001)
    hits, said = found[meant].sum(axis=0), found.sum(axis=0)
    precision = np.divide(hits, said, out=np.zeros(len(hits)), where=said > 0)
    return float(auc(hits / meant.sum(), precision))


ACCURACY = Metric(
    "accuracy",
    "Accuracy",
    "share of samples with people's label (scikit-learn)",
    has_label,
    label_pair,
    _class_score("accuracy_score"),
    missed=missed_pair,
)
WAR = Metric(
    "war",
    "WAR",
    "weighted average recall: recall weighted by class size, which is accuracy (scikit-learn)",
    has_label,
    label_pair,
    _class_score("recall_score", average="weighted"),
    missed=missed_pair,
)
UAR = Metric(
    "uar",
    "UAR",
    "unweighted average recall: mean recall of the classes that occur (scikit-learn)",
    has_label,
    label_pair,
    _class_score("recall_score", average="macro"),
    missed=missed_pair,
)
WEIGHTED_F1 = Metric(
    "weighted_f1",
    "Weighted F1",
    "F1 of each class weighted by its size (scikit-learn)",
    has_label,
    label_pair,
    _class_score("f1_score", average="weighted"),
    missed=missed_pair,
)
MACRO_F1 = Metric(
    "macro_f1",
    "Macro F1",
    "mean F1 of the classes that occur in targets or answers (scikit-learn)",
    has_label,
    label_pair,
    _f1_of_all,
    missed=missed_pair,
)
ALPHA = Metric(
    "alpha",
    "Krippendorff's α",
    "system and people as two coders, nominal (Krippendorff 2004; package krippendorff)",
    has_label,
    label_pair,
    _class_alpha,
    range=(-1, 1),
)
ECE = Metric(
    "ece",
    "Calibration error",
    "expected calibration error of the first label, ten bins (Naeini et al. 2015)",
    has_label,
    _ece_row,
    _class_ece,
    best="lower",
)
BRIER = Metric(
    "brier",
    "Brier score",
    "squared distance from the label, over all labels, 0 to 2 (Brier 1950)",
    has_label,
    _ece_row,
    _class_brier,
    range=(0, 2),
    best="lower",
)
CLASSWISE_ECE = Metric(
    "classwise_ece",
    "Class-wise calibration error",
    "expected calibration error of each label's probability, averaged, ten bins (Kull et al. 2019)",
    has_label,
    _ece_row,
    _classwise_ece,
    best="lower",
)
AP_POSITIVE = Metric(
    "ap_positive",
    "AP of the positive class",
    "area under precision over recall of the set's first label (González-González et al. 2026)",
    has_label,
    _ece_row,
    _ap_positive,
)


# ---------------------------------------------------------------------------------- tables


class ClassScores(Record):
    """One class: how often people meant it, and how well it was found.

    precision is None where the system never said it, average_precision where it gave no
    probabilities or nobody meant the class.
    """

    label: str
    n: int
    precision: float | None
    recall: float | None
    f1: float | None
    average_precision: float | None = None


def per_class(
    targets: Sequence[Target], answers: Sequence[Answer | None], names: Sequence[str]
) -> list[ClassScores]:
    """Each class over the answered samples with a label."""
    from sklearn.metrics import average_precision_score, precision_recall_fscore_support

    order = tuple(names)
    known = [
        (target, answer, row)
        for target, answer in zip(targets, answers, strict=True)
        if has_label(target) and answer is not None and (row := label_pair(target, answer, order))
    ]
    truth = np.array([row[0] for *_, row in known], int)
    said = np.array([row[1] for *_, row in known], int)
    numbers = range(len(order))
    if not known:
        return [ClassScores(label=n, n=0, precision=None, recall=None, f1=None) for n in order]
    precision, recall, f1, count = precision_recall_fscore_support(
        truth, said, labels=list(numbers), zero_division=np.nan
    )
    scored = all(
        a.probabilities is not None and all(n in a.probabilities for n in order)
        for _, a, _ in known
    )
    table = []
    for number, name in enumerate(order):
        ap = None
        if scored and (truth == number).sum() > 0:
            scores = [(a.probabilities or {})[name] for _, a, _ in known]
            ap = float(average_precision_score(truth == number, scores))
        table.append(
            ClassScores(
                label=name,
                n=int(count[number]),
                precision=finite_value(precision[number]),
                recall=finite_value(recall[number]),
                f1=finite_value(f1[number]),
                average_precision=ap,
            )
        )
    return table


class Confusion(Record):
    """Samples by people's label (rows) and the system's (columns), both in the order of `labels`.

    unanswered: samples of each of people's labels without a readable answer.
    """

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    unanswered: tuple[int, ...]


def confusion_matrix(
    targets: Sequence[Target], answers: Sequence[Answer | None], names: Sequence[str]
) -> Confusion:
    from sklearn.metrics import confusion_matrix

    order = tuple(names)
    lost = [0] * len(order)
    pairs = []
    for target, answer in zip(targets, answers, strict=True):
        if not has_label(target):
            continue
        row = None if answer is None else label_pair(target, answer, order)
        if row is None:
            lost[label_place(target.label or "", order)] += 1
        else:
            pairs.append(row)
    numbers = np.array(pairs, int).reshape(-1, 2)
    counts = (
        confusion_matrix(numbers[:, 0], numbers[:, 1], labels=range(len(order)))
        if pairs
        else np.zeros((len(order), len(order)), int)
    )
    return Confusion(labels=order, counts=tuple(map(tuple, counts.tolist())), unanswered=lost)


def answer_reliability(
    targets: Sequence[Target],
    answers: Sequence[Answer | None],
    names: Sequence[str],
    bins: int = 10,
) -> list[Bin]:
    """The reliability diagram of the answers with probabilities; [] where there are none."""
    order = tuple(names)
    rows = [
        row
        for target, answer in zip(targets, answers, strict=True)
        if has_label(target) and answer is not None and (row := _ece_row(target, answer, order))
    ]
    if not rows:
        return []
    table = np.array(rows, float)
    return statistics.reliability_bins(table[:, 1:], table[:, 0].astype(int), bins)
