"""Readings of the page: each is a session about one picture or clip, and few stay open at once."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kuleshov.agent import Agent
from kuleshov.apps.web.readings import rename_source
from kuleshov.session.session import Session, Step
from kuleshov.tools import media
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.media import Rgb
from kuleshov.types import Inference

MOST = 8  # whose pixels stay in memory; another is looked at again when something is asked of it


@dataclass(eq=False)
class Reading:
    """A medium, the name that it came under, and the session about it."""

    number: int
    path: Path
    name: str
    talk: Session
    agent: Agent
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    open: bool = True

    @property
    def current(self) -> Inference:
        """What was read last, a what-if included."""
        return rename_source(self.talk.current, self.path, self.name)

    @property
    def turns(self) -> list[Step]:
        """What was asked since the first reading."""
        return [step for step in self.talk.steps[1:] if step.kind != "person"]

    def pictures(self, max_pixels: int) -> list[Rgb] | None:
        """The still, or the kept frames of a clip; None where the file is not there any more."""
        try:
            return media.pictures_of(self.path, self.talk.current.media, max_pixels=max_pixels)
        except KuleshovError:
            return None


class Open:
    """The readings whose pixels are in memory, the latest used last."""

    def __init__(self) -> None:
        self._readings: list[Reading] = []
        self._lock = threading.Lock()

    def use(self, reading: Reading, stop: threading.Event) -> Session:
        """The session about it, looked at again where it was closed. Called by the worker alone.

        Raises:
            KuleshovError: the file is not there any more.
        """
        if not reading.open:
            old = reading.talk
            again = Session(reading.agent, reading.path, transcript=old.transcript)
            again.restore(old.plain(), stop=stop)
            reading.talk, reading.open = again, True
        with self._lock:
            if reading in self._readings:
                self._readings.remove(reading)
            self._readings.append(reading)
            spare: Sequence[Reading] = self._readings[:-MOST]
        for other in spare:
            self.close(other)
        return reading.talk

    def close(self, reading: Reading) -> None:
        with self._lock:
            if reading in self._readings:
                self._readings.remove(reading)
        reading.open = False
        reading.talk.close()
