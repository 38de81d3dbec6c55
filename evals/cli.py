"""What `kuleshov eval` does; reached by the command line through an entry point."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from kuleshov.evals.datasets import registry as tasks
from kuleshov.evals.datasets.unit_coding import UnitSet
from kuleshov.evals.datasets.unit_sets import UNIT_SETS
from kuleshov.evals.harness import (
    api,
    baselines,
    compare,
    evaluate,
    scores,
    systems,
    unit_agreement,
)
from kuleshov.evals.harness.evaluate import Evaluation
from kuleshov.evals.harness.report import inspect_log, page, tables, unit_table
from kuleshov.evals.harness.scores import Scores
from kuleshov.evals.metrics import registry as metrics
from kuleshov.evals.protocols import registry as protocols
from kuleshov.evals.protocols.base import Findings, Trial
from kuleshov.output.terminal import FAILED, OK, make_console, say
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.labels import LabelSet

DEFAULT = ("face", "context", "people", "text", "majority", "chance")
OWN_WORDS = ("text",)  # where people answered in words, and where the labels are the model's own
MOST_SHOTS = 64  # as the setting allows
NOT_EXCLUSIVE = ("context", "text", "majority", "chance")


def main(arguments: argparse.Namespace, load_agent: Callable[..., Any]) -> int:
    """Run the command; `load_agent` makes an agent of the arguments and more settings.

    Raises:
        KuleshovError: a mistake in the call.
    """
    if arguments.resamples < 0:
        raise KuleshovError("--resamples must be 0 or more.")
    if arguments.compare:
        return _compare_systems(arguments)
    if arguments.task is None or arguments.list:
        return _list_tasks()
    if arguments.task in UNIT_SETS:
        return _compare_units(arguments, UNIT_SETS.find(arguments.task))
    if arguments.results:
        raise KuleshovError(f"--results is for data sets of coded units: {', '.join(UNIT_SETS)}.")
    if not arguments.data:
        task = tasks.find_task(arguments.task)
        raise KuleshovError(
            f"{task.name} needs your copy of the data: give --data DIR "
            f"({task.layout.strip().splitlines()[0].strip()})."
        )
    protocol = protocols.find_protocol(arguments.protocol) if arguments.protocol else None
    if arguments.inspect:
        inspect_log.check_log(Path(arguments.inspect))
    for name in _split_names(arguments.metrics) or ():
        metrics.find_metric(name, arguments.wheels)
    shots = _parse_shots(arguments)
    wanted = systems.parse_systems(arguments.systems) if arguments.systems else ()
    task = tasks.find_task(arguments.task, arguments.data)
    found = evaluate.begin_evaluation(
        task,
        arguments.data,
        Path(arguments.out or f"eval-{task.name}"),
        split=arguments.split,
        limit=arguments.limit,
        seed=arguments.seed or 0,
        labels=arguments.labels,
    )
    if "left_out" in found.facts:
        say(f"kuleshov: {arguments.data}: {found.facts['left_out']['told']}.")
    options = {
        "workers": arguments.workers,
        "batch": arguments.batch,
        "retry_failed": arguments.retry_failed,
    }
    kind = arguments.progress or ("bar" if sys.stderr.isatty() else "json")

    def load(settings: Mapping[str, Any]) -> Any:
        return load_agent(arguments, **{"shots": None, "fusion": None, **settings})

    def watch(name: str) -> AbstractContextManager[Any]:
        from kuleshov.runs.progress import ProgressDisplay

        if kind == "bar":
            say(f"{name}:")
        return ProgressDisplay(kind)

    try:
        if protocol is not None:
            trial = Trial(
                found,
                load,
                wanted,
                shots=shots or (0, 1, 2, 4, 8),
                examples=arguments.examples,
                changes={} if protocol.name == "shots" else _given_settings(arguments, shots),
                watch=watch,
                resamples=arguments.resamples,
                options=options,
            )
            return _tell_findings(arguments, found, protocol.run(trial))
        left_out = evaluate.run_systems(
            found,
            wanted or _default_systems(found),
            load,
            clip=arguments.clip or baselines.CLIP,
            watch=watch,
            lenient=not wanted,
            changes=_given_settings(arguments, shots),
            **options,
        )
    except KeyboardInterrupt:
        say("kuleshov: interrupted; what is done is safe. Run the same command again to resume.")
        sys.stderr.flush()
        os._exit(130)  # items in hand would be waited for at a normal exit
    if arguments.judge:
        from kuleshov.evals.harness import judging

        judging.judge_texts(found, arguments.judge, allow_remote=bool(arguments.allow_remote))
    result = scores.score_evaluation(
        found,
        metrics=_split_names(arguments.metrics),
        resamples=arguments.resamples,
        wheels=arguments.wheels,
        not_run=left_out,
    )
    return _print_scores(arguments, found, result)


def _default_systems(found: Evaluation) -> tuple[str, ...]:
    if found.labels.mode == "free":
        return OWN_WORDS
    return NOT_EXCLUSIVE if found.labels.mode == "multi" else DEFAULT


def _parse_shots(arguments: argparse.Namespace) -> tuple[int, ...]:
    if arguments.shots is None:
        return ()
    try:
        counts = tuple(int(part) for part in str(arguments.shots).split(","))
    except ValueError:
        counts = (-1,)
    if min(counts) < 0 or max(counts) > MOST_SHOTS:
        raise KuleshovError(
            f"--shots must be numbers up to {MOST_SHOTS} such as 0,1,2,4,8 but is "
            f"{arguments.shots}."
        )
    if len(counts) > 1 and arguments.protocol != "shots":
        raise KuleshovError("several numbers of --shots need --protocol shots.")
    return counts


def _given_settings(arguments: argparse.Namespace, shots: Sequence[int]) -> dict[str, Any]:
    """Settings of the call that go before those of file and environment."""
    if shots and shots[0] > 0 and not arguments.examples:
        raise KuleshovError("--shots needs --examples: a folder per label, or a manifest.")
    if shots == (0,):
        return {"examples": None}
    return {"shots": shots[0]} if shots else {}


def _split_names(text: str | None) -> list[str] | None:
    return [name.strip() for name in text.split(",") if name.strip()] if text else None


# ------------------------------------------------------------------------- telling


def _print_scores(arguments: argparse.Namespace, found: Evaluation, result: Scores) -> int:
    api.finish_evaluation(found, result)
    if arguments.inspect:
        inspect_log.write_log(found, result, Path(arguments.inspect))
        say(f"for inspect_ai: {arguments.inspect}")
    if arguments.json:
        sys.stdout.write(result.model_dump_json(by_alias=True) + "\n")
    else:
        tables.show_table(result, make_console())
    say(f"report: {found.out / page.NAME}; tables: {', '.join(tables.WRITTEN)}")
    return FAILED if any(system.states.get("failed") for system in result.systems) else OK


def _tell_findings(arguments: argparse.Namespace, found: Evaluation, result: Findings) -> int:
    name = f"protocol-{result.protocol}"
    (found.out / f"{name}.json").write_text(
        result.model_dump_json(by_alias=True, indent=1) + "\n", "utf-8"
    )
    (found.out / f"{name}.md").write_text(tables.findings_markdown(result, found.facts), "utf-8")
    (found.out / f"{name}.tex").write_text(tables.findings_latex(result, found.facts), "utf-8")
    page.write_findings(found, result)
    if arguments.json:
        sys.stdout.write(result.model_dump_json(by_alias=True) + "\n")
    else:
        tables.show_findings(result, make_console())
    say(f"report: {found.out / name}.html; tables: {name}.md, {name}.tex")
    return OK


def _compare_systems(arguments: argparse.Namespace) -> int:
    a, b = arguments.compare
    result = compare.compare_systems(
        a,
        b,
        tasks.find_task,
        metrics=_split_names(arguments.metrics),
        resamples=arguments.resamples,
        seed=arguments.seed or 0,
        wheels=arguments.wheels,
    )
    if arguments.json:
        sys.stdout.write(json.dumps(result.model_dump()) + "\n")
    else:
        tables.show_comparison(result, make_console())
    return OK


def _compare_units(arguments: argparse.Namespace, unit_set: UnitSet) -> int:
    """Run the command.

    Raises:
        KuleshovError: a mistake in the call, in the data set or in the results.
    """
    if not arguments.data:
        raise KuleshovError(
            f"{unit_set.name} needs your copy of the data: give --data DIR ({unit_set.one_line})."
        )
    coded = unit_set.read(arguments.data)
    if arguments.results:
        tool, seen = unit_agreement.read_results(arguments.results)
    else:
        from kuleshov.settings import Settings
        from kuleshov.tools import faces

        name = "pocket" if arguments.pocket else arguments.faces
        settings = Settings.load(arguments.settings, faces=name, device=arguments.device)
        pictures = [face for face in coded if face.picture is not None]
        if arguments.limit and arguments.limit < len(pictures):
            rng = np.random.default_rng(arguments.seed or 0)
            chosen = sorted(rng.choice(len(pictures), arguments.limit, replace=False).tolist())
            coded = pictures = [pictures[place] for place in chosen]
        say(f"kuleshov: {settings.faces} reads {len(pictures)} pictures of {unit_set.title}")
        tool = settings.faces
        entry = faces.find_entry(settings.faces, settings.paths, settings.tool_timeout_s)
        loaded = entry.load(device=settings.device)
        seen = list(unit_agreement.read_pictures(loaded, pictures or coded))
    found = unit_agreement.compare_with_coders(unit_set, coded, tool, seen)
    out = Path(arguments.out or f"eval-{unit_set.name}")
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "units.json").write_text(found.model_dump_json(indent=1) + "\n", "utf-8")
    except OSError as error:
        raise KuleshovError(f"cannot write to the folder {out}: {error.strerror}.") from None
    if arguments.json:
        sys.stdout.write(found.model_dump_json() + "\n")
    else:
        unit_table.show_figures(found)
    say(f"figures: {out / 'units.json'}")
    return OK


def _list_tasks() -> int:
    from rich.table import Table

    out = make_console()
    table = Table(title="tasks", title_justify="left", box=None, pad_edge=False)
    for column in ("task", "", "labels", "first metric", "licence"):
        table.add_column(column, overflow="fold")
    for task in tasks.TASKS.working().values():
        labels = task.labels.name if isinstance(task.labels, LabelSet) else task.labels or "–"
        table.add_row(
            task.name, task.title, labels, tables.metric_title(task.metrics[0]), task.licence
        )
    out.print(table)
    table = Table(title="coded units", title_justify="left", box=None, pad_edge=False)
    for column in ("task", "", "licence"):
        table.add_column(column, overflow="fold")
    for unit_set in UNIT_SETS.values():
        table.add_row(unit_set.name, unit_set.title, unit_set.licence)
    out.print(table)
    table = Table(title="protocols", title_justify="left", box=None, pad_edge=False)
    for column in ("protocol", "question"):
        table.add_column(column, overflow="fold")
    for protocol in protocols.PROTOCOLS.values():
        table.add_row(protocol.name, protocol.question)
    out.print(table)
    return OK
