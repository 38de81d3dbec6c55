"""What flows through the graph: paths and plain values only, because checkpoints reject arrays.

Pixels and live objects stay on a `Desk`, by a key that the desk gives.
"""

from __future__ import annotations

from operator import add
from typing import Annotated, TypedDict

from kuleshov.types import Plain


def merge_seconds(old: dict[str, float], new: dict[str, float]) -> dict[str, float]:
    """Seconds by step; the same step again (several people) adds up."""
    return {**old, **{key: old.get(key, 0.0) + value for key, value in new.items()}}


class State(TypedDict, total=False):
    """One picture or clip on its way through the graph.

    covered: the scene with a face covered, by the person's number; `EVERYBODY`: with every face.
    """

    key: str
    begun: float
    contexts: list[str]
    supposed: list[str]
    boxes: list[list[float]]
    apart: bool
    said: list[str]
    notes: dict[int, str]
    media: Plain
    faces: list[list[Plain]]
    tracks: list[Plain]
    words: list[Plain]
    heard: Plain
    scene: Plain | None
    covered: dict[str, Plain]
    coded: list[Plain]
    coded_from: Plain
    wordings: dict[str, tuple[str, bool]]
    evidence: list[Plain]
    targets: list[Plain]
    people: Annotated[list[Plain], add]
    moments: Annotated[list[Plain], add]
    gaps: Annotated[list[Plain], add]
    warnings: Annotated[list[str], add]
    seconds: Annotated[dict[str, float], merge_seconds]
    inference: Plain


class MomentState(TypedDict, total=False):
    """One moment of a clip on its way to a reading."""

    key: str
    target: Plain
    moment: Plain
    evidence: list[Plain]
    hidden: list[list[Plain]]
    covered: str | None


class PersonState(TypedDict, total=False):
    """One person on the way through judge, ground and repair."""

    key: str
    target: Plain
    evidence: list[Plain]
    hidden: list[list[Plain]]
    covered: str | None
    apart: bool
    several: bool
    shots: list[str]
    answer: str
    finished: bool
    why_unread: str | None
    explanation: Plain | None
    complaints: list[str]
    unreadable: bool
    tries: int
    people: Annotated[list[Plain], add]
    gaps: Annotated[list[Plain], add]
    warnings: Annotated[list[str], add]
    seconds: Annotated[dict[str, float], merge_seconds]


class PersonResult(TypedDict, total=False):
    """What a person's sub-graph hands back."""

    people: Annotated[list[Plain], add]
    gaps: Annotated[list[Plain], add]
    warnings: Annotated[list[str], add]
    seconds: Annotated[dict[str, float], merge_seconds]
