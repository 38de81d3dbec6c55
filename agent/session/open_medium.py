"""A picture or clip that stays open: looked at once, judged as often as asked."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kuleshov.agent import Agent, Event
from kuleshov.graph import builder
from kuleshov.tools.media import Media, pictures_of
from kuleshov.tools.media.transcript import Cue
from kuleshov.types import Inference

KEPT = (
    *("media", "faces", "tracks", "scene", "covered", "words", "heard", "targets"),
    *("coded", "coded_from"),
)
"""Of the graph's state, what a reading that comes after begins with."""
LOOKING = ("faces", "scene", "clip", "speech")
"""Steps that are not done again: their gaps stay."""


@dataclass(frozen=True)
class Words:
    """What the user says of the situation. `supposed` holds for one what-if and is marked so."""

    context: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    who: tuple[tuple[int, str], ...] = ()
    supposed: tuple[str, ...] = ()

    def supposing(self, text: str) -> Words:
        """The same with `text` in the place of what was supposed before."""
        return replace(self, supposed=(text,))


@dataclass(frozen=True)
class Looked:
    """What was seen of the medium up to one reading; plain values, never changed.

    known: of the graph's state, what stays when people are judged again. gaps: what was missing.
    """

    known: dict[str, Any]
    gaps: tuple[dict[str, Any], ...] = ()


class OpenMedium:
    """An opened picture or clip: its pixels stay in the agent's memory until `close`.

    It holds pixels only. Faces and scene are returned with each reading and belong to that
    reading: one that fails or is undone leaves nothing behind here.
    """

    def __init__(self, agent: Agent, source: Any) -> None:
        """Args: source: as for `Agent.infer`."""
        self.source = source
        self.desk = agent.crew.desk
        self.key = self.desk.put(source)

    def read(
        self,
        agent: Agent,
        words: Words,
        *,
        influence: bool | None = None,
        transcript: str | os.PathLike[str] | Sequence[Cue] | None = None,
        progress: Callable[[float, float], None] | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[tuple[Event, Looked | None]]:
        """Look and judge, yielding what happens as `Agent.stream` does.

        With the event that carries the inference comes what was seen; with others None.

        Raises:
            MediaError: the source cannot be opened.
        """
        start = self._start(agent, words, influence) | agent.words(transcript)
        yield from self._run(agent, agent.graph, start, progress, stop)

    def again(
        self,
        agent: Agent,
        looked: Looked,
        words: Words,
        *,
        influence: bool | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[tuple[Event, Looked | None]]:
        """Judge anew what was looked at: faces and scene are not looked at again.

        Args:
            agent: the one that read, or one with other settings around the same parts.
            looked: what was seen for the reading that this one comes after.
        """
        start = self._start(agent, words, influence) | looked.known | {"gaps": list(looked.gaps)}
        yield from self._run(agent, builder.again_graph(agent.crew), start, None, stop)

    def lay_out(self, media: Media, *, max_pixels: int) -> None:
        """Open the source again for a reading that was kept: its pixels alone.

        Raises:
            MediaError: the source cannot be opened, or is no longer what was read.
        """
        pictures = pictures_of(self.source, media, max_pixels=max_pixels)
        times = [frame.time_s for frame in media.frames] if media.kind == "clip" else []
        self.desk.lay_out(self.key, pictures, times)

    def pictures(self) -> Sequence[Any]:
        """The pictures that are shown: one of a still, the kept frames of a clip."""
        return self.desk.pictures(self.key)

    def asked_about(
        self, looked: Looked, inference: Inference, person: int | None
    ) -> dict[str, Any]:
        """What a question about one person (None: the whole) is asked from; see `Shown`.

        Args:
            looked: what was seen for `inference`, whose evidence it is.
        """
        evidence = [item.model_dump(mode="json") for item in inference.evidence]
        own = [e for e in evidence if e["person"] in (None, person)]
        found = [t for t in looked.known["targets"] if t["id"] == person]
        nobody = {"id": None, "face": None, "picture": len(self.pictures()) // 2}
        return {
            "key": self.key,
            "target": found[0] if found else nobody,
            "evidence": own if person is not None else evidence,
            "hidden": [],  # questions are about everything
            "covered": None,
        }

    def close(self) -> None:
        self.desk.clear(self.key)

    def _start(self, agent: Agent, words: Words, influence: bool | None) -> dict[str, Any]:
        notes = dict(words.who)
        start = agent.start(self.key, words.context, words.said, notes, (), influence)
        return start | {"supposed": list(words.supposed)}

    def _run(
        self,
        agent: Agent,
        compiled: Any,
        start: dict[str, Any],
        progress: Callable[[float, float], None] | None,
        stop: threading.Event | None,
    ) -> Iterator[tuple[Event, Looked | None]]:
        state: dict[str, Any] = {}
        for event in agent.events(compiled, start, progress=progress, stop=stop, state=state):
            if event.inference is None:
                yield event, None
                continue
            known = {name: state[name] for name in KEPT if name in state}
            gaps = [gap for gap in state.get("gaps", []) if gap["step"] in LOOKING]
            yield event, Looked(known, tuple(gaps))
