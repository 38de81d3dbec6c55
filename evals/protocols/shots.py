"""Number of examples and their order: what do they change, and does it help?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kuleshov.evals.harness import samples
from kuleshov.evals.harness.report.tables import better_arrow, metric_title
from kuleshov.evals.protocols.base import (
    Findings,
    Protocol,
    ResultTable,
    Trial,
    compare_outcomes,
    format_cells,
)
from kuleshov.evals.types import Sample, Target
from kuleshov.tools.errors import KuleshovError

ORDERS = 3
FOLDER = "shots"


def run_shots(trial: Trial) -> Findings:
    system = trial.system()
    if system == "face":
        raise KuleshovError("fusion 'face' asks the model nothing: examples change nothing there.")
    counts = sorted(set(trial.shots))
    examples = trial.examples or draw_examples(trial, max(counts))
    metric = trial.primary()
    rows: list[tuple[str, ...]] = []
    numbers: dict[str, float | None] = {}
    orders: list[tuple[str, ...]] = []
    for count in counts:
        seeds = orders_of(count)
        readings = []
        for seed in seeds:
            name = f"shots-{count}" + ("" if seed is None else f"-order-{seed}")
            shown = (
                {"examples": examples, "shots": count, "shot_seed": seed}
                if count
                else {"examples": None}
            )
            records = trial.records(name, fusion=system, **shown)
            readings.append(trial.outcomes(records, system))
            figure = trial.figure([o.answer for o in readings[-1]], metric)
            numbers[name] = figure.value
            rows.append(
                format_cells(
                    count, "–" if seed is None else seed, figure, figure.n, figure.unanswered
                )
            )
        pairs = [(a, b) for i, a in enumerate(readings) for b in readings[i + 1 :]]
        found = [compare_outcomes(a, b) for a, b in pairs]
        places = [place for one in found for place in one[0]]
        if places:
            js = trial.mean([v for one in found for v in one[1]], places)
            changed = trial.mean([v for one in found for v in one[2]], places)
            orders.append(format_cells(count, len(seeds), js, changed))
            numbers |= {f"order_js_{count}": js.value, f"order_changed_{count}": changed.value}
    tables = [
        ResultTable(
            title=f"{system}: {metric_title(metric)}{better_arrow(metric)} by number of examples",
            head=("examples", "order (seed)", metric_title(metric), "answered", "unanswered"),
            rows=tuple(rows),
        )
    ]
    if orders:
        tables.append(
            ResultTable(
                title="How far the order decides: all pairs of orders",
                head=("examples", "orders", "Jensen–Shannon, bits", "first label changes"),
                rows=tuple(orders),
            )
        )
    notes = [f"examples: {examples}"]
    info = trial.agent.crew.mllm.info
    if not info.taught_examples:
        notes.append(
            f"{info.id} was never taught with examples: they move its answers, and nothing says "
            "that they better them"
        )
    return PROTOCOL.findings(tables, numbers=numbers, notes=tuple(notes))


def orders_of(count: int) -> list[int | None]:
    """Seeds that put `count` examples into orders that differ, ORDERS of them or all there are.

    As `kuleshov.asking.examples` shuffles: by a permutation of the chosen ones.
    """
    if count < 2:
        return [None]
    found: dict[tuple[int, ...], int | None] = {}
    for seed in range(100):
        order = tuple(np.random.default_rng(seed).permutation(count).tolist())
        found.setdefault(order, seed)
        if len(found) == ORDERS:
            break
    return list(found.values())


def draw_examples(trial: Trial, most: int) -> str:
    """A manifest of examples from the task's training split, `most` of each label at most.

    Raises:
        KuleshovError: the task has no training split, or people did not answer with one label.
    """
    found = trial.found
    split = next((name for name in found.task.splits if "train" in name.lower()), None)
    if split is None or split == found.facts["split"] or found.labels.mode != "single":
        raise KuleshovError(
            "protocol shots needs labelled examples that are not evaluated: give --examples, a "
            "folder per label or a manifest."
        )
    folder = found.out / FOLDER
    manifest = folder / samples.ITEMS
    if manifest.is_file():
        return str(manifest)
    by_label: dict[str, list[Sample]] = {}
    for sample in found.task.read(found.facts["data"], split):
        if sample.target.label is not None:
            # of votes the label alone, which is what an example shows
            shown = replace(sample, target=Target(label=sample.target.label))
            by_label.setdefault(sample.target.label, []).append(shown)
    random = np.random.default_rng(trial.seed)
    each = -(-most // max(1, len(by_label))) + 1
    chosen = [
        several[place]
        for _, several in sorted(by_label.items())
        for place in random.permutation(len(several))[:each]
    ]
    folder.mkdir(parents=True, exist_ok=True)
    samples.lay_out(chosen, folder)
    return str(manifest)


PROTOCOL = Protocol(
    "shots",
    "Number of examples and their order",
    "What do 0, 1, 2, 4 and 8 examples change, and how far does their order decide?",
    "Brown et al. (2020), NeurIPS; Lu et al. (2022), ACL",
    run_shots,
)
