"""Valence and arousal over time or over pictures, both sides on −1…1.

Computed over all samples of the test at once, never as a mean over batches.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np

from kuleshov.evals.metrics.base import Metric, Names, Numbers
from kuleshov.evals.types import Answer, Target
from kuleshov.tools.errors import KuleshovError


def concordance_ccc(rows: Numbers, names: Names = ()) -> float:
    try:
        import audmetric
    except ImportError:
        raise KuleshovError(
            "the concordance correlation needs audmetric: run `pip install 'kuleshov[evals]'`."
        ) from None
    return float(audmetric.concordance_cc(rows[:, 0], rows[:, 1]))


def pearson_pcc(rows: Numbers, names: Names = ()) -> float:
    from scipy.stats import pearsonr

    if len(rows) < 2 or (np.ptp(rows, axis=0) == 0).any():
        return math.nan
    return float(pearsonr(rows[:, 0], rows[:, 1]).statistic)


def error_rmse(rows: Numbers, names: Names = ()) -> float:
    from sklearn.metrics import root_mean_squared_error

    return float(root_mean_squared_error(rows[:, 0], rows[:, 1]))


def sign_agreement(rows: Numbers, names: Names = ()) -> float:
    """Share of samples of which both sides have one sign; 0 agrees with 0 alone."""
    return float((np.sign(rows[:, 0]) == np.sign(rows[:, 1])).mean())


def _affect_metrics(dimension: Literal["valence", "arousal"]) -> tuple[Metric, ...]:
    def counts(target: Target) -> bool:
        return getattr(target, dimension) is not None

    def row(target: Target, answer: Answer, names: Names) -> tuple[float, float] | None:
        said = getattr(answer, dimension)
        return None if said is None else (getattr(target, dimension), said)

    kinds: tuple[
        tuple[
            str,
            str,
            Callable[[Numbers, Names], float],
            Literal["higher", "lower"],
            tuple[float, float],
        ],
        ...,
    ] = (
        (
            "ccc",
            "Lin (1989), concordance correlation (audmetric)",
            concordance_ccc,
            "higher",
            (-1, 1),
        ),
        ("pcc", "Pearson's r (scipy)", pearson_pcc, "higher", (-1, 1)),
        ("rmse", "root mean squared error on −1…1 (scikit-learn)", error_rmse, "lower", (0, 2)),
        (
            "sagr",
            "sign agreement (Nicolaou, Gunes & Pantic 2011, IEEE Trans. Affective Computing 2)",
            sign_agreement,
            "higher",
            (0, 1),
        ),
    )
    return tuple(
        Metric(
            f"{dimension}_{name}",
            f"{name.upper()} of {dimension}",
            source,
            counts,
            row,
            compute,
            best=best,
            range=span,
        )
        for name, source, compute, best, span in kinds
    )


METRICS = (*_affect_metrics("valence"), *_affect_metrics("arousal"))
