"""What a metric is, and a figure: its value with an interval, and what could not be counted."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from kuleshov.evals.types import Answer, Target
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.types import Record

Numbers = NDArray[np.float64]
Names = tuple[str, ...]

RESAMPLES = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Metric:
    """One way of comparing answers with targets.

    Each sample becomes a row of numbers, and the metric is computed from all rows, so that rows
    can be drawn again for an interval.

    Attributes:
        source: publication of the definition, and the library that computes it.
        best: which way is better; None: neither, it is a quantity.
        counts: whether a target has what the metric compares; a sample without does not count.
        row: numbers of one sample, None where the answer lacks what the metric compares: that
            sample is unanswered.
        compute: the figure from rows (n, width); NaN where it is not defined.
        missed: the row of an unanswered sample that makes it count as wrong; None: an unanswered
            sample cannot be counted as wrong.
    """

    name: str
    title: str
    source: str
    counts: Callable[[Target], bool]
    row: Callable[[Target, Answer, Names], Sequence[float] | None]
    compute: Callable[[Numbers, Names], float]
    best: Literal["higher", "lower"] | None = "higher"
    range: tuple[float, float] | None = (0, 1)
    missed: Callable[[Target, Names], Sequence[float]] | None = None


class Figure(Record):
    """A metric over samples.

    low, high: bounds of the interval, percentile bootstrap; None where it could not be had.
    strict: the same with every unanswered sample counted as wrong, where that has a meaning.
    """

    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    level: float = LEVEL
    n: int = Field(ge=0, description="samples that were answered and count")
    unanswered: int = Field(ge=0, description="samples that count and have no readable answer")
    left_out: int = Field(0, ge=0, description="samples whose target lacks what is compared")
    groups: int | None = Field(None, description="resampled as wholes; None: every sample alone")
    strict: float | None = None
    resamples: int = 0
    seed: int | None = None
    why: str | None = Field(None, description="why there is no value or no interval")


@dataclass(frozen=True)
class Rows:
    """The samples that a metric compares: rows (n, width), and each row's group or None."""

    rows: Numbers
    groups: tuple[str, ...] | None
    missed: Numbers | None
    unanswered: int
    left_out: int
    places: tuple[int, ...]
    missed_places: tuple[int, ...]


def rows_of(
    metric: Metric,
    targets: Sequence[Target],
    answers: Sequence[Answer | None],
    names: Names,
    groups: Sequence[str | None] | None = None,
) -> Rows:
    """Prepare samples for a metric; None is an answer that is not there at all."""
    if len(targets) != len(answers) or (groups is not None and len(groups) != len(targets)):
        raise ValueError("targets, answers and groups must be of one length")
    found: list[Sequence[float]] = []
    missed: list[Sequence[float]] = []
    places: list[int] = []
    missed_places: list[int] = []
    left_out = unanswered = 0
    for place, (target, answer) in enumerate(zip(targets, answers, strict=True)):
        if not metric.counts(target):
            left_out += 1
            continue
        row = None if answer is None else metric.row(target, answer, names)
        if row is None:
            unanswered += 1
            if metric.missed is not None:
                missed.append(metric.missed(target, names))
                missed_places.append(place)
        else:
            found.append(row)
            places.append(place)
    own = None
    if groups is not None and any(groups[place] is not None for place in places):
        # a sample without a group is a group of its own
        own = tuple(
            str(g) if (g := groups[place]) is not None else f"\0{place}" for place in places
        )
    return Rows(
        rows=np.array(found, float).reshape(len(found), len(found[0]) if found else 0),
        groups=own,
        missed=np.array(missed, float) if missed else None,
        unanswered=unanswered,
        left_out=left_out,
        places=tuple(places),
        missed_places=tuple(missed_places),
    )


def measure_figure(
    metric: Metric,
    targets: Sequence[Target],
    answers: Sequence[Answer | None],
    names: Sequence[str] = (),
    *,
    groups: Sequence[str | None] | None = None,
    parts: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> Figure:
    """A metric with its interval.

    Args:
        targets, answers: one of each a sample; None is an answer that failed altogether.
        names: the labels, in the label set's order; () where the metric needs none.
        groups: subject or video of each sample; whole groups are drawn, since samples of one
            subject are not independent.
        parts: part of each sample, e.g. its fold: the metric is computed in each part, and the
            figure is the mean over the parts.
        resamples: of the bootstrap; 0: no interval.
        seed: of the bootstrap.
    """
    order = tuple(names)
    rows = rows_of(metric, targets, answers, order, groups)
    facts: dict[str, Any] = {
        "metric": metric.name,
        "n": len(rows.rows),
        "unanswered": rows.unanswered,
        "left_out": rows.left_out,
        "level": level,
    }
    if not len(rows.rows):
        why = "no sample was answered" if rows.unanswered else "no sample has what it compares"
        return Figure(value=None, why=why, **facts)
    of_rows = None if parts is None else np.array([parts[place] for place in rows.places])

    def compute(table: Numbers, of: Any) -> float:
        if of is None:
            return metric.compute(table, order)
        return float(np.mean([metric.compute(table[of == part], order) for part in np.unique(of)]))

    value = finite_value(compute(rows.rows, of_rows))
    if metric.missed is not None:
        every, of_every = rows.rows, of_rows
        if rows.missed is not None:
            every = np.concatenate([every, rows.missed])
            if parts is not None:
                lost = [parts[place] for place in rows.missed_places]
                of_every = np.concatenate([of_rows, np.array(lost)])
        facts["strict"] = finite_value(compute(every, of_every))
    if value is None:
        return Figure(value=None, why="it is not defined for these samples", **facts)
    interval = bootstrap_interval(
        lambda drawn: compute(rows.rows[drawn], None if of_rows is None else of_rows[drawn]),
        len(rows.rows),
        rows.groups,
        resamples=resamples,
        seed=seed,
        level=level,
    )
    return Figure(value=value, **interval, **facts)


def finite_value(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def bootstrap_interval(
    statistic: Callable[[NDArray[np.intp]], float],
    n: int,
    groups: Sequence[str] | None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, Any]:
    """Percentile interval of a statistic of rows 0…n-1, drawn alone or by groups.

    scipy.stats.bootstrap over the units (Efron & Tibshirani 1993, ch. 13). Draws where the
    statistic is not defined are left out and told.
    """
    from scipy.stats import bootstrap as resample

    members = [np.array([row]) for row in range(n)]
    if groups is not None:
        by_group: dict[str, list[int]] = {}
        for row, group in enumerate(groups):
            by_group.setdefault(group, []).append(row)
        members = [np.array(rows) for rows in by_group.values()]
    found: dict[str, Any] = {"groups": None if groups is None else len(members)}
    if not resamples:
        return found
    if len(members) < 2:
        one = "one group" if groups is not None else "one sample"
        return {**found, "why": f"no interval: there is only {one}"}

    def of_units(units: NDArray[np.intp]) -> float:
        return statistic(np.concatenate([members[unit] for unit in units]))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy's on degenerate draws; told by `why` instead
        result = resample(
            (np.arange(len(members)),),
            of_units,
            vectorized=False,
            n_resamples=resamples,
            method="percentile",
            confidence_level=level,
            random_state=np.random.default_rng(seed),
        )
    drawn = result.bootstrap_distribution
    known = drawn[np.isfinite(drawn)]
    found |= {"resamples": resamples, "seed": seed}
    if len(known) < resamples / 2:
        return {**found, "why": "no interval: it is not defined for most draws"}
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(known, [tail, 100 - tail])
    if len(known) < resamples:
        found["why"] = f"not defined for {resamples - len(known)} of {resamples} draws"
    return {**found, "low": float(low), "high": float(high)}


# ------------------------------------------------------------------------- two systems


class Difference(Record):
    """A metric of system b less that of system a, on the samples that both answered.

    p: two-sided permutation test of no difference: the systems are swapped at random, sample by
    sample, or group by group where samples share a group.
    """

    metric: str
    a: float
    b: float
    value: float
    low: float | None = None
    high: float | None = None
    p: float
    level: float = LEVEL
    n: int
    only_a: int = Field(description="samples that a alone answered: not compared")
    only_b: int = Field(description="samples that b alone answered: not compared")
    groups: int | None = None
    resamples: int
    seed: int | None = None
    why: str | None = None


def measure_difference(
    metric: Metric,
    targets: Sequence[Target],
    a: Sequence[Answer | None],
    b: Sequence[Answer | None],
    names: Sequence[str] = (),
    *,
    groups: Sequence[str | None] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> Difference:
    """Compare two systems on the same samples: paired bootstrap interval, permutation test.

    Raises:
        KuleshovError: they have no answered sample in common, or the metric is not defined there.
    """
    order = tuple(names)
    first = rows_of(metric, targets, a, order, groups)
    second = rows_of(metric, targets, b, order, groups)
    at_a = {place: row for row, place in enumerate(first.places)}
    at_b = {place: row for row, place in enumerate(second.places)}
    both = [place for place in first.places if place in at_b]
    ours = first.rows[[at_a[place] for place in both]] if both else first.rows[:0]
    theirs = second.rows[[at_b[place] for place in both]] if both else second.rows[:0]
    values = [
        finite_value(metric.compute(rows, order)) if both else None for rows in (ours, theirs)
    ]
    if values[0] is None or values[1] is None:
        raise KuleshovError(
            f"{metric.name} cannot be compared: {len(both)} samples were answered by both systems"
            f"{'' if not both else ', and it is not defined for them'}."
        )
    own = None if first.groups is None else tuple(first.groups[at_a[place]] for place in both)

    def between(x: Numbers, y: Numbers) -> float:
        return metric.compute(y, order) - metric.compute(x, order)

    interval = bootstrap_interval(
        lambda drawn: between(ours[drawn], theirs[drawn]),
        len(both),
        own,
        resamples=resamples,
        seed=seed,
        level=level,
    )
    observed = values[1] - values[0]
    draws = max(resamples, RESAMPLES)
    return Difference(
        metric=metric.name,
        a=values[0],
        b=values[1],
        value=observed,
        p=_swap_share(between, ours, theirs, own, observed, draws, seed),
        level=level,
        n=len(both),
        only_a=len(first.places) - len(both),
        only_b=len(second.places) - len(both),
        **{"resamples": 0, **interval},
    )


def _swap_share(
    between: Callable[[Numbers, Numbers], float],
    ours: Numbers,
    theirs: Numbers,
    groups: Sequence[str] | None,
    observed: float,
    draws: int,
    seed: int,
) -> float:
    """Share of random swaps whose difference is as large, the observed one among them.

    scipy.stats.permutation_test swaps samples but no groups of samples, hence a loop of our own
    (Phipson & Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9, 39: one is added to both counts).
    """
    random = np.random.default_rng(seed)
    keys = list(groups) if groups is not None else list(range(len(ours)))
    unit = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    of_row = np.array([unit[key] for key in keys])
    hits = 0
    for _ in range(draws):
        swap = (random.random(len(unit)) < 0.5)[of_row][:, None]
        value = between(np.where(swap, theirs, ours), np.where(swap, ours, theirs))
        hits += not math.isfinite(value) or abs(value) >= abs(observed) - 1e-12
    return (hits + 1) / (draws + 1)
