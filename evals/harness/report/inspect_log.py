"""An evaluation as a log of inspect_ai: for `inspect view` and `read_eval_log`.

Exporting fits better than being driven: inspect_ai and lmms-eval call a bare model for each sample,
while a sample here is read by a graph of face tool, model and checks, whose runs are resumable and
shared between systems already. Of the two, inspect_ai has an open log format in which every system
can stand as a scorer of its own, with samples left unscored; lmms-eval has none to export to.

The log is written as JSON without inspect_ai, so nothing need be installed to write it (format
version 2, checked with inspect_ai 0.3). A sample without an answer has no score of that system.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import orjson

from kuleshov.agent import list_versions
from kuleshov.evals.harness.evaluate import Evaluation
from kuleshov.evals.harness.scores import Scores, SystemScores
from kuleshov.evals.harness.systems import TITLES, Outcome
from kuleshov.evals.types import Answer, Target
from kuleshov.inputs import items
from kuleshov.runs import store
from kuleshov.tools.errors import KuleshovError

VERSION = 2
SUFFIX = ".json"


def check_log(path: Path) -> None:
    """Raises KuleshovError where no log can be written to `path`."""
    if path.suffix != SUFFIX:
        raise KuleshovError(f"a log of inspect_ai ends in {SUFFIX}, not {path.name!r}.")
    if not path.parent.is_dir():
        raise KuleshovError(f"there is no folder {path.parent} for the log.")


def write_log(found: Evaluation, scores: Scores, path: Path) -> None:
    """Write the log. Raises KuleshovError where it cannot be written."""
    check_log(path)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(orjson.dumps(make_log(found, scores), option=orjson.OPT_INDENT_2))
        part.replace(path)
    except OSError as error:
        raise KuleshovError(f"{path} cannot be written: {error.strerror}.") from None


def make_log(found: Evaluation, scores: Scores) -> dict[str, Any]:
    """The log in plain values."""
    facts = found.facts
    sessions = [
        session
        for system in scores.systems
        for session in store.read_description(found.run(system.run))["sessions"]
    ]
    begun = min((s["begun"] for s in sessions), default=store.current_time())
    ended = max((s["ended"] for s in sessions), default=begun)
    models = [p["mllm"]["id"] for p in scores.provenance.values() if p.get("mllm")]
    name = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:22]
    samples = _log_samples(found)
    return {
        "version": VERSION,
        "status": "success",
        "eval": {
            "eval_id": name,
            "run_id": name,
            "created": begun,
            "task": f"kuleshov/{found.task.name}",
            "task_id": name,
            "task_args": {key: facts[key] for key in ("split", "limit", "seed", "labels")},
            "dataset": {
                "name": found.task.title,
                "location": facts["data"],
                "samples": len(samples),
                "sample_ids": found.ids,
                "shuffled": False,
            },
            "model": f"kuleshov/{models[0] if models else 'baselines'}",
            "config": {"limit": facts["limit"]} if facts["limit"] else {},
            "packages": {"kuleshov": _log_version(scores), **list_versions()},
            "metadata": {"protocol": found.task.protocol, "source": found.task.source},
        },
        # `inspect view` reads the head of a log as a stream and expects these in this order
        "plan": {
            "name": "plan",
            "steps": [{"solver": "kuleshov", "params": {"strategies": list(found.outcomes)}}],
            "config": {},
        },
        "results": {
            "total_samples": len(samples),
            "completed_samples": sum(1 for sample in samples if sample["scores"]),
            "scores": [_system_results(system) for system in scores.systems],
        },
        "stats": {"started_at": begun, "completed_at": ended},
        "samples": samples,
    }


def _log_version(scores: Scores) -> str:
    from kuleshov._version import __version__

    told = (plan.get("kuleshov") for plan in scores.provenance.values())
    return next((version for version in told if version), __version__)


def _system_results(system: SystemScores) -> dict[str, Any]:
    metrics = {}
    for figure in system.figures:
        if figure.value is None:
            continue
        about = figure.model_dump(exclude={"metric", "value"}, exclude_none=True)
        metrics[figure.metric] = {
            "name": figure.metric,
            "value": figure.value,
            "metadata": about,
        }
    states = system.states
    return {
        "name": system.system,
        "scorer": system.system,
        "scored_samples": states.get("answered", 0),
        "unscored_samples": sum(states.values()) - states.get("answered", 0),
        "params": {},
        "metrics": metrics,
        "metadata": {"title": TITLES[system.system], "reasons": system.reasons},
    }


def _log_samples(found: Evaluation) -> list[dict[str, Any]]:
    paths = {work.key: str(work.source) for work in items.read_items(found.manifest)}
    return [
        {
            "id": sample.id,
            "epoch": 1,
            "input": paths.get(sample.id, sample.id),
            "choices": list(found.labels.names) or None,
            "target": log_target(sample.target),
            "scores": {
                system: log_score(outcomes[place], sample.target)
                for system, outcomes in found.outcomes.items()
                if outcomes[place].answer is not None
            },
            "metadata": {
                "split": sample.split,
                "group": sample.group,
                "slices": sample.slices,
                "votes": dict(sample.target.votes) if sample.target.votes else None,
                "without_answer": {
                    system: outcomes[place].why
                    for system, outcomes in found.outcomes.items()
                    if outcomes[place].answer is None
                },
            },
        }
        for place, sample in enumerate(found.known)
    ]


def log_target(told: Target) -> str | list[str]:
    """People's answer as inspect_ai keeps it: text, or a list of labels."""
    if told.label is not None:
        return told.label
    if told.labels is not None:
        return list(told.labels)
    if told.text is not None:
        return told.text
    if told.distribution is not None:
        return json.dumps(told.distribution)
    return json.dumps({"valence": told.valence, "arousal": told.arousal})


def log_score(outcome: Outcome, told: Target) -> dict[str, Any]:
    """One system's answer: C or I where people gave one label, else the numbers of the answer."""
    answer = outcome.answer
    assert answer is not None
    value: Any = _answer_numbers(answer)
    if told.label is not None:
        value = "C" if answer.top == told.label else "I"
    elif told.votes is not None and answer.top is not None:
        value = answer.top  # people have no majority: neither right nor wrong
    return {
        "value": value,
        "answer": answer.top if answer.top is not None else ", ".join(answer.labels or ()),
        "explanation": answer.text,
        "metadata": {
            "probabilities": dict(answer.probabilities) if answer.probabilities else None,
            "valence": answer.valence,
            "arousal": answer.arousal,
        },
    }


def _answer_numbers(answer: Answer) -> dict[str, float]:
    given = {"valence": answer.valence, "arousal": answer.arousal, **(answer.probabilities or {})}
    return {name: value for name, value in given.items() if value is not None}
