"""Descriptions judged against people's, each verdict kept: a judge is asked once about an answer.

The judge stands in the run's description and in every verdict; figures of two judges are not
comparable.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import orjson

from kuleshov.evals.harness.evaluate import Evaluation
from kuleshov.evals.metrics import judge as judges
from kuleshov.runs import store
from kuleshov.runs.store import RunDirectory, current_time
from kuleshov.tools import mllm as models
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.mllm.base import Mllm

SCHEMA = "kuleshov/verdict@1"


def judge_texts(found: Evaluation, name: str, *, allow_remote: bool = False) -> None:
    """Have a model judge the texts of all systems; the answers then carry its scores.

    Raises:
        KuleshovError: the task has no descriptions; the model cannot be had.
    """
    if not any(target.text is not None for target in found.targets):
        raise KuleshovError(f"{found.task.name} has no descriptions for a judge to read.")
    models.check_model(name, allow_remote=allow_remote)
    judge_with(found, models.load_model(name, allow_remote=allow_remote))


def judge_with(found: Evaluation, model: Mllm) -> None:
    """As `judge_texts`, with a model that is loaded."""
    for system in found.outcomes:
        _judge_system(found, system, model)


def _judge_system(found: Evaluation, system: str, model: Mllm) -> None:
    folder = found.run(f"judge-{system}")
    plan = {
        "eval": found.facts["sha256"],
        "system": system,
        "judge": {"id": model.info.id, "revision": model.info.revision},
    }
    outcomes = found.outcomes[system]
    begun = current_time()
    with RunDirectory(folder).open(plan) as directory:
        for sample, outcome in zip(found.known, outcomes, strict=True):
            text = outcome.answer.text if outcome.answer else None
            if text is None or sample.target.text is None:
                continue
            for kind in judges.TEMPLATES:
                key = _verdict_key(sample.id, kind, text)
                if directory.meet(key) != "new":
                    continue
                try:
                    verdict = judges.ask_verdict(model, kind, sample.target.text, text)
                except KuleshovError as error:
                    directory.fail(key, str(error))
                    continue
                row = {"schema": SCHEMA, "item": {"id": key}, **verdict.model_dump()}
                directory.add(json.dumps(row, ensure_ascii=False, separators=(",", ":")))
        directory.session(begun=begun, end="complete")
    said: dict[str, Any] = {}
    for line in store.read_lines(folder):
        told = orjson.loads(line)
        said[told["item"]["id"]] = told["score"]
    for place, (sample, outcome) in enumerate(zip(found.known, outcomes, strict=True)):
        text = outcome.answer.text if outcome.answer else None
        if outcome.answer is None or text is None:
            continue
        scores: dict[str, float | None] = {
            kind: said.get(_verdict_key(sample.id, kind, text)) for kind in judges.TEMPLATES
        }
        outcomes[place] = replace(outcome, answer=replace(outcome.answer, judged=scores))


def _verdict_key(sample: str, kind: str, text: str) -> str:
    """A verdict holds for one text: another answer is judged anew."""
    return f"{sample} {kind} {hashlib.sha256(text.encode()).hexdigest()[:16]}"
