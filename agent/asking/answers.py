"""What the model's answers look like: their JSON schemas, and how they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from kuleshov.evidence import generated
from kuleshov.tools.structured_text import parse_json


def each_answers(labels: Sequence[str]) -> list[str]:
    """Yes and no for each label in turn: scored where labels do not exclude one another."""
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


LONGEST_PART = 100_000  # characters of an answer that breaks off: longer is no answer
MOST_CUE = 120
LIMITS = {"explanation": 500, "before": 160, "after": 160, "interpretation": 400, "conclusion": 200}
"""Characters of each part of an explanation."""
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


def read_fields(answer: str) -> tuple[dict[str, Any], bool]:
    """The fields of an answer in JSON, and whether it came to its end.

    Of an answer that breaks off, what is whole stands; the last text is cut back to whole words.

    Raises:
        ValueError: it is not JSON from its begin on, or no object.
    """
    try:
        found, whole = parse_json(answer), True
    except ValueError:
        if len(answer) > LONGEST_PART:
            raise
        found, whole = from_json(answer, allow_partial="trailing-strings"), False
    if not isinstance(found, dict):
        raise ValueError("no object")
    if not whole and found:
        last = next(reversed(found))
        if isinstance(found[last], str) and not answer.rstrip().endswith('"'):
            found[last] = generated.tidy_field(found[last], cut=True)
        elif isinstance(found[last], list) and not answer.rstrip().endswith("]"):
            found[last] = _whole_items(found[last], answer)
        elif isinstance(found[last], (int, float)) and answer.rstrip()[-1:].isdigit():
            del found[last]  # more of its digits may have been to come
    return found, whole


def _whole_items(items: list[Any], answer: str) -> list[Any]:
    """Of a list in which an answer breaks off, the items that came to their end."""
    ended = answer.rstrip().endswith(('"', "}", ","))
    return items if ended and not (items and isinstance(items[-1], dict)) else items[:-1]


def why_unread(what: str, finished: bool) -> str:
    """'the answer could not be read', and that it was cut off where it did not come to its end."""
    return f"{what} {'' if finished else 'was cut off for length and '}could not be read"


def read_scene(answer: str) -> dict[str, Any]:
    """The fields of a scene as the model told them, words that stand by themselves alone.

    Raises:
        ValueError: it cannot be read.
    """
    told, _ = read_fields(answer)
    scene: dict[str, Any] = {}
    for name, schema in SCENE_SCHEMA["properties"].items():
        value = told.get(name)
        if schema["type"] == "string":
            words = value if isinstance(value, str) else ""
            scene[name] = generated.tidy_field(words, schema["maxLength"]) or None
        elif schema["type"] == "boolean":
            scene[name] = value if isinstance(value, bool) else None
        else:
            most = schema["items"]["maxLength"]
            items = value if isinstance(value, list) else []
            tidy = (generated.tidy_field(item, most) for item in items if isinstance(item, str))
            scene[name] = tuple(filter(None, tidy))
    return {**scene, "description": scene["description"] or ""}


def read_words(answer: str) -> str:
    """The whole sentences of an answer in free words; "" where it is none, or began as JSON.

    A server that knows no grammar may let its model answer so.
    """
    text = answer.strip()
    if text.startswith(("{", "[", "```")) or not generated.END.search(text):
        return ""
    return generated.to_last_sentence(text)


@dataclass(frozen=True)
class Told:
    """An explanation as the model gave it: its cues with the numbers that it saw."""

    text: str
    cues: tuple[tuple[int, str], ...]
    antecedent: str | None = None
    consequence: str | None = None
