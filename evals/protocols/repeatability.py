"""The same answer again: across runs, and across how many items are read at once.

At temperature 0 every answer should repeat. Elsewhere a score of LLaVA fell from 69.56 to 58.70
when the batch went from 1 to 2, because padding changed the answers.
"""

from __future__ import annotations

from typing import Any

from kuleshov.evals.harness.report.tables import metric_title
from kuleshov.evals.harness.systems import judged_person
from kuleshov.evals.protocols.base import (
    Findings,
    Protocol,
    ResultTable,
    Trial,
    compare_outcomes,
    format_cells,
)

BATCHES = (2, 4, 8)


def run_repeatability(trial: Trial) -> Findings:
    system = trial.system()
    alone = {"batch": 1, "workers": 1}
    conditions: dict[str, dict[str, Any]] = {"one at a time": alone, "once more": alone}
    conditions |= {f"{batch} at once": {"batch": batch, "workers": 2 * batch} for batch in BATCHES}
    read = {}
    for number, (name, options) in enumerate(conditions.items()):
        read[name] = trial.records(
            f"repeat-{number}-batch-{options['batch']}", options=options, fusion=system
        )
    first = read["one at a time"]
    base = trial.outcomes(first, system)
    rows: list[tuple[str, ...]] = []
    numbers: dict[str, float | None] = {}
    for name, records in read.items():
        outcomes = trial.outcomes(records, system)
        answers = [outcome.answer for outcome in outcomes]
        figure = trial.figure(answers, trial.primary())
        places, _, changed = compare_outcomes(base, outcomes)
        gaps = [
            max(abs(p - q) for p, q in zip(*both, strict=True))
            for place in places
            if (
                both := [
                    list((one[place].answer.probabilities or {}).values())  # type: ignore[union-attr]
                    for one in (base, outcomes)
                ]
            )
        ]
        same = [
            _record_words(one) == _record_words(other)
            for one, other in zip(first, records, strict=True)
            if one is not None and other is not None
        ]
        most = max(gaps, default=None)
        words = sum(same) / len(same) if same else None
        tops = sum(changed) / len(changed) if changed else None
        numbers |= {
            f"{name}: largest difference": most,
            f"{name}: same words": words,
            f"{name}: first label changes": tops,
        }
        rows.append(
            format_cells(
                name, figure, "–" if most is None else f"{most:.1e}" if most else "0", words, tops
            )
        )
    return PROTOCOL.findings(
        [
            ResultTable(
                title=f"{system}, against one item at a time",
                head=(
                    "run",
                    metric_title(trial.primary()),
                    "largest difference of a probability",
                    "same words",
                    "first label changes",
                ),
                rows=tuple(rows),
                note="Same words: share of samples whose scene and explanation are the same text.",
            )
        ],
        numbers=numbers,
    )


def _record_words(record: dict[str, Any]) -> tuple[str | None, str | None]:
    person = judged_person(record)
    told = person["explanation"] if person else None
    scene = record["scene"]
    return (scene["description"] if scene else None, told["text"] if told else None)


PROTOCOL = Protocol(
    "repeatability",
    "Repeatability",
    "Does the same picture get the same answer in another run, and beside other pictures?",
    "this project; temperature 0, greedy",
    run_repeatability,
)
