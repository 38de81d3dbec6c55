"""Where the pixels and live objects of the media in work lie."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from typing import Any

from kuleshov.tools.media import ClipStream
from kuleshov.tools.media.types import Rgb


class Desk:
    """Sources and pixels of the media in work, by key; safe for several threads.

    Copies of an agent share one. The desk gives the keys, each once and for ever, whoever asks, so
    that no two readings ever mean the same place.
    """

    def __init__(self) -> None:
        self._sources: dict[str, Any] = {}
        self._pictures: dict[str, Sequence[Rgb]] = {}
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

    def lay_out(self, key: str, pictures: Sequence[Rgb], times_s: Sequence[float] = ()) -> None:
        with self._lock:
            self._pictures[key] = pictures
            self._times[key] = times_s

    def times_s(self, key: str) -> Sequence[float]:
        """The times of a clip's pictures, seconds; empty for a still."""
        return self._times[key]

    def pictures(self, key: str) -> Sequence[Rgb]:
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
