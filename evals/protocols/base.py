"""What a protocol is: runs of the same samples under other conditions, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from pydantic import Field

from kuleshov.agent import Agent
from kuleshov.evals.harness import evaluate, systems
from kuleshov.evals.harness.evaluate import Evaluation, Loader
from kuleshov.evals.harness.report.tables import format_interval, format_number
from kuleshov.evals.harness.systems import Outcome
from kuleshov.evals.metrics import registry
from kuleshov.evals.metrics.base import Figure, bootstrap_interval, measure_figure
from kuleshov.evals.types import Answer
from kuleshov.evidence.influence import js_divergence
from kuleshov.runs import store
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.faces.base import FaceTool
from kuleshov.tools.types import Record

FINDINGS_SCHEMA = "kuleshov/eval-findings@1"


class ResultTable(Record):
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


class Findings(Record):
    """What a protocol came to. numbers: the same figures for programs; None is not known."""

    schema_: str = Field(FINDINGS_SCHEMA, alias="schema")
    protocol: str
    title: str
    question: str
    source: str
    tables: tuple[ResultTable, ...]
    numbers: dict[str, float | None] = {}
    points: tuple[tuple[float, float], ...] = Field(
        (), description="influence: divergence of both from face and from context, bits, an item"
    )
    notes: tuple[str, ...] = ()


@dataclass
class Trial:
    """An evaluation and the means to read its samples again under other conditions."""

    found: Evaluation
    load: Loader
    wanted: tuple[str, ...] = ()
    shots: tuple[int, ...] = (0, 1, 2, 4, 8)
    examples: str | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    watch: Callable[[str], Any] | None = None
    resamples: int = 1000
    options: Mapping[str, Any] = field(default_factory=dict)
    _agent: Agent | None = None

    @property
    def seed(self) -> int:
        return int(self.found.facts["seed"])

    @property
    def settings(self) -> dict[str, Any]:
        return {**self.changes, "labels": self.found.setting}

    @property
    def agent(self) -> Agent:
        if self._agent is None:
            self._agent = self.load(self.settings)
        return self._agent

    def system(self, default: str = "text") -> str:
        """The one system that is studied. Raises KuleshovError for several."""
        named = [name for name in self.wanted if name in systems.STRATEGIES]
        if len(named) > 1:
            raise KuleshovError(
                f"this protocol studies one system; give one to --systems, e.g. {named[0]}."
            )
        return named[0] if named else default

    def records(
        self,
        name: str,
        *,
        tool: Callable[[FaceTool], FaceTool] | None = None,
        options: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> list[dict[str, Any] | None]:
        """The records of all samples under changed settings, in their order; None: failed.

        The run directory is `runs/NAME`: what is done there is not done again.
        """
        reader = evaluate.reset_agent(self.agent, {**self.settings, **changes})
        if tool is not None:
            reader = reader.with_faces(tool(reader.crew.faces))
        run = self.found.run(name)
        with evaluate.watch_system(self.watch, name) as watcher:
            reader.annotate(
                self.found.manifest, run, watch=watcher, **{**self.options, **(options or {})}
            )
        kept = {}
        for line in store.read_lines(run):
            record = orjson.loads(line)
            kept[record["item"]["id"]] = slim_record(record)
        return [kept.get(name) for name in self.found.ids]

    def outcomes(self, records: Sequence[dict[str, Any] | None], system: str) -> list[Outcome]:
        return [
            Outcome(None, "it could not be read", "failed")
            if record is None
            else systems.system_answer(record, system, self.found.labels)
            for record in records
        ]

    # --------------------------------------------------------------------- figures

    def figure(
        self,
        answers: Sequence[Answer | None],
        metric: str | None = None,
        places: Sequence[int] | None = None,
    ) -> Figure:
        """A metric (None: the task's first) over the samples at `places` (None: all)."""
        at = range(len(answers)) if places is None else places
        return measure_figure(
            registry.find_metric(metric or self.found.task.metrics[0]),
            [self.found.targets[place] for place in at],
            [answers[place] for place in at],
            self.found.labels.names,
            groups=[self.found.groups[place] for place in at],
            resamples=self.resamples,
            seed=self.seed,
        )

    def mean(self, values: Sequence[float], places: Sequence[int]) -> Figure:
        """The mean of a value a sample with its interval; `places`: which samples they are of."""
        if not values:
            return Figure(metric="mean", value=None, n=0, unanswered=0, why="no sample has one")
        table = np.array(values, float)
        groups = [self.found.groups[place] for place in places]
        own = None
        if any(group is not None for group in groups):
            own = [group or f"\0{place}" for group, place in zip(groups, places, strict=True)]
        found = bootstrap_interval(
            lambda drawn: float(table[drawn].mean()),
            len(table),
            own,
            resamples=self.resamples,
            seed=self.seed,
        )
        return Figure(metric="mean", value=float(table.mean()), n=len(table), unanswered=0, **found)

    def primary(self) -> str:
        """The metric that the task's papers report first."""
        return self.found.task.metrics[0]


def slim_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the protocols look at: a record of a clip holds far more."""
    people = [
        {name: value for name, value in person.items() if name not in ("timeline", "track")}
        for person in record["people"]
    ]
    return {"scene": record["scene"], "coded": record["coded"], "people": people}


def compare_outcomes(
    first: Sequence[Outcome], second: Sequence[Outcome]
) -> tuple[list[int], list[float], list[float]]:
    """Of samples with a distribution on both sides: places, divergence in bits, label changed."""
    places, moved, changed = [], [], []
    for place, (one, other) in enumerate(zip(first, second, strict=True)):
        p = one.answer.probabilities if one.answer else None
        q = other.answer.probabilities if other.answer else None
        if not p or not q or set(p) != set(q):
            continue
        places.append(place)
        moved.append(js_divergence(p, q))
        changed.append(float(one.answer.top != other.answer.top))  # type: ignore[union-attr]
    return places, moved, changed


def format_cells(*values: Any) -> tuple[str, ...]:
    """A row of a table: figures with their interval, numbers, words."""
    told = []
    for value in values:
        if isinstance(value, Figure):
            told.append(format_interval(value))
        elif isinstance(value, float) or value is None:
            told.append(format_number(value))
        else:
            told.append(str(value))
    return tuple(told)


@dataclass(frozen=True)
class Protocol:
    """A named experiment."""

    name: str
    title: str
    question: str
    source: str
    run: Callable[[Trial], Findings] = field(repr=False)

    def findings(self, tables: Sequence[ResultTable], **more: Any) -> Findings:
        return Findings(
            protocol=self.name,
            title=self.title,
            question=self.question,
            source=self.source,
            tables=tuple(tables),
            **more,
        )
