"""What a speech recogniser is to the agent: sound in, lines with times out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.media.sound import Samples
from kuleshov.tools.media.transcript import Cue
from kuleshov.tools.types import Record


class SpeechError(KuleshovError):
    """A speech recogniser is missing, cannot load, or does not know the language."""


class SpeechInfo(Record):
    """What recognises speech and how it is run; goes into the provenance of a clip's record."""

    id: str
    kind: str
    revision: str | None = None
    sha256: str | None = None
    device: str
    dtype: str
    parameters: int | None = None
    licence: str | None = None
    language: str | None = None  # asked for; None: told by the model from the sound
    caveat: str


@dataclass
class Heard:
    """What was recognised.

    Times are seconds of the clip. `unsure` are stretches whose words were left out because the
    model was too unsure of them or repeated itself; `quiet` those in which it heard no speech.
    """

    cues: list[Cue] = field(default_factory=list)
    language: str | None = None
    unsure: list[tuple[float, float]] = field(default_factory=list)
    quiet: list[tuple[float, float]] = field(default_factory=list)
    until_s: float = 0.0
    stopped: bool = False


class Recogniser(Protocol):
    """Recognises speech; safe for several threads."""

    info: SpeechInfo

    def hear(
        self,
        pieces: Iterator[Samples],
        *,
        start_s: float = 0.0,
        stop: threading.Event | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Heard:
        """Recognise what is said.

        Args:
            pieces: 16 kHz mono, float32 in [-1, 1], as `open_sound` yields them.
            start_s: time of the first sample.
            stop: once set, nothing more is heard; what was heard is returned.
            progress: told the time until which it has heard, seconds.
        """
        ...
