"""The crew: who does the work, and what the nodes of both graphs share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kuleshov.asking import gate, images
from kuleshov.asking import writer as asking_writer
from kuleshov.asking.coding.scheme import Scheme
from kuleshov.asking.desk import Desk
from kuleshov.asking.examples import Album, Examples
from kuleshov.asking.gate import Priors
from kuleshov.evidence.observer import Observer
from kuleshov.settings import Settings
from kuleshov.tools import process
from kuleshov.tools.faces.base import FaceTool
from kuleshov.tools.labels import LabelSet
from kuleshov.tools.media.types import Rgb
from kuleshov.tools.mllm.base import Conversation, Generation, Mllm, ServerRefusedError
from kuleshov.tools.mllm.local.packing import Question
from kuleshov.tools.speech import Recogniser
from kuleshov.types import ContextAsked, Gap, Plain

MOST_SHOTS = 4  # described one by one


@dataclass
class Crew:
    """The model, the face tool and the choices; loaded once, shared by all readings.

    context_asked: how the context alone is read: "direct", for one of the labels, which are
    listed, or "situation", see `asking.situation`.
    """

    mllm: Mllm
    faces: FaceTool
    settings: Settings
    labels: LabelSet
    fusion: str
    context_weight: float
    observer: Observer
    prior: dict[str, float] | None
    prior_source: str
    writer: asking_writer.Writer
    provenance: Plain
    examples: Examples | None = None
    album: Album = field(default_factory=Album)
    scheme: Scheme | None = None
    speech: Recogniser | None = None
    context_asked: ContextAsked = "direct"
    temperatures: dict[str, float] = field(default_factory=dict)
    desk: Desk = field(default_factory=Desk)
    priors: Priors = field(default_factory=Priors)
    born: int = field(default_factory=process.fork_generation)

    @property
    def seeing(self) -> float:
        """How far what the model sees of a scene is to be trusted, 0-1; below 1: a small model."""
        return min(1.0, self.mllm.info.context_weight)

    def check_own(self) -> None:
        """Raises KuleshovError where it cannot be used in this process, a fork of its own."""
        parts = (self.mllm, self.faces, self.speech)
        able = all(getattr(part, "forks", True) for part in parts)
        process.check_own(self.born, "this agent", forks=able)

    def ask(
        self,
        talk: Conversation,
        *,
        step: str,
        person: int | None = None,
        schema: Plain | None = None,
        most: int | None = None,
        on_token: Callable[[str], None] | None = None,
    ) -> Generation:
        """Ask the MLLM through the gate; its words go to the stream when somebody listens."""
        settings = self.settings
        return gate.generate_text(
            self.mllm,
            talk,
            step=step,
            person=person,
            on_token=on_token,
            schema=schema,
            max_new_tokens=most or settings.max_new_tokens,
            temperature=settings.temperature,
            seed=settings.seed,
        )

    def score(self, talk: Conversation, answers: Sequence[str]) -> list[float]:
        """Log-likelihood of each answer in nats, through the gate."""
        return gate.score_answers(self.mllm, talk, answers)

    def score_many(self, questions: Sequence[Question]) -> list[list[float]]:
        """Log-likelihoods of each question's answers in nats, through the gate."""
        return gate.score_many(self.mllm, questions)

    def features(self, cuts: Sequence[Rgb]) -> Any:
        """The model's vision features of pictures, a row each, through the gate."""
        return gate.vision_features(self.mllm, cuts)

    def whole(
        self,
        key: str,
        place: int | None = None,
        change: Callable[[Rgb, int], Rgb] | None = None,
        *,
        video: bool = False,
    ) -> Any:
        """What the model is shown of the picture or clip: an image, or a clip's frames in one.

        A still is its picture. Of a clip, a small model sees the one frame at `place` (None: the
        middle one); others see all kept frames on a sheet with their times, or, if `video`, as a
        video where the model takes one (`frames_as` says which). `change` is applied
        to each picture, which it is given with its place.
        """
        pictures, times = self.desk.pictures(key), self.desk.times_s(key)
        sheet = bool(times) and self.writer.family.sheet
        as_video = sheet and video and self.mllm.info.video
        middle = len(pictures) // 2
        places = range(len(pictures)) if sheet else [middle if place is None else place]
        shots = [change(pictures[i], i) if change else pictures[i] for i in places]
        if as_video:
            return images.frame_video(shots, times)
        return images.frame_sheet(shots, times) if sheet else images.to_image(shots[0])

    @property
    def frames_as(self) -> str:
        """How the model is shown a clip: as a video, on one sheet, or a frame at a time."""
        if not self.writer.family.sheet:
            return "single frames"
        return "video" if self.mllm.info.video else "one sheet"

    def views(self, key: str, cuts_s: Sequence[float] = ()) -> list[tuple[float, Any]]:
        """What is described: (time, image); one a shot where the model sees one frame at a time."""
        times = self.desk.times_s(key)
        if not times or not cuts_s or self.writer.family.sheet:
            return [(times[0] if times else 0.0, self.whole(key, video=True))]
        begins = [0.0, *cuts_s, float("inf")]
        found = []
        for begin, end in itertools.pairwise(begins):
            within = [i for i, time in enumerate(times) if begin <= time < end]
            if within:
                found.append((begin, self.whole(key, within[len(within) // 2])))
        return found[:MOST_SHOTS]


def gap_of_error(step: str, error: Exception) -> Plain:
    """The gap that a failure leaves; what is not a tool's own sentence is named by its type.

    Raises:
        ServerRefusedError: that the server refuses everything is no gap of one reading.
    """
    if isinstance(error, ServerRefusedError):
        raise error
    passing = bool(getattr(error, "passing", False))
    return Gap(step=step, reason=gate.error_sentence(error), passing=passing).model_dump()


def plain_records(records: Sequence[Any]) -> list[Plain]:
    return [record.model_dump(mode="json") for record in records]
