"""Readings for the page and the HTTP API: what is wished, what happens, what comes of it."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from kuleshov.agent import Agent, Event
from kuleshov.apps.web.job_queue import Job
from kuleshov.asking import fusion_choice
from kuleshov.output import view
from kuleshov.settings import Fusion
from kuleshov.tools.errors import KuleshovError, shorten_text, suggest_word
from kuleshov.tools.labels import LabelSet, shipped_label_sets
from kuleshov.types import FusedScores, Inference

FUSIONS: tuple[str, ...] = get_args(Fusion)


@dataclass(frozen=True)
class Wish:
    """How a picture or clip is to be read."""

    context: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    who: Mapping[int, str] = field(default_factory=dict)
    boxes: tuple[tuple[float, ...], ...] = ()
    labels: str | None = None
    fusion: str | None = None
    influence: bool | None = None
    transcript: Path | None = None


class Agents:
    """The same model and face tool under other label sets and fusions."""

    def __init__(self, agent: Agent) -> None:
        self.first = agent
        self._made: dict[tuple[str, str], Agent] = {}
        self._lock = threading.Lock()

    @property
    def labels(self) -> list[str]:
        """Sets to choose from. No paths: a name from a browser must not open a file."""
        own = self.first.settings.labels
        return list(dict.fromkeys([own, *shipped_label_sets()]))

    @cached_property
    def usable(self) -> list[str]:
        """Those of `labels` that this model and face tool can do."""
        crew = self.first.crew
        found = []
        for name in self.labels:
            with contextlib.suppress(KuleshovError):
                labels = LabelSet.load(name)
                fusion_choice.choose_fusion(
                    self.first.settings, labels, crew.faces, crew.mllm, crew.writer.family
                )
                found.append(name)
        return found

    @property
    def label_choices(self) -> list[tuple[str, bool]]:
        """All of `labels`, each with whether this model and face tool can do it."""
        return [(name, name in self.usable) for name in self.labels]

    def find(self, labels: str | None, fusion: str | None) -> Agent:
        """The agent for these labels and this fusion; None: as the server was started.

        Raises:
            KuleshovError: unknown, or beyond this model and face tool.
        """
        settings = self.first.settings
        labels, fusion = labels or settings.labels, fusion or settings.fusion
        if labels not in self.labels:
            hint = suggest_word(labels, self.labels)
            raise KuleshovError(
                f"there is no label set {shorten_text(labels)!r} on this server{hint}."
            )
        if fusion not in FUSIONS:
            raise KuleshovError(
                f"there is no fusion {shorten_text(fusion)!r}; there are {', '.join(FUSIONS)}."
            )
        if (labels, fusion) == (settings.labels, settings.fusion):
            return self.first
        with self._lock:
            if (labels, fusion) not in self._made:
                other = self.first.with_settings(labels=labels, fusion=fusion)
                self._made[labels, fusion] = other
            return self._made[labels, fusion]


def read_medium(agents: Agents, path: Path, name: str, wish: Wish, job: Job) -> Inference:
    """The record of one picture or clip; its steps and words are told as the job's events.

    Raises:
        KuleshovError: it cannot be read, or the job was stopped; the text names the file as it
            came, and no place on this machine.
    """
    try:
        agent = agents.find(wish.labels, wish.fusion)
        events = agent.stream(
            path,
            context=wish.context,
            said=wish.said,
            who=wish.who,
            boxes=wish.boxes,
            influence=wish.influence,
            transcript=wish.transcript,
            progress=lambda done, whole: job.tell("progress", done_s=done, whole_s=whole),
            stop=job.stop,
        )
        return rename_source(follow_events(events, job), path, name)
    except KuleshovError as error:
        raise name_error(error, path, name) from None


def follow_events(events: Iterable[Event], job: Job) -> Inference:
    """Tell the events as those of the job, to their end; returns the inference among them."""
    found: Inference | None = None
    for event in events:
        found = event.inference or found
        _tell_event(event, job)
    if found is None:
        raise KuleshovError("the reading ended without a result.")
    return found


def name_error(error: KuleshovError, path: Path, name: str) -> KuleshovError:
    """The error with the file called as it came, and no place on this machine."""
    return type(error)(str(error).replace(str(path), name))


def rename_source(inference: Inference, path: Path, name: str) -> Inference:
    """The record with the file called as it came."""
    inside, shown = (json.dumps(str(text), ensure_ascii=False)[1:-1] for text in (path, name))
    return Inference.from_json(inference.to_json().replace(inside, shown))


def _tell_event(event: Event, job: Job) -> None:
    if event.kind == "token":
        job.tell("token", step=event.step, person=event.person, text=event.text)
    elif event.step is not None:
        for text in _describe_step(event.step, event.change or {}):
            job.tell("step", step=event.step, text=text)


def _describe_step(step: str, change: Mapping[str, Any]) -> list[str]:
    """What a step has come to, in words; nothing where there is nothing to tell."""
    if step == "open_media":
        media = change["media"]
        if media["kind"] == "clip":  # its size is known with its first frame
            return [f"opened, {media['duration_s'] or 0:.1f} s"]
        return [f"opened, {media['size'][0]} × {media['size'][1]} px"]
    if step in ("observe_faces", "follow_faces"):
        count = len(change["tracks"] if "tracks" in change else change["faces"][0])
        return ["no face found" if not count else "1 face" if count == 1 else f"{count} faces"]
    if step == "describe_scene":
        scene = change.get("scene")
        return [
            view.clean_line(scene["description"]) if scene else "the scene could not be described"
        ]
    if step == "gather":
        return [f"{len(change['evidence'])} pieces of evidence"]
    if step == "judge":
        return ["explanation written"]
    if step == "ground":
        return ["its cues checked against the face"]
    if step == "repair":
        return ["explanation written once more"]
    if step == "weigh":
        return [_describe_weighing(person) for person in change["people"]]
    if step == "read_moment":
        return [f"moment at {m['moment']['time_s']:.1f} s read" for m in change.get("moments", [])]
    return []


def _describe_weighing(person: Mapping[str, Any]) -> str:
    told = person["emotions"]
    top = view.score_headline(FusedScores.model_validate(told)) if told else "unanswered"
    return f"person {person['id']}: {top}"
