"""Face alone, context alone, the two together: what each is worth, and where they part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kuleshov.evals.harness.report.tables import better_arrow, metric_title
from kuleshov.evals.harness.systems import judged_person
from kuleshov.evals.protocols.base import Findings, Protocol, ResultTable, Trial, format_cells
from kuleshov.evals.types import Answer
from kuleshov.evidence.incongruence import PARTING
from kuleshov.evidence.influence import COMPUTED
from kuleshov.output import view
from kuleshov.tools.errors import KuleshovError
from kuleshov.types import Influence

CONDITIONS = ("face", "context", "both", "computed")
MEASURES = {
    "js_face_context": "face alone and context alone, bits",
    "js_face_both": "face alone and the two together, bits",
    "js_context_both": "context alone and the two together, bits",
    "index": "index of influence",
    "shift": "shift of the two together towards the context, log-odds",
    "shift_computed": "the same, computed from the two alone",
    "shift_whole": "shift that would reach the context, log-odds",
}


def run_influence(trial: Trial) -> Findings:
    if trial.found.labels.mode != "single":
        raise KuleshovError("protocol influence needs labels that exclude one another.")
    given: dict[str, Any] = {"fusion": trial.system()} if trial.wanted else {}
    records = trial.records("influence", influence=True, **given)
    found_in = [_record_influence(record) for record in records]
    told = [found or {} for found in found_in]
    measured = [p for p, found in enumerate(told) if found.get("js_face_context") is not None]
    apart = [p for p in measured if told[p]["js_face_context"] >= PARTING]
    tops = [p for p in measured if _top_label(told[p]["face"]) != _top_label(told[p]["context"])]
    subsets = {
        "all that were read under the three": measured,
        f"face and context part, {PARTING} bits or more": apart,
        "face and context have other first labels": tops,
        "the rest: congruent": [p for p in measured if p not in set(tops)],
    }
    metric = trial.primary()
    rows = []
    numbers: dict[str, float | None] = {}
    for name, places in subsets.items():
        figures = []
        for condition in CONDITIONS:
            answers = [_condition_answer(found, condition) for found in found_in]
            figures.append(trial.figure(answers, metric, places))
            numbers[f"{condition}, {name}"] = figures[-1].value
        rows.append(format_cells(name, len(places), *figures))
    means = []
    for part, name in MEASURES.items():
        known = [p for p in measured if told[p].get(part) is not None]
        mean = trial.mean([told[p][part] for p in known], known)
        numbers[part] = mean.value
        means.append(format_cells(name, len(known), mean))
    missing = [f["unanswered"] for f in told if f and f["js_face_context"] is None]
    notes = [f"{len(missing)} samples lack a reading: {missing[0]}"] if missing else []
    return PROTOCOL.findings(
        [
            ResultTable(
                title=metric_title(metric) + better_arrow(metric),
                head=(
                    "samples",
                    "n",
                    "face alone",
                    "context alone",
                    _third_reading(told),
                    COMPUTED,
                ),
                rows=tuple(rows),
            ),
            ResultTable(
                title="Jensen–Shannon divergence, index of influence, and shift",
                head=("measure", "n", "mean"),
                rows=tuple(means),
                note="Index 0: the two together read as the face alone; 1: as the context alone.",
            ),
        ],
        numbers=numbers,
        points=tuple((told[p]["js_face_both"], told[p]["js_context_both"]) for p in measured),
        notes=tuple(notes),
    )


def _record_influence(record: dict[str, Any] | None) -> dict[str, Any] | None:
    person = None if record is None else judged_person(record)
    return person["influence"] if person else None


def _third_reading(told: Sequence[dict[str, Any]]) -> str:
    """What the third reading is: fused by a rule, or the model's from both."""
    kinds = {view.third_reading(Influence.model_validate(found)) for found in told if found}
    return " or ".join(sorted(kinds)) or "the two together"


def _condition_answer(found: dict[str, Any] | None, condition: str) -> Answer | None:
    scores = found.get(condition) if found else None  # an older record has nothing computed
    return Answer(probabilities=scores["probabilities"]) if scores else None


def _top_label(scores: dict[str, Any]) -> str:
    shares: dict[str, float] = scores["probabilities"]
    return max(shares, key=shares.__getitem__)


PROTOCOL = Protocol(
    "influence",
    "Face alone, context alone, the two together",
    "How far does the context move the reading of a face, and does it help where the two part?",
    "Bian et al. (2024), Sensors 24, 126; divergence: Lin (1991)",
    run_influence,
)
