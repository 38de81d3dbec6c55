"""A picture or clip that stays open: looked at once, judged as often as asked."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kuleshov import graph
from kuleshov.agent import Agent, Event
from kuleshov.tools.transcript import Cue
from kuleshov.tools.types import KuleshovError

LOOKED_AT = ("media", "faces", "tracks", "scene", "covered", "words", "heard")
LOOKING = (
    "faces",
    "scene",
    "clip",
    "cover_faces",
    "speech",
)  # steps whose gaps stay when judged again


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


class Held:
    """Its pixels lie on the agent's desk until `close`."""

    def __init__(self, agent: Agent, source: Any) -> None:
        """Args: source: as for `Agent.infer`."""
        self.source = source
        self.desk = agent.crew.desk
        self.key = f"held-{uuid.uuid4().hex}"
        self._known: dict[str, Any] = {}
        self._gaps: list[dict[str, Any]] = []
        self.desk.put(self.key, source)

    def read(
        self,
        agent: Agent,
        words: Words,
        *,
        influence: bool | None = None,
        transcript: str | os.PathLike[str] | Sequence[Cue] | None = None,
        progress: Callable[[float, float], None] | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[Event]:
        """Look and judge, yielding what happens as `Agent.stream` does.

        Raises:
            MediaError: the source cannot be opened.
        """
        start = self._start(agent, words, influence) | agent.words(transcript)
        yield from self._run(agent, agent.graph, start, progress, stop)

    def again(
        self,
        agent: Agent,
        words: Words,
        *,
        influence: bool | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[Event]:
        """Judge anew what was looked at: faces and scene are not looked at again.

        Args:
            agent: the one that read, or one with other settings around the same parts.

        Raises:
            KuleshovError: nothing was read yet.
        """
        if "media" not in self._known:
            raise KuleshovError("nothing has been read yet.")
        start = self._start(agent, words, influence) | self._known | {"gaps": self._gaps}
        yield from self._run(agent, graph.again_graph(agent.crew), start, None, stop)

    def pictures(self) -> Sequence[Any]:
        """The pictures that are shown: one of a still, the kept frames of a clip."""
        return self.desk.pictures(self.key)

    def asked_about(self, person: int | None) -> dict[str, Any]:
        """What a question about one person (None: the whole) is asked from; see `Shown`."""
        own = [e for e in self._known["evidence"] if e["person"] in (None, person)]
        found = [t for t in self._known["targets"] if t["id"] == person]
        nobody = {"id": None, "face": None, "picture": len(self.pictures()) // 2}
        covered = self._known.get("covered")
        return {
            "key": self.key,
            "target": found[0] if found else nobody,
            "evidence": own if person is not None else self._known["evidence"],
            "faces": self._known["faces"],
            "covered": covered["description"] if covered else None,
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
    ) -> Iterator[Event]:
        state: dict[str, Any] = {}
        yield from agent.events(compiled, start, progress=progress, stop=stop, state=state)
        kept = (*LOOKED_AT, "targets", "evidence")
        self._known = {name: state[name] for name in kept if name in state}
        self._gaps = [gap for gap in state.get("gaps", []) if gap["step"] in LOOKING]
