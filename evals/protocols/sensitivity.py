"""Does the order of the labels, or the wording of the prompts, decide the answer?"""

from __future__ import annotations

from typing import Any

import numpy as np

from kuleshov.evals.harness import evaluate
from kuleshov.evals.harness.report.tables import better_arrow, metric_title
from kuleshov.evals.protocols.base import (
    Findings,
    Protocol,
    ResultTable,
    Trial,
    compare_outcomes,
    format_cells,
)
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.labels import LabelSet

ORDERS = 3
FAMILIES = ("brief", "full")


def run_sensitivity(trial: Trial) -> Findings:
    system = trial.system()
    if trial.found.labels.mode == "free":
        raise KuleshovError("protocol sensitivity needs a list of labels.")
    conditions: dict[str, dict[str, Any]] = {"as it is": {}}
    for number in range(1, ORDERS + 1):
        conditions[f"label order {number}"] = {"labels": _label_file(trial, number)}
    conditions["label order reversed"] = {"labels": _label_file(trial, None)}
    used = trial.agent.crew.provenance["settings"]["prompts"]
    for family in FAMILIES:
        if family != used:
            conditions[f"prompts {family}"] = {"prompts": family}
    conditions["no prior correction"] = {"prior_correction": False}
    metric = trial.primary()
    rows: list[tuple[str, ...]] = []
    numbers: dict[str, float | None] = {}
    notes: list[str] = []
    base = None
    for name, changes in conditions.items():
        folder = "sensitivity-" + name.replace(" ", "-")
        try:
            records = trial.records(folder, **{"fusion": system, **changes})
        except KuleshovError as error:
            notes.append(f"{name}: not measured: {error}")
            continue
        outcomes = trial.outcomes(records, system)
        base = outcomes if base is None else base
        figure = trial.figure([outcome.answer for outcome in outcomes], metric)
        places, moved, changed = compare_outcomes(base, outcomes)
        js, tops = trial.mean(moved, places), trial.mean(changed, places)
        numbers |= {
            f"{name}: {metric}": figure.value,
            f"{name}: js": js.value,
            f"{name}: first label changes": tops.value,
        }
        if name == "as it is":
            rows.append(format_cells(name, figure, figure.unanswered, "", ""))
        else:
            rows.append(format_cells(name, figure, figure.unanswered, js, tops))
    taught = trial.agent.crew.mllm.info.taught_labels
    if taught is not None:
        notes.append(
            f"{trial.agent.crew.mllm.info.id} was taught its labels as they are written and the "
            f"prompts {used} alone: another family is beyond it"
        )
    return PROTOCOL.findings(
        [
            ResultTable(
                title=f"{system} under other orders and wordings",
                head=(
                    "condition",
                    metric_title(metric) + better_arrow(metric),
                    "unanswered",
                    "moved, bits",
                    "first label changes",
                ),
                rows=tuple(rows),
                note="Moved: Jensen–Shannon divergence from the reading as it is, mean over "
                "samples. Prompts: the same questions in the wording of the other family.",
            )
        ],
        numbers=numbers,
        notes=tuple(notes),
    )


def order_labels(labels: LabelSet, seed: int | None) -> LabelSet:
    """The same labels in another order; None: reversed."""
    several = labels.labels
    places = (
        range(len(several))[::-1]
        if seed is None
        else np.random.default_rng(seed).permutation(len(several))
    )
    return labels.model_copy(update={"labels": tuple(several[place] for place in places)})


def _label_file(trial: Trial, seed: int | None) -> str:
    path = trial.found.out / f"labels-{'reversed' if seed is None else f'order-{seed}'}.toml"
    path.write_text(evaluate.as_toml(order_labels(trial.found.labels, seed)), "utf-8")
    return str(path)


PROTOCOL = Protocol(
    "sensitivity",
    "Label order and prompt wording",
    "Is it the picture that decides, or the order of the labels and the words of the question?",
    "Zhao et al. (2021), ICML; Lu et al. (2022), ACL",
    run_sensitivity,
)
