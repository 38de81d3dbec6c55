"""Alignment with the votes of many people: not only the label, but how far people agree.

Where people also judged the face alone and the context alone, systems are held against all three,
and their shift, both against the face alone, against people's (`kuleshov.evals.protocols.shift`).
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from kuleshov.evals.harness import evaluate
from kuleshov.evals.harness.systems import BASELINES, Outcome
from kuleshov.evals.metrics import votes
from kuleshov.evals.protocols import shift
from kuleshov.evals.protocols.base import Findings, Protocol, ResultTable, Trial, format_cells
from kuleshov.studies import statistics
from kuleshov.tools.errors import KuleshovError

DEFAULT = ("face", "context", "people", "text", "majority", "chance")


def run_votes(trial: Trial) -> Findings:
    found = trial.found
    names = found.labels.names
    if not any(target.votes is not None for target in found.targets):
        raise KuleshovError(f"protocol votes needs people's votes, which {found.task.name} lacks.")
    left_out = evaluate.run_systems(
        found,
        trial.wanted or DEFAULT,
        trial.load,
        watch=trial.watch,
        lenient=not trial.wanted,
        changes=trial.changes,
        **trial.options,
    )
    rows: list[tuple[str, ...]] = []
    numbers: dict[str, float | None] = {}
    for system, outcomes in found.outcomes.items():
        answers = [outcome.answer for outcome in outcomes]
        js = trial.figure(answers, "js_divergence")
        cross = trial.figure(answers, "soft_cross_entropy")
        joined = with_system(trial, outcomes)
        rho = entropy_correlation(trial, outcomes)
        labels, distributions = label_spread(outcomes)
        numbers |= {
            f"{system}_js": js.value,
            f"{system}_soft_cross_entropy": cross.value,
            f"{system}_alpha": joined,
            f"{system}_uncertainty_rho": rho,
            f"{system}_distributions": float(distributions),
        }
        constant = system in BASELINES and distributions == 1
        rows.append(
            format_cells(system, js, cross, joined, "–" if constant else rho, labels, distributions)
        )
    people = votes.people_alpha(found.targets, names)
    least = votes.people_entropy(found.targets, names)
    numbers |= {"people_alpha": people, "people_entropy": least}
    three_ways, more = shift.shift_tables(trial, found.outcomes)
    numbers |= more
    return PROTOCOL.findings(
        [
            *three_ways,
            ResultTable(
                title="Systems against people's votes",
                head=(
                    "system",
                    "Jensen–Shannon, bits ↓",
                    "cross-entropy, nats ↓",
                    "α with the people ↑",
                    "uncertainty, ρ ↑",
                    "labels used",
                    "distinct answers",
                ),
                rows=tuple(rows),
                note="α: Krippendorff, the system's first label as one more coder among the people."
                " ρ: Spearman between the entropy of people's votes and of the system's answer. "
                "Distinct answers: distributions that differ in the second decimal.",
            ),
            ResultTable(
                title="The people among themselves",
                head=("α", "least cross-entropy, nats"),
                rows=(format_cells(people, least),),
            ),
        ],
        numbers=numbers,
        notes=tuple(f"{name} was not run: {why}" for name, why in left_out.items()),
    )


def with_system(trial: Trial, outcomes: list[Outcome]) -> float | None:
    """α over people's votes and the system's first label as one more coder.

    None where the votes are shares, so that the coders cannot be counted.
    """
    names = trial.found.labels.names
    counts = []
    for target, outcome in zip(trial.found.targets, outcomes, strict=True):
        top = outcome.answer.top if outcome.answer else None
        if target.votes is None or top not in names:
            continue
        row = [float(target.votes.get(name, 0)) for name in names]
        row[names.index(str(top))] += 1
        counts.append(row)
    if not counts or not np.allclose(counts, np.rint(counts)):
        return None
    value = statistics.alpha_of_counts(np.array(counts))
    return value if math.isfinite(value) else None


def entropy_correlation(trial: Trial, outcomes: list[Outcome]) -> float | None:
    """Spearman's ρ between the entropies; None where one side never changes."""
    from scipy.stats import entropy, spearmanr

    pairs = [
        (
            entropy(list((target.distribution or {}).values())),
            entropy(list(outcome.answer.probabilities.values())),
        )
        for target, outcome in zip(trial.found.targets, outcomes, strict=True)
        if target.votes is not None and outcome.answer and outcome.answer.probabilities
    ]
    if len(pairs) < 3 or (np.ptp(np.array(pairs), axis=0) < 1e-9).any():
        return None
    return float(spearmanr(*zip(*pairs, strict=True)).statistic)


def label_spread(outcomes: list[Outcome]) -> tuple[int, int]:
    """How many labels a system uses as its first, and how many distributions it gives at all."""
    given = [o.answer for o in outcomes if o.answer and o.answer.probabilities]
    labels = Counter(answer.top for answer in given)
    shapes = {tuple(round(p, 2) for p in (answer.probabilities or {}).values()) for answer in given}
    return len(labels), len(shapes)


PROTOCOL = Protocol(
    "votes",
    "Alignment with human vote distributions",
    "Does the system's distribution follow how far people agree, not only their first label?",
    "Barsoum et al. (2016), ICMI; Krippendorff (2004); Lin (1991)",
    run_votes,
)
