"""Against people who judged the face alone, the context alone, and both: readings and shifts.

The shift is what both together change against the face alone. People's shift is held against a
system's, and against the shift of the other half of the people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuleshov.evals.harness.systems import BASELINES, Outcome
from kuleshov.evals.metrics.base import Figure, bootstrap_interval, finite_value
from kuleshov.evals.protocols.base import ResultTable, Trial, format_cells
from kuleshov.evals.types import Target

LEAST = 1e-6  # of a probability in a divergence
ALONE = ("face", "context")


@dataclass(frozen=True)
class Judged:
    """Samples that people judged in all three conditions and every system answered.

    people: by condition shares, (samples, labels). given: by system, the same. n: by condition how
    many judged. groups: of each sample, the face or subject that samples share.
    """

    places: list[int]
    people: dict[str, NDArray[np.float64]]
    given: dict[str, NDArray[np.float64]]
    n: dict[str, NDArray[np.float64]]
    groups: list[str]


def judged_three_ways(target: Target) -> bool:
    return None not in (target.votes, target.face_votes, target.context_votes)


def shift_tables(
    trial: Trial, outcomes: Mapping[str, list[Outcome]]
) -> tuple[list[ResultTable], dict[str, float | None]]:
    """The two tables and their numbers; none where people did not judge all three."""
    found = _judged_samples(trial, outcomes)
    if found is None:
        return [], {}
    numbers: dict[str, float | None] = {}
    rows = []
    for condition, systems in (
        ("face", ["face"]),
        ("context", ["context"]),
        ("both", list(found.given)),
    ):
        for system in systems:
            r, kl = _against_people(trial, found, condition, system)
            numbers |= {f"{condition}_{system}_r": r.value, f"{condition}_{system}_kl": kl.value}
            rows.append(format_cells(CONDITIONS[condition], system, r, kl))
    ceiling = _shift_ceiling([trial.found.targets[place] for place in found.places], trial)
    numbers["shift_ceiling_r"] = ceiling
    shifts = []
    for system in found.given:
        if system in ALONE[:1]:
            continue
        r = _system_shift(trial, found, system)
        share = None if r.value is None or not ceiling else r.value / ceiling
        numbers |= {f"shift_{system}_r": r.value, f"shift_{system}_share": share}
        shifts.append(format_cells(system, r, share))
    return [
        ResultTable(
            title="Readings against people's, by condition",
            head=("people judged", "system", "r ↑", "Kullback–Leibler, nats ↓"),
            rows=tuple(rows),
            note="r: Pearson over samples and labels. Divergence from people's shares to the "
            "system's, weighted by judges. mean: of the system's face alone and context alone. "
            "Intervals by group (face or subject); of one condition alone by what was judged.",
        ),
        ResultTable(
            title="The shift: both together against the face alone",
            head=("system", "r with people's shift ↑", "share of the noise ceiling"),
            rows=tuple(shifts),
            note=f"The ceiling is r = {ceiling:.3f}, the root of the reliability of people's shift "
            "(split halves, Spearman-Brown)."
            if ceiling
            else "No halves of the judges are known, so there is no ceiling.",
        ),
    ], numbers


CONDITIONS = {"face": "the face alone", "context": "the context alone", "both": "both"}


def _judged_samples(trial: Trial, outcomes: Mapping[str, list[Outcome]]) -> Judged | None:
    names = trial.found.labels.names
    targets = trial.found.targets
    systems = [name for name in outcomes if name not in BASELINES]
    if not all(name in systems for name in ALONE):
        return None
    places = [
        place
        for place, target in enumerate(targets)
        if judged_three_ways(target)
        and all(_outcome_shares(outcomes[name][place], names) is not None for name in systems)
    ]
    if len(places) < 2:
        return None
    kept = [targets[place] for place in places]
    people, n = {}, {}
    for condition, votes in (
        ("face", [target.face_votes for target in kept]),
        ("context", [target.context_votes for target in kept]),
        ("both", [target.votes for target in kept]),
    ):
        table = np.array([[float((one or {}).get(name, 0.0)) for name in names] for one in votes])
        n[condition] = table.sum(axis=1)
        people[condition] = table / n[condition][:, None]
    given = {
        name: np.array([_outcome_shares(outcomes[name][place], names) for place in places])
        for name in systems
    }
    given["mean"] = (given["face"] + given["context"]) / 2
    groups = [trial.found.groups[place] or f"\0{place}" for place in places]
    return Judged(places, people, given, n, groups)


def _outcome_shares(outcome: Outcome, names: Sequence[str]) -> list[float] | None:
    given = outcome.answer.probabilities if outcome.answer else None
    if given is None or any(name not in given for name in names):
        return None
    total = sum(given[name] for name in names)
    return [given[name] / total for name in names] if total > 0 else None


def _against_people(
    trial: Trial, found: Judged, condition: str, system: str
) -> tuple[Figure, Figure]:
    """r and divergence; of one condition alone each face (context) counts once."""
    people, given = found.people[condition], found.given[system]
    n, groups = found.n[condition], found.groups
    if condition != "both":
        # a context is read beside each face: the mean of these readings
        _, first, which = np.unique(people, axis=0, return_index=True, return_inverse=True)
        which = np.ravel(which)
        given = np.array([given[which == i].mean(axis=0) for i in range(len(first))])
        people, n = people[first], n[first]
        groups = [str(i) for i in range(len(first))]
    return (
        _make_figure(trial, "r", lambda d: score_correlation(people[d], given[d]), groups),
        _make_figure(trial, "kl", lambda d: kl_divergence(people[d], given[d], n[d]), groups),
    )


def _system_shift(trial: Trial, found: Judged, system: str) -> Figure:
    people = found.people["both"] - found.people["face"]
    given = found.given[system] - found.given["face"]
    return _make_figure(trial, "r", lambda d: score_correlation(people[d], given[d]), found.groups)


def score_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Pearson's r over samples and labels; NaN where one side does not vary."""
    a, b = first.ravel(), second.ravel()
    if a.std() < 1e-12 or b.std() < 1e-12:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def kl_divergence(
    people: NDArray[np.float64], given: NDArray[np.float64], n: NDArray[np.float64]
) -> float:
    """Mean Kullback-Leibler divergence KL(people || given), nats, weighted by judges."""
    from scipy.special import rel_entr

    return float(np.average(rel_entr(people, np.maximum(given, LEAST)).sum(axis=1), weights=n))


def _shift_ceiling(targets: Sequence[Target], trial: Trial) -> float | None:
    """How well people's shift can be predicted at all; None: no halves are known."""
    names = trial.found.labels.names
    splits = min((len(target.halves or ()) for target in targets), default=0)
    found = []
    for i in range(splits):
        sides = []
        for side in (0, 1):
            rows = []
            for target in targets:
                half: Mapping[str, Any] = (target.halves or ())[i]
                both, face = half["both"][side], half["face"][side]
                rows.append([both.get(name, 0.0) - face.get(name, 0.0) for name in names])
            sides.append(np.array(rows))
        found.append(score_correlation(*sides))
    r = float(np.mean(found)) if found else float("nan")
    reliability = finite_value(2 * r / (1 + r))
    return None if reliability is None or reliability <= 0 else float(np.sqrt(reliability))


def _make_figure(trial: Trial, name: str, statistic: Any, groups: Sequence[str]) -> Figure:
    every = np.arange(len(groups))
    value = finite_value(statistic(every))
    if value is None:
        why = "one side does not vary"
        return Figure(metric=name, value=None, n=len(groups), unanswered=0, why=why)
    own = None if len(set(groups)) == len(groups) else list(groups)
    interval = bootstrap_interval(
        statistic, len(groups), own, resamples=trial.resamples, seed=trial.seed
    )
    return Figure(metric=name, value=value, n=len(groups), unanswered=0, **interval)
