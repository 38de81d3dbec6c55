"""What flows through the graph: paths and plain values only, because checkpoints reject arrays.

Pixels and live objects stay on a `Desk`, by the SHA-256 of their medium.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from operator import add
from typing import Annotated, Any, TypedDict

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Plain = dict[str, Any]


def merge(old: dict[str, float], new: dict[str, float]) -> dict[str, float]:
    """Seconds by step; the same step again (several people) adds up."""
    return {**old, **{key: old.get(key, 0.0) + value for key, value in new.items()}}


class State(TypedDict, total=False):
    """One picture or clip on its way through the graph."""

    key: str
    begun: float
    contexts: list[str]
    boxes: list[list[float]]
    apart: bool
    said: list[str]
    notes: dict[int, str]
    media: Plain
    faces: list[list[Plain]]
    scene: Plain | None
    covered: Plain | None
    evidence: list[Plain]
    targets: list[Plain]
    people: Annotated[list[Plain], add]
    gaps: Annotated[list[Plain], add]
    warnings: Annotated[list[str], add]
    seconds: Annotated[dict[str, float], merge]
    inference: Plain


class PersonState(TypedDict, total=False):
    """One person on the way through judge, ground and repair."""

    key: str
    target: Plain
    evidence: list[Plain]
    faces: list[list[Plain]]
    covered: str | None
    apart: bool
    several: bool
    answer: str
    explanation: Plain | None
    complaints: list[str]
    unreadable: bool
    tries: int
    people: Annotated[list[Plain], add]
    gaps: Annotated[list[Plain], add]
    warnings: Annotated[list[str], add]
    seconds: Annotated[dict[str, float], merge]


class PersonResult(TypedDict, total=False):
    """What a person's sub-graph hands back."""

    people: Annotated[list[Plain], add]
    gaps: Annotated[list[Plain], add]
    warnings: Annotated[list[str], add]
    seconds: Annotated[dict[str, float], merge]


class Desk:
    """Sources and pixels of the media in work, by a key of the run; safe for several threads."""

    def __init__(self) -> None:
        self._sources: dict[str, Any] = {}
        self._pictures: dict[str, Sequence[Picture]] = {}
        self._lock = threading.Lock()

    def put(self, key: str, source: Any) -> None:
        with self._lock:
            self._sources[key] = source

    def source(self, key: str) -> Any:
        return self._sources[key]

    def lay_out(self, key: str, pictures: Sequence[Picture]) -> None:
        with self._lock:
            self._pictures[key] = pictures

    def pictures(self, key: str) -> Sequence[Picture]:
        """Pictures (H, W, 3) RGB uint8: one of an image, several of a clip in order of time."""
        return self._pictures[key]

    def clear(self, key: str) -> None:
        with self._lock:
            self._sources.pop(key, None)
            self._pictures.pop(key, None)
