"""What a data set yields, and what a system answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Box = tuple[float, float, float, float]
Kind = Literal["single", "multi", "votes", "affect", "open", "text"]
"""How people answered: one label, several of a set, votes over labels, valence and arousal, words
of their own, a text."""


@dataclass(frozen=True)
class Target:
    """People's answer. At least one part is set; None is what the data set does not tell.

    label: one label of the task's set; None beside votes: no label has a majority.
    labels: several: of the task's set, or words of their own. () is an answer: none of them.
    votes: label to the number of votes or its share; at least one above 0.
    valence, arousal: −1…1, whatever the data set's own scale (`rescaled`).
    text: a description.
    face_votes, context_votes: as votes, of people who saw the face alone, the context alone, where
        `votes` are of people who saw both.
    halves: splits of the judges in two: by condition (face, context, both) the shares of either
        half; they say how well people predict people.
    """

    label: str | None = None
    labels: tuple[str, ...] | None = None
    votes: Mapping[str, float] | None = None
    valence: float | None = None
    arousal: float | None = None
    text: str | None = None
    face_votes: Mapping[str, float] | None = None
    context_votes: Mapping[str, float] | None = None
    halves: tuple[Mapping[str, Sequence[Mapping[str, float]]], ...] | None = None

    def __post_init__(self) -> None:
        if all(part is None for part in vars(self).values()):
            raise ValueError("a target needs at least one part but got none")
        for name in ("valence", "arousal"):
            value = getattr(self, name)
            if value is not None and not -1 <= value <= 1:
                raise ValueError(f"{name} must lie in −1…1 but is {value}")
        for votes in (self.votes, self.face_votes, self.context_votes):
            numbers = [] if votes is None else list(votes.values())
            bad = any(n < 0 or not math.isfinite(n) for n in numbers)
            if votes is not None and (bad or not sum(numbers) > 0):
                raise ValueError(f"votes must be numbers from 0, one above it, but got {votes}")

    @property
    def distribution(self) -> dict[str, float] | None:
        """The votes as shares that sum to 1."""
        if self.votes is None:
            return None
        total = sum(self.votes.values())
        return {label: count / total for label, count in self.votes.items()}


@dataclass(frozen=True)
class Answer:
    """What a system answered; a part that it did not give or that could not be read is None.

    probabilities: label to probability, over the task's labels.
    label, labels: as of `Target`; where they are None they follow from the probabilities: the
        most probable label, those above 0.5.
    judged: metric to the score that a judge gave, see `kuleshov.evals.metrics.judge`.
    """

    probabilities: Mapping[str, float] | None = None
    label: str | None = None
    labels: tuple[str, ...] | None = None
    valence: float | None = None
    arousal: float | None = None
    text: str | None = None
    judged: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def top(self) -> str | None:
        """The one label; the first of the set's order among equals."""
        if self.label is not None or not self.probabilities:
            return self.label
        return max(self.probabilities, key=self.probabilities.__getitem__)

    @property
    def several(self) -> tuple[str, ...] | None:
        """The labels that hold."""
        if self.labels is not None or self.probabilities is None:
            return self.labels
        return tuple(label for label, p in self.probabilities.items() if p > 0.5)


@dataclass(frozen=True)
class Sample:
    """One picture, clip or person to be judged.

    Attributes:
        id: unique within the task and split.
        source: path of a picture, of a clip, or of a folder of a clip's frames; or the bytes of a
            picture, where the data set holds them in a table.
        box_xyxy: the person, pixels of the upright picture; None: the data set names nobody.
        group: subject or video that samples share; intervals resample whole groups.
        context: what the data set tells in words beside the picture.
        transcript: words spoken.
        slices: for fairness, what annotators noted of the person, e.g. gender; never guessed.
        frame: number of the picture within its video.
        notes: what was changed in reading, e.g. a box that was cut to the picture.
    """

    id: str
    source: Path | bytes
    target: Target
    split: str
    box_xyxy: Box | None = None
    group: str | None = None
    context: tuple[str, ...] = ()
    transcript: str | None = None
    slices: Mapping[str, str] = field(default_factory=dict)
    frame: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Published:
    """A result of others. `note` says what makes it differ from our protocol."""

    system: str
    metric: str
    value: float
    source: str
    note: str = ""
