"""What flows through the graph: paths and plain values only, because checkpoints reject arrays.

Pixels and live objects stay on a `Desk`, by a key that the desk gives.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from operator import add
from typing import Annotated, Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from kuleshov.tools.media import ClipStream

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
    covered: Plain | None
    coded: list[Plain]
    coded_from: Plain
    wordings: dict[str, tuple[str, bool]]
    evidence: list[Plain]
    targets: list[Plain]
    people: Annotated[list[Plain], add]
    moments: Annotated[list[Plain], add]
    gaps: Annotated[list[Plain], add]
    warnings: Annotated[list[str], add]
    seconds: Annotated[dict[str, float], merge]
    inference: Plain


class MomentState(TypedDict, total=False):
    """One moment of a clip on its way to a reading."""

    key: str
    target: Plain
    moment: Plain
    evidence: list[Plain]
    faces: list[list[Plain]]
    covered: str | None


class PersonState(TypedDict, total=False):
    """One person on the way through judge, ground and repair."""

    key: str
    target: Plain
    evidence: list[Plain]
    faces: list[list[Plain]]
    covered: str | None
    apart: bool
    several: bool
    shots: list[str]
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
    """Sources and pixels of the media in work, by key; safe for several threads.

    Copies of an agent share one. The desk gives the keys, each once and for ever, whoever asks, so
    that no two readings ever mean the same place.
    """

    def __init__(self) -> None:
        self._sources: dict[str, Any] = {}
        self._pictures: dict[str, Sequence[Picture]] = {}
        self._clips: dict[str, ClipStream] = {}
        self._times: dict[str, Sequence[float]] = {}
        self._lock = threading.Lock()

    def put(self, source: Any) -> str:
        """Lay a source down; returns its key, which no desk has given before."""
        key = uuid.uuid4().hex  # from the system: also unlike those of a forked process
        with self._lock:
            self._sources[key] = source
        return key

    def source(self, key: str) -> Any:
        return self._sources[key]

    def lay_out(self, key: str, pictures: Sequence[Picture], times_s: Sequence[float] = ()) -> None:
        with self._lock:
            self._pictures[key] = pictures
            self._times[key] = times_s

    def times_s(self, key: str) -> Sequence[float]:
        """The times of a clip's pictures, seconds; empty for a still."""
        return self._times[key]

    def pictures(self, key: str) -> Sequence[Picture]:
        """Pictures (H, W, 3) RGB uint8: one of an image, several of a clip in order of time."""
        return self._pictures[key]

    def put_clip(self, key: str, clip: ClipStream) -> None:
        with self._lock:
            self._clips[key] = clip

    def clip(self, key: str) -> ClipStream:
        return self._clips[key]

    def clear(self, key: str) -> None:
        with self._lock:
            self._sources.pop(key, None)
            self._pictures.pop(key, None)
            self._times.pop(key, None)
            clip = self._clips.pop(key, None)
        if clip is not None:
            clip.close()
