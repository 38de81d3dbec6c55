"""Which systems can be evaluated, which runs serve them, and what each answered in a record.

A fusion of the agent is a system. One run may serve several: under `people` and `bayes` every
record also holds the face tool's reading, the context's and the one after the explanation, which
are those of `face`, `context` and `text`. An answer that rests on another source than the system's
own, because its own was missing, is no answer of that system: unanswered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from kuleshov.evals.types import Answer, Kind
from kuleshov.evidence.influence import js_divergence
from kuleshov.runs import store
from kuleshov.tools.errors import KuleshovError, suggest_word
from kuleshov.tools.labels import LabelSet
from kuleshov.types import Gap, no_face

SERVES: dict[str, tuple[str, ...]] = {
    "face": ("face",),
    "context": ("face", "context"),
    "mllm": ("face", "mllm"),
    "text": ("face", "text"),
    "people": ("face", "context", "text", "people"),
    "bayes": ("face", "context", "text", "bayes"),
}
"""By fusion of a run, cheapest first: the systems that its records hold."""

STRATEGIES = ("face", "context", "people", "bayes", "text", "mllm")
COMPUTED = ("people", "bayes")
"""Strategies whose reading is computed from face alone and context alone."""
BASELINES = ("clip", "majority", "chance")
TITLES = {
    "face": "face: the toolbox alone",
    "context": "context: the MLLM, faces covered",
    "people": "people: face and context as people weigh them",
    "bayes": "bayes: face and context integrated",
    "text": "text: the MLLM with the measured units",
    "mllm": "mllm: the MLLM on the face, no evidence",
    "clip": "CLIP, zero-shot",
    "majority": "majority class",
    "chance": "chance",
}


NAMED = 0.2
"""Share from which a label is named in a description."""


@dataclass(frozen=True)
class Outcome:
    """What became of one sample; `why`: there is no answer, or none yet (`state` missing).

    moved: under `people` or `bayes`, the divergence of both together from face alone and from
    context alone, bits.
    """

    answer: Answer | None
    why: str | None = None
    state: str = "answered"  # answered, unanswered, failed or missing
    moved: tuple[float, float] | None = None


def parse_systems(text: str | Sequence[str]) -> tuple[str, ...]:
    """Systems by name. Raises KuleshovError for an unknown one."""
    names = text.split(",") if isinstance(text, str) else text
    found = tuple(dict.fromkeys(name.strip() for name in names if name.strip()))
    known = (*STRATEGIES, *BASELINES)
    for name in found:
        if name not in known:
            raise KuleshovError(
                f"there is no system {name!r}{suggest_word(name, known)}; known: "
                f"{', '.join(known)}."
            )
    if not found:
        raise KuleshovError(f"name at least one system: {', '.join(known)}.")
    return found


def shared_runs(wanted: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Runs by fusion and what each serves: as few as there need be, cheap before dear.

    Only under a fusion that is itself wanted: whether these parts can do another is not known.
    """
    left = [name for name in wanted if name in STRATEGIES]
    known = [name for name in SERVES if name in left]
    plan: dict[str, tuple[str, ...]] = {}
    while left:
        # max keeps the first of equals, and the cheapest come first
        fusion = max(known, key=lambda name: sum(system in SERVES[name] for system in left))
        plan[fusion] = tuple(system for system in left if system in SERVES[fusion])
        left = [system for system in left if system not in plan[fusion]]
    return plan


# ------------------------------------------------------------------------- reading answers


def read_outcomes(
    run: Path, system: str, ids: Sequence[str], labels: LabelSet, kind: Kind = "single"
) -> list[Outcome]:
    """The answers of a system for the samples `ids`, from the run directory that serves it.

    Args:
        kind: of the task; decides what an answer must hold.
    """
    found: dict[str, Outcome] = {}
    for line in store.read_lines(run):
        record = orjson.loads(line)
        found[record["item"]["id"]] = (
            _baseline_outcome(record)
            if system in BASELINES
            else system_answer(record, system, labels, kind)
        )
    for line in store.read_lines(run, store.FAILURES):
        failure = orjson.loads(line)
        found[failure["key"]] = Outcome(None, failure["reason"], "failed")
    missing = Outcome(None, "not read yet", "missing")
    return [found.get(name, missing) for name in ids]


def system_answer(
    record: Mapping[str, Any], system: str, labels: LabelSet, kind: Kind = "single"
) -> Outcome:
    """A system's answer in one record. Of several people the one with the largest face counts."""
    person = judged_person(record)
    if person is None:
        return Outcome(None, "nobody was found", "unanswered")
    if kind == "text":
        return _description_outcome(record, person)
    scores, why = system_reading(person, system, record.get("gaps", ()))
    if scores is None:
        return Outcome(None, why, "unanswered")
    shares = scores["probabilities"]
    words = tuple(shares) if labels.mode == "free" else None
    told = person["explanation"]
    valence, arousal = (
        person[part] if system == "face" else anchor_rating(shares, labels, part)
        for part in ("valence", "arousal")
    )
    if kind == "affect" and valence is None and arousal is None:
        return Outcome(None, "it gives neither valence nor arousal", "unanswered")
    return Outcome(
        Answer(
            probabilities=shares,
            labels=words,
            valence=valence,
            arousal=arousal,
            text=told["text"] if told else None,
        ),
        moved=_context_shift(person, scores) if system in COMPUTED else None,
    )


def _description_outcome(record: Mapping[str, Any], person: Mapping[str, Any]) -> Outcome:
    """Where people wrote a description: the scene, the explanation and the reading, in words."""
    told, scores = person["explanation"], person["emotions"]
    if told is None:
        return Outcome(None, "there is no explanation", "unanswered")
    parts = [record["scene"]["description"]] if record["scene"] else []
    parts.append(told["text"])
    if scores is not None:
        shares = scores["probabilities"]
        likely = sorted((p, name) for name, p in shares.items() if p >= NAMED)[::-1]
        if likely:
            parts.append(f"Emotion: {', '.join(name for _, name in likely)}.")
    return Outcome(Answer(text=" ".join(parts)))


def _context_shift(
    person: Mapping[str, Any], both: Mapping[str, Any]
) -> tuple[float, float] | None:
    face, context = (system_reading(person, name)[0] for name in ("face", "context"))
    if face is None or context is None or both["mode"] != "single":
        return None
    shares = both["probabilities"]
    return (
        js_divergence(face["probabilities"], shares),
        js_divergence(context["probabilities"], shares),
    )


def judged_person(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The person that the sample is about: the one in its box, else the largest face."""
    people: list[dict[str, Any]] = record["people"]
    return max(people, key=_face_area, default=None)


def _face_area(person: Mapping[str, Any]) -> float:
    box = person["box_xyxy"]
    return (box[2] - box[0]) * (box[3] - box[1]) if box else 0.0


def system_reading(
    person: Mapping[str, Any], system: str, gaps: Sequence[Mapping[str, Any]] = ()
) -> tuple[dict[str, Any] | None, str | None]:
    """A person's distribution under a system, or None and why there is none."""
    if system in COMPUTED:
        scores = person["emotions"]
        if scores is None:
            return None, person["unanswered"] or "no source gave a distribution"
        if scores["fusion"] == system:
            return scores, None
        # without a face, what is combined is the reading of the context
        if person["face"] is None and scores["fusion"] == "context":
            return scores, None
        return None, f"one side was missing; the reading rests on {scores['fusion']} alone"
    condition, by_tool = {
        "face": ("face", True),
        "mllm": ("face", False),
        "context": ("context", False),
        "text": ("both", False),
    }[system]
    for judgement in person["judgements"]:
        tool = (judgement["source"] or "").startswith("faces:")
        # a part of the context was read on its own; an older record does not tell
        whole = judgement.get("part") is None
        if whole and judgement["condition"] == condition and tool == by_tool:
            scores = judgement["emotions"]
            return scores, None if scores else judgement["unanswered"] or "no reason given"
    if by_tool or system == "mllm":
        if person["face"] is None:
            return None, no_face(map(Gap.model_validate, gaps))
        return None, "no expression was measured"
    return None, "the model gave no reading"


def anchor_rating(shares: Mapping[str, float], labels: LabelSet, dimension: str) -> float | None:
    """Mean valence or arousal of the labels, weighted by the distribution (−1…1).

    None where a label with a share of 1 % or more has no anchor in the set.
    """
    anchors = {label.name: getattr(label, dimension) for label in labels.labels}
    total = 0.0
    for name, share in shares.items():
        anchor = anchors.get(name)
        if anchor is None:
            if share >= 0.01:
                return None
            continue
        total += share * anchor
    return max(-1.0, min(1.0, total))


def _baseline_outcome(record: Mapping[str, Any]) -> Outcome:
    given = record["answer"]
    if given is None:
        return Outcome(None, record["why"], "unanswered")
    parts = dict(given)
    if parts.get("labels") is not None:
        parts["labels"] = tuple(parts["labels"])
    return Outcome(Answer(**parts))
