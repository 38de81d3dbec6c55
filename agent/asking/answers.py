"""What the model's answers look like: their JSON schemas, and how they are read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kuleshov.tools.structured_text import parse_json


def each_answers(labels: Sequence[str]) -> list[str]:
    """Yes and no for every label, in turn: what is scored where labels do not exclude another."""
    return [f"{label}: {word}" for label in labels for word in ("yes", "no")]


def stated_schema(labels: Sequence[str]) -> dict[str, Any]:
    """The JSON that stated numbers follow: one in 0-100 for every label."""
    number = {"type": "integer", "minimum": 0, "maximum": 100}
    return {
        "type": "object",
        "properties": dict.fromkeys(labels, number),
        "required": list(labels),
        "additionalProperties": False,
    }


def stated_numbers(answer: str, labels: Sequence[str]) -> list[float]:
    """Read stated numbers, 0-1, in the order of the labels.

    Raises ValueError, KeyError or TypeError if one is missing or not a number in 0-100.
    """
    told = parse_json(answer)
    numbers = [told[label] for label in labels]
    if any(isinstance(n, bool) or not 0 <= n <= 100 for n in numbers):
        raise ValueError("not in 0-100")
    return [n / 100 for n in numbers]


SCENE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "description": {"type": "string", "maxLength": 600},
        "setting": {"type": "string", "maxLength": 120},
        "activity": {"type": "string", "maxLength": 160},
        "people": {"type": "string", "maxLength": 240},
        "people_present": {"type": "boolean"},
        "objects": {"type": "array", "items": {"type": "string", "maxLength": 40}, "maxItems": 8},
        "mood_words": {
            "type": "array",
            "items": {"type": "string", "maxLength": 24},
            "maxItems": 6,
        },
    },
    "required": [
        "description",
        "setting",
        "activity",
        "people",
        "people_present",
        "objects",
        "mood_words",
    ],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Told:
    """An explanation as the model gave it: its cues with the numbers that it saw."""

    text: str
    cues: tuple[tuple[int, str], ...]
    antecedent: str | None = None
    consequence: str | None = None


def explained(family: str, answer: str) -> Told:
    """Read the model's explanation. Raises ValueError, KeyError or TypeError if it cannot be."""
    if family == "review":  # asked in free words, it cites nothing
        if not answer.strip():
            raise ValueError("no explanation")
        return Told(answer.strip(), ())
    told = json.loads(answer)
    stages = ("interpretation", "conclusion") if family == "full" else ("explanation",)
    text = " ".join(part for stage in stages if (part := told[stage].strip()))
    if not text:
        raise ValueError("no explanation")
    return Told(
        text=text,
        cues=tuple((cue["evidence"], cue["text"].strip()) for cue in told["cues"]),
        antecedent=told.get("before", "").strip() or None,
        consequence=told.get("after", "").strip() or None,
    )


def judge_schema(family: str, numbers: Sequence[int], free: bool) -> dict[str, Any] | None:
    """The JSON an explanation must follow; it can cite no evidence that is not there.

    The full family reasons in stages: key observations (cues), what came before and may follow,
    overall interpretation, conclusion. The review's prompts are answered in free words: None.
    """
    if family == "review":
        return None
    properties: dict[str, Any] = {
        "cues": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "evidence": {"enum": list(numbers)},
                    "text": {"type": "string", "maxLength": 120},
                },
                "required": ["evidence", "text"],
                "additionalProperties": False,
            },
            "minItems": 1,
            "maxItems": 4,
        },
    }
    stages = {"explanation": 500}
    if family == "full":
        stages = {"before": 160, "after": 160, "interpretation": 400, "conclusion": 200}
    for stage, most in stages.items():
        properties[stage] = {"type": "string", "maxLength": most}
    if free:
        properties["emotions"] = {
            "type": "array",
            "items": {"type": "string", "minLength": 3, "maxLength": 24, "pattern": "^[a-z -]+$"},
            "minItems": 1,
            "maxItems": 5,
        }
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
