"""Counting an evaluation: every metric of the task for every system, with intervals and tables."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import Field

from kuleshov.evals.datasets.base import Task
from kuleshov.evals.harness import systems
from kuleshov.evals.harness.evaluate import Evaluation
from kuleshov.evals.harness.systems import Outcome
from kuleshov.evals.metrics import classes, multilabel, registry
from kuleshov.evals.metrics.base import RESAMPLES, Figure, measure_figure, rows_of
from kuleshov.evals.metrics.classes import ClassScores, Confusion
from kuleshov.evals.types import Answer, Target
from kuleshov.runs import store
from kuleshov.studies.statistics import Bin
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.types import Record

SCHEMA = "kuleshov/eval-results@1"
RESULTS = "results.json"


class SystemScores(Record):
    """One system over the samples that its run has read.

    states: samples answered, unanswered (no readable answer), failed (could not be read at all).
    reasons: why samples have no answer, and how many of each.
    """

    system: str
    title: str
    run: str = Field(description="the run directory that its answers are from, inside the folder")
    states: dict[str, int]
    reasons: dict[str, int] = {}
    figures: tuple[Figure, ...]
    classes: tuple[ClassScores, ...] = ()
    confusion: Confusion | None = None
    reliability: tuple[Bin, ...] = ()

    def figure(self, metric: str) -> Figure:
        return next(figure for figure in self.figures if figure.metric == metric)


class Scores(Record):
    """All that an evaluation came to: `results.json`."""

    schema_: str = Field(SCHEMA, alias="schema")
    facts: dict[str, Any] = Field(description="what was evaluated: task, data, split, samples …")
    task: dict[str, Any] = Field(description="title, licence, source, protocol of the task")
    metrics: tuple[str, ...]
    systems: tuple[SystemScores, ...]
    published: tuple[dict[str, Any], ...] = ()
    people: dict[str, float | None] = Field({}, description="agreement of the people, where told")
    not_run: dict[str, str] = Field({}, description="system to why it was not run")
    notes: tuple[str, ...] = ()
    provenance: dict[str, Any] = Field({}, description="by run: model, face tool, settings …")


def score_evaluation(
    found: Evaluation,
    *,
    metrics: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    wheels: str | Path | None = None,
    not_run: Mapping[str, str] | None = None,
) -> Scores:
    """Count the systems whose outcomes have been read.

    Args:
        metrics: names; None: those of the task.
        wheels: folder of the emotion wheels, for the metrics that need them.
    """
    names = tuple(metrics or found.task.metrics)
    usable = []
    notes = []
    for name in names:
        try:
            registry.find_metric(name, wheels)
            usable.append(name)
        except KuleshovError as error:
            if metrics is not None:
                raise
            notes.append(str(error))
    told = [
        _score_system(found, name, outcomes, usable, resamples, wheels)
        for name, outcomes in found.outcomes.items()
    ]
    return Scores(
        facts=found.facts,
        task=task_facts(found.task),
        metrics=tuple(usable),
        systems=tuple(told),
        published=tuple(asdict(result) for result in found.task.published),
        people=_people_agreement(found),
        not_run=dict(not_run or {}),
        notes=tuple(notes),
        provenance={run: _run_provenance(found, run) for run in dict.fromkeys(s.run for s in told)},
    )


def task_facts(task: Task) -> dict[str, Any]:
    parts = (
        "name",
        "title",
        "licence",
        "source",
        "kind",
        "protocol",
        "unit",
        "from_memory",
        "mean_of_folds",
    )
    return {part: getattr(task, part) for part in parts}


def _score_system(
    found: Evaluation,
    name: str,
    outcomes: Sequence[Outcome],
    metrics: Sequence[str],
    resamples: int,
    wheels: str | Path | None,
) -> SystemScores:
    read = [place for place, outcome in enumerate(outcomes) if outcome.state != "missing"]
    targets = [found.targets[place] for place in read]
    groups = [found.groups[place] for place in read]
    # where papers report the mean of folds, a sample's split is its fold
    parts = [found.known[place].split for place in read] if found.task.mean_of_folds else None
    answers = [outcomes[place].answer for place in read]
    labels = found.labels.names
    figures = tuple(
        measure_figure(
            registry.find_metric(metric, wheels),
            targets,
            answers,
            labels,
            groups=groups,
            parts=parts,
            resamples=resamples,
            seed=found.facts["seed"],
        )
        for metric in metrics
    )
    return SystemScores(
        system=name,
        title=systems.TITLES[name],
        run=found.held[name],
        states=dict(Counter(outcome.state for outcome in outcomes)),
        reasons=dict(Counter(o.why for o in outcomes if o.why is not None).most_common()),
        figures=figures,
        **class_tables(targets, answers, labels),
    )


def class_tables(
    targets: Sequence[Target], answers: Sequence[Answer | None], labels: Sequence[str]
) -> dict[str, Any]:
    """Per class, confusion and reliability, where people answered with labels of the set."""
    if labels and any(target.label is not None for target in targets):
        return {
            "classes": tuple(classes.per_class(targets, answers, labels)),
            "confusion": classes.confusion_matrix(targets, answers, labels),
            "reliability": tuple(classes.answer_reliability(targets, answers, labels)),
        }
    if labels and any(target.labels is not None for target in targets):
        rows = rows_of(multilabel.MAP, targets, answers, tuple(labels)).rows
        if len(rows):
            return {"classes": tuple(multilabel.per_label(rows, tuple(labels)))}
    return {}


def _people_agreement(found: Evaluation) -> dict[str, float | None]:
    from kuleshov.evals.metrics import votes

    if not any(target.votes is not None for target in found.targets):
        return {}
    return {
        "alpha": votes.people_alpha(found.targets, found.labels.names),
        "entropy": votes.people_entropy(found.targets, found.labels.names),
    }


def _run_provenance(found: Evaluation, run: str) -> dict[str, Any]:
    plan = store.read_description(found.run(run))["plan"]
    return {name: value for name, value in plan.items() if name not in ("label_set", "input")}


def write_scores(found: Evaluation, scores: Scores) -> Path:
    """Write results.json."""
    path = found.out / RESULTS
    part = path.with_name(f".{RESULTS}.part")
    part.write_text(scores.model_dump_json(by_alias=True, indent=1) + "\n", "utf-8")
    part.replace(path)
    return path


def read_scores(out: Path) -> Scores:
    """The results in an evaluation's folder. Raises KuleshovError if there are none."""
    path = out / RESULTS
    if not path.is_file():
        raise KuleshovError(f"{out} has no {RESULTS}: the evaluation has not been counted yet.")
    return Scores.model_validate(json.loads(path.read_text("utf-8")))
