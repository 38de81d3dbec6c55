"""Against the whole distribution of people's votes: cross-entropy, divergence, agreement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

import numpy as np

from kuleshov.evals.metrics.base import Metric, Names, Numbers
from kuleshov.evals.metrics.classes import label_place
from kuleshov.evals.types import Answer, Target
from kuleshov.evidence.influence import js_divergence
from kuleshov.studies import statistics

FLOOR = 1e-6
"""Least probability in a cross-entropy: one label ruled out must not make the mean infinite."""


def has_votes(target: Target) -> bool:
    return target.votes is not None


def both_distributions(
    target: Target, answer: Answer, names: Names
) -> tuple[dict[str, float], dict[str, float]] | None:
    """People's and the system's distribution over the labels; None: the system gave none."""
    given = answer.probabilities
    if given is None or any(name not in given for name in names):
        return None
    shares = target.distribution or {}
    for label, share in shares.items():
        if share:
            label_place(label, names)
    total = sum(given[name] for name in names)
    if total <= 0:
        return None
    return (
        {name: shares.get(name, 0.0) for name in names},
        {name: given[name] / total for name in names},
    )


def _cross_entropy(target: Target, answer: Answer, names: Names) -> Sequence[float] | None:
    from scipy.special import xlogy

    pair = both_distributions(target, answer, names)
    if pair is None:
        return None
    people, said = (np.array(list(side.values())) for side in pair)
    return (float(-xlogy(people, np.maximum(said, FLOOR)).sum()),)


def _vote_divergence(target: Target, answer: Answer, names: Names) -> Sequence[float] | None:
    pair = both_distributions(target, answer, names)
    return None if pair is None else (js_divergence(*pair),)


def _mean_row(rows: Numbers, names: Names) -> float:
    return float(rows.mean())


def people_alpha(targets: Sequence[Target], names: Sequence[str]) -> float | None:
    """Krippendorff's α of the people among themselves, from their votes: how far they agree.

    What a data set left out of its votes (FER+: labels with a single vote) is not in it. None
    where it is not defined, or where votes are shares and not counts.
    """
    counts = np.array(
        [[(t.votes or {}).get(name, 0) for name in names] for t in targets if t.votes is not None]
    )
    if not counts.size or not np.allclose(counts, np.rint(counts)):
        return None
    value = statistics.alpha_of_counts(counts)
    return value if math.isfinite(value) else None


def people_entropy(targets: Sequence[Target], names: Sequence[str]) -> float | None:
    """Mean entropy of people's votes, nats: the least cross-entropy that any system can have."""
    from scipy.stats import entropy

    shares = [t.distribution for t in targets if t.votes is not None]
    if not shares:
        return None
    return fmean(float(entropy([(s or {}).get(name, 0.0) for name in names])) for s in shares)


SOFT_CROSS_ENTROPY = Metric(
    "soft_cross_entropy",
    "Soft-label cross-entropy",
    f"−Σ p(people) ln p(system), nats, probabilities from {FLOOR:g} (Barsoum et al. 2016; scipy)",
    has_votes,
    _cross_entropy,
    _mean_row,
    best="lower",
    range=None,
)
JS_DIVERGENCE = Metric(
    "js_divergence",
    "Jensen–Shannon divergence",
    "mean divergence in bits, base 2, not its root (Lin 1991; scipy)",
    has_votes,
    _vote_divergence,
    _mean_row,
    best="lower",
)
