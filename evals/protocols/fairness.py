"""Is it as good for everybody? Only by what annotators noted of the people; nothing is guessed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kuleshov.evals.harness import evaluate
from kuleshov.evals.harness.report.tables import better_arrow, metric_title
from kuleshov.evals.metrics import registry
from kuleshov.evals.metrics.base import Figure, bootstrap_interval, rows_of
from kuleshov.evals.protocols.base import Findings, Protocol, ResultTable, Trial, format_cells
from kuleshov.evals.protocols.hallucination import ABSENT, OBJECTS
from kuleshov.evals.types import Answer, Target
from kuleshov.tools.errors import KuleshovError

DEFAULT = ("face", "context", "people", "text")
FEWEST = 10
"""Answered samples of a slice; below, no figure is told."""
MOST = 12  # values of a slice that are set side by side


def run_fairness(trial: Trial) -> Findings:
    found = trial.found
    slices = _sample_slices(trial)
    if not slices:
        raise KuleshovError(
            f"protocol fairness needs what annotators noted of the people, and {found.task.name} "
            "does not say (of a manifest every further column is a slice); nothing is guessed."
        )
    left_out = evaluate.run_systems(
        found,
        trial.wanted or DEFAULT,
        trial.load,
        watch=trial.watch,
        lenient=not trial.wanted,
        changes=trial.changes,
        **trial.options,
    )
    metric = trial.primary()
    tables: list[ResultTable] = []
    numbers: dict[str, float | None] = {}
    for name, values in slices.items():
        rows = []
        for system, outcomes in found.outcomes.items():
            answers = [outcome.answer for outcome in outcomes]
            told = []
            for value, places in values.items():
                figure = trial.figure(answers, metric, places)
                if figure.n < FEWEST:
                    figure = figure.model_copy(update={"value": None, "low": None, "high": None})
                told.append(figure)
                numbers[f"{system}, {name} {value}"] = figure.value
            gap, p = widest_gap(
                trial,
                answers,
                [p for p, f in zip(values.values(), told, strict=True) if f.value is not None],
            )
            numbers[f"{system}, {name}: gap"] = gap.value
            numbers[f"{system}, {name}: p"] = p
            rows.append(format_cells(system, *told, gap, p))
        heads = [f"{value} (n = {len(places)})" for value, places in values.items()]
        tables.append(
            ResultTable(
                title=f"{metric_title(metric)}{better_arrow(metric)} by {name}",
                head=("system", *heads, "widest gap", "p"),
                rows=tuple(rows),
                note=f"Slices with fewer than {FEWEST} answered samples have no figure. A gap is "
                "never below 0, so go by p: how often slices drawn at random within each "
                "class lie as far apart.",
            )
        )
    return PROTOCOL.findings(
        tables,
        numbers=numbers,
        notes=tuple(f"{name} was not run: {why}" for name, why in left_out.items()),
    )


def _sample_slices(trial: Trial) -> dict[str, dict[str, list[int]]]:
    """By name of the slice and its value, the places of the samples."""
    found: dict[str, dict[str, list[int]]] = {}
    for place, sample in enumerate(trial.found.known):
        for name, value in sample.slices.items():
            if name not in (OBJECTS, ABSENT):
                found.setdefault(name, {}).setdefault(value, []).append(place)
    # a column with a value of its own for every sample is no slice
    return {
        name: dict(sorted(values.items()))
        for name, values in found.items()
        if 2 <= len(values) <= MOST
    }


def _class_of(target: Target) -> str:
    """What people said the sample is: its label, else the most voted, else all that hold."""
    if target.label is not None:
        return target.label
    if target.votes:
        return max(sorted(target.votes), key=lambda name: (target.votes or {})[name])
    return ", ".join(sorted(target.labels or ()))


def widest_gap(
    trial: Trial, answers: Sequence[Answer | None], slices: Sequence[Sequence[int]]
) -> tuple[Figure, float | None]:
    """Largest less smallest figure over the slices, with an interval over all their samples.

    And p of a permutation test: the share of random assignments of the samples to the slices
    (of whole groups, where a group lies in one slice) whose gap is as large, the observed one
    among them (Phipson & Smyth 2010). Samples change places within their class only: slices that
    hold other shares of the classes, some of which are harder, would differ without any system
    treating anybody otherwise.
    """
    metric = registry.find_metric(trial.primary())
    names = trial.found.labels.names
    of_slice: list[int] = []
    places: list[int] = []
    for number, some in enumerate(slices):
        places += some
        of_slice += [number] * len(some)
    rows = rows_of(
        metric, [trial.found.targets[p] for p in places], [answers[p] for p in places], names
    )
    which = np.array(of_slice, int)[list(rows.places)] if rows.places else np.array([], int)

    def gap(drawn: NDArray[np.intp], of: NDArray[np.intp] = which) -> float:
        values = [
            metric.compute(rows.rows[drawn[of[drawn] == number]], names)
            for number in range(len(slices))
            if (of[drawn] == number).any()
        ]
        return max(values) - min(values) if len(values) > 1 else math.nan

    if len(slices) < 2 or not len(rows.rows):
        why = "one slice alone"
        return Figure(metric=metric.name, value=None, n=0, unanswered=0, why=why), None
    groups = [trial.found.groups[places[place]] for place in rows.places]
    own = None
    if any(group is not None for group in groups):
        own = [group or f"\0{place}" for place, group in enumerate(groups)]
    interval = bootstrap_interval(
        gap, len(rows.rows), own, resamples=trial.resamples, seed=trial.seed
    )
    every = np.arange(len(rows.rows))
    observed = gap(every)
    found = Figure(metric=metric.name, value=observed, n=len(every), unanswered=0, **interval)
    units: dict[object, list[int]] = {}
    for row, slice_ in enumerate(which.tolist()):
        units.setdefault((own[row] if own else row, slice_), []).append(row)
    members = list(units.values())
    slice_of = np.array([which[some[0]] for some in members])
    classes = [_class_of(trial.found.targets[places[place]]) for place in rows.places]
    strata: dict[tuple[str, ...], list[int]] = {}
    for number, some in enumerate(members):
        key = tuple(sorted({classes[row] for row in some}))
        strata.setdefault(key, []).append(number)
    random = np.random.default_rng(trial.seed)
    hits = 0
    for _ in range(trial.resamples):
        drawn_of = slice_of.copy()
        for numbers in strata.values():
            drawn_of[numbers] = random.permutation(slice_of[numbers])
        shuffled = np.empty_like(which)
        for some, value in zip(members, drawn_of, strict=True):
            shuffled[some] = value
        hits += gap(every, shuffled) >= observed - 1e-12
    return found, (hits + 1) / (trial.resamples + 1)


PROTOCOL = Protocol(
    "fairness",
    "Slices",
    "Is it as good for every group of people that the annotators distinguish?",
    "Buolamwini & Gebru (2018), FAT*",
    run_fairness,
)
