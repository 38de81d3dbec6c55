"""One evaluation from its call to its end: samples laid out, runs made or resumed, answers read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from kuleshov.agent import Agent
from kuleshov.evals.datasets.base import Task
from kuleshov.evals.harness import baselines, samples, systems
from kuleshov.evals.harness.samples import KnownSample
from kuleshov.evals.harness.systems import Outcome
from kuleshov.evals.types import Sample, Target
from kuleshov.runs import store
from kuleshov.runs.local_engine import Watcher
from kuleshov.runs.store import list_differences
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.home import expand_path
from kuleshov.tools.labels import LabelSet
from kuleshov.tools.labels.left_out import NO_LABEL, LeftOut
from kuleshov.tools.types import HumanLabel

SCHEMA = "kuleshov/eval@1"
FACTS, RUNS, OWN_LABELS = "eval.json", "runs", "labels.toml"

OPEN_METRICS = ("set_f_words", "hit_rate")

Loader = Callable[[Mapping[str, Any]], Agent]
"""Loads the agent with these settings going before all others."""


@dataclass
class Evaluation:
    """What is evaluated and where it is kept; `facts` stand in eval.json."""

    task: Task
    out: Path
    labels: LabelSet
    known: list[KnownSample]
    facts: dict[str, Any]
    manifest: str
    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)

    @property
    def ids(self) -> list[str]:
        return [sample.id for sample in self.known]

    @property
    def targets(self) -> list[Target]:
        return [sample.target for sample in self.known]

    @property
    def groups(self) -> list[str | None]:
        return [sample.group for sample in self.known]

    @property
    def setting(self) -> str:
        """What the setting `labels` is for this evaluation."""
        given = self.task.labels
        return str(self.out / OWN_LABELS) if isinstance(given, LabelSet) else self.labels.name

    def run(self, name: str) -> Path:
        return self.out / RUNS / name

    @property
    def held(self) -> dict[str, str]:
        """The systems that the folder holds answers of, and the run that each is read from."""
        found: dict[str, str] = {}
        for fusion, served in systems.SERVES.items():
            if (self.run(fusion) / store.RUN).is_file():
                found |= {system: fusion for system in served if system not in found}
        return found | {
            name: name for name in systems.BASELINES if (self.run(name) / store.RUN).is_file()
        }

    def read(self, system: str) -> list[Outcome]:
        """The answers of a system that the folder holds."""
        return systems.read_outcomes(
            self.run(self.held[system]), system, self.ids, self.labels, self.task.kind
        )


def begin_evaluation(
    task: Task,
    data: str,
    out: Path,
    *,
    split: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    labels: str | None = None,
) -> Evaluation:
    """Choose the samples and lay them out, or find them laid out by the same call before.

    Args:
        labels: the label set, where the task has none of its own.

    Raises:
        KuleshovError: what the reader finds wrong with the data set; a folder that holds another
            evaluation; no sample has a label of the set. Samples whose label is not in it are left
            out and counted in `facts`.
    """
    chosen = _choose_labels(task, labels)
    task = _fit_task(task, chosen)
    left_out = LeftOut(chosen.name, chosen.names)
    every = list(task.read(data, split))
    if task.unanswered is not None:
        for key in task.unanswered(expand_path(data), split or task.split):
            left_out.add(NO_LABEL, key)
    if task.labels is None and chosen.mode != "free":
        named = (_name_labels(sample, chosen, left_out) for sample in every)
        every = [sample for sample in named if sample is not None]
    found = samples.draw_samples(every, limit, seed)
    if not found and left_out.rows:
        raise KuleshovError(
            f"no sample of {task.name} at {data} has a label of {chosen.name}: {left_out}; give "
            "the set with --labels."
        )
    if not found:
        raise KuleshovError(f"{task.name} at {data} has no sample in this split.")
    facts = {
        "schema": SCHEMA,
        "task": task.name,
        "data": str(data),
        "split": split or task.split,
        "of": len(every),
        "samples": len(found),
        "limit": limit,
        "seed": seed,
        "labels": chosen.name,
        "sha256": samples.samples_digest(found),
    }
    if left_out.rows:
        facts["left_out"] = {**left_out.to_dict(), "told": str(left_out)}
    _keep_facts(out, facts)
    if not (out / samples.ITEMS).is_file():
        samples.lay_out(found, out)
        if isinstance(task.labels, LabelSet):
            (out / OWN_LABELS).write_text(as_toml(task.labels), "utf-8")
    return Evaluation(task, out, chosen, samples.known_samples(out), facts, _manifest_path(out))


def _manifest_path(out: Path) -> str:
    """Absolute, so that a run may be resumed from another folder."""
    return os.path.abspath(out / samples.ITEMS)


def _fit_task(task: Task, labels: LabelSet) -> Task:
    """A user's table of several labels each, answered in the model's own words, is an open task."""
    if task.labels is None and task.kind == "multi" and labels.mode == "free":
        return replace(task, kind="open", metrics=OPEN_METRICS)
    return task


def _choose_labels(task: Task, given: str | None) -> LabelSet:
    if task.label_set is not None:
        if given is not None and given != task.label_set.name:
            raise KuleshovError(
                f"{task.name} is answered with {task.label_set.name}; leave --labels {given} out."
            )
        return task.label_set
    return LabelSet.load(given or ("free" if task.kind in ("open", "text") else "ekman-7"))


def _name_labels(sample: Sample, labels: LabelSet, left_out: LeftOut) -> Sample | None:
    """People's labels by their names in the set, where synonyms or another case were written.

    None, and `left_out` is told, where the set has no place for one, and where all that people
    wrote is no answer ("unknown"): a part of an answer is another answer.
    """
    target = sample.target
    unknown: list[str] = []

    def name(given: str | dict[str, float]) -> HumanLabel:
        told = labels.read_label(given)
        unknown.extend(told.unknown)
        return told

    parts: dict[str, Any] = {}
    if target.label is not None:
        parts["label"] = name(target.label).name
    if target.labels is not None:
        read = [name(word).name for word in target.labels]
        # () is an answer, none of them; nothing but "unknown" is none
        parts["labels"] = tuple(n for n in read if n) if any(read) or not read else None
    if target.votes is not None:
        told = name(dict(target.votes))
        parts["votes"] = told.votes or (told.name and {told.name: 1.0})
    for part in ("face_votes", "context_votes"):
        votes = getattr(target, part)
        if votes is not None:
            told = name(dict(votes))
            parts[part] = told.votes or (told.name and {told.name: 1.0})
    left = {**vars(target), **parts}
    if unknown:
        left_out.add_word(unknown[0], sample.id)
        return None
    if all(part is None for part in left.values()):
        left_out.add(NO_LABEL, sample.id)
        return None
    return replace(sample, target=replace(target, **parts))


def _keep_facts(out: Path, facts: dict[str, Any]) -> None:
    path = out / FACTS
    if path.is_file():
        try:
            before = json.loads(path.read_text("utf-8"))
        except ValueError:
            raise KuleshovError(f"{path} cannot be read; give another folder to --out.") from None
        # the same samples may lie elsewhere, or be named in another way
        aside = {"data": None, "left_out": None}
        told = list_differences({**before, **aside}, {**facts, **aside})
        if told:
            raise KuleshovError(
                f"{out} holds another evaluation: {'; '.join(told)}. "
                "Repeat the call as it was, or give another folder to --out."
            )
        return
    if out.is_file():
        raise KuleshovError(f"{out} is a file; give --out a folder.")
    if out.exists() and any(out.iterdir()):
        raise KuleshovError(f"{out} is not empty and no evaluation; give a new folder to --out.")
    try:
        out.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{FACTS}.part")
        part.write_text(json.dumps(facts, indent=1, ensure_ascii=False), "utf-8")
        part.replace(path)
    except OSError as error:
        raise KuleshovError(f"{out} cannot be written: {error.strerror}.") from None


def open_evaluation(out: Path, find: Callable[[str, str | Path | None], Task]) -> Evaluation:
    """The evaluation in a folder, without its data set. Raises KuleshovError if there is none."""
    path = out / FACTS
    if not path.is_file():
        raise KuleshovError(f"{out} is not the folder of an evaluation: it holds no {FACTS}.")
    facts = json.loads(path.read_text("utf-8"))
    task = find(facts["task"], facts["data"])
    own = out / OWN_LABELS
    labels = LabelSet.load(str(own)) if own.is_file() else LabelSet.load(facts["labels"])
    task = _fit_task(task, labels)
    return Evaluation(task, out, labels, samples.known_samples(out), facts, _manifest_path(out))


# ------------------------------------------------------------------------- running


def run_systems(
    found: Evaluation,
    wanted: Sequence[str],
    load: Loader,
    *,
    clip: str = baselines.CLIP,
    watch: Callable[[str], Any] | None = None,
    lenient: bool = False,
    changes: Mapping[str, Any] | None = None,
    **options: Any,
) -> dict[str, str]:
    """Run what is not done yet for the systems wanted, and read their answers.

    Args:
        load: called once if a fusion of the agent is among them.
        clip: id or folder of the model of the baseline clip.
        watch: given a run's name, a context manager that yields a watcher of its progress.
        lenient: leave out what these parts cannot do, instead of raising.
        changes: further settings.
        options: as `Agent.annotate` takes them.

    Returns:
        Systems left out, and why.
    """
    left_out: dict[str, str] = {}

    def trying(name: str, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except KuleshovError as error:
            if not lenient:
                raise
            left_out[name] = str(error)
            return None

    # what is quick to find missing is looked for before anything is run
    model = trying("clip", lambda: baselines.ClipModel(clip)) if "clip" in wanted else None
    by_agent = [name for name in wanted if name in systems.STRATEGIES]
    if by_agent:
        settings = {**(changes or {}), "labels": found.setting}
        agent = load(settings)
        agents: dict[str, Agent] = {}
        for name in by_agent:
            made = trying(name, partial(reset_agent, agent, {**settings, "fusion": name}))
            if made is not None:
                agents[name] = made
        for fusion in systems.shared_runs(agents):
            with watch_system(watch, fusion) as watcher:
                agents[fusion].annotate(found.manifest, found.run(fusion), watch=watcher, **options)
    plan = {
        "eval": found.facts["sha256"],
        "labels": found.labels.name,
        "input": found.manifest,
        "seed": found.facts["seed"],
    }
    for name in wanted:
        if name == "clip" and model is not None:
            with watch_system(watch, name) as watcher:
                baselines.run_clip(
                    found.run(name), found.manifest, found.labels, plan, model, watcher
                )
        elif name in ("majority", "chance"):
            trying(name, partial(baselines.run_blind, name, found, plan))
    found.outcomes = {name: found.read(name) for name in wanted if name not in left_out}
    return left_out


def reset_agent(agent: Agent, settings: Mapping[str, Any]) -> Agent:
    """The same model and face tool under other settings."""
    return agent.with_settings(**settings)


def watch_system(watch: Callable[[str], Any] | None, name: str) -> Any:
    nobody: Watcher | None = None
    return nullcontext(nobody) if watch is None else watch(name)


def as_toml(labels: LabelSet) -> str:
    """A label set as the file that `LabelSet.load` reads."""

    def lines(values: Mapping[str, Any]) -> list[str]:
        # strings, lists and numbers of JSON are TOML too
        return [
            f"{name} = {json.dumps(value, ensure_ascii=False)}"
            for name, value in values.items()
            if value is not None and value != ()
        ]

    told = labels.model_dump(mode="json", exclude={"labels"})
    text = lines(told)
    for label in labels.labels:
        text += ["", "[[labels]]", *lines(label.model_dump(mode="json"))]
    return "\n".join(text) + "\n"
