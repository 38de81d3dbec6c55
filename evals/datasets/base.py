"""What a data set yields: samples with people's answer, and the task that they make.

A reader streams `Sample`s of one split. What people answered is a `Target`, what a system answered
an `Answer`; `kuleshov.evals.metrics` compares the two.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from kuleshov.tools.types import KuleshovError, LabelSet, nearest

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
    """

    label: str | None = None
    labels: tuple[str, ...] | None = None
    votes: Mapping[str, float] | None = None
    valence: float | None = None
    arousal: float | None = None
    text: str | None = None

    def __post_init__(self) -> None:
        if all(part is None for part in vars(self).values()):
            raise ValueError("a target needs at least one part but got none")
        for name in ("valence", "arousal"):
            value = getattr(self, name)
            if value is not None and not -1 <= value <= 1:
                raise ValueError(f"{name} must lie in −1…1 but is {value}")
        if self.votes is not None:
            numbers = list(self.votes.values())
            if not sum(numbers) > 0 or any(n < 0 or not math.isfinite(n) for n in numbers):
                raise ValueError(
                    f"votes must be numbers from 0, one above it, but got {self.votes}"
                )

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


@dataclass(frozen=True)
class Task:
    """A data set with its official protocol.

    Attributes:
        kind: how people answered; what a system must answer.
        labels: name of a shipped label set, a set of the data set's own, or None where there is
            none (valence and arousal, free words, texts, a user's own manifest).
        metrics: names in `kuleshov.evals.metrics.registry`, the one that papers report first.
        splits: names that `read` takes; `split` is the one that published results are for.
        unit: what one sample is: picture, person, clip or frame.
        layout: the folder as published, shown in error messages.
        from_memory: what of the layout or protocol could not be checked against a copy or code.
    """

    name: str
    title: str
    licence: str
    source: str
    kind: Kind
    metrics: tuple[str, ...]
    protocol: str
    splits: tuple[str, ...]
    split: str
    layout: str
    reader: Callable[[Path, str], Iterator[Sample]] = field(repr=False)
    labels: str | LabelSet | None = None
    unit: Literal["picture", "person", "clip", "frame"] = "picture"
    published: tuple[Published, ...] = ()
    from_memory: str = ""

    @property
    def label_set(self) -> LabelSet | None:
        return LabelSet.load(self.labels) if isinstance(self.labels, str) else self.labels

    def read(self, root: str | Path, split: str | None = None) -> Iterator[Sample]:
        """The samples of a split, streamed in the data set's own order.

        What is wrong with the folder as a whole (wrong level, half a download, another version of
        the annotations, labels too many) is said before the first sample is yielded.

        Raises:
            KuleshovError: one sentence with what was found and what was expected.
        """
        wanted = split or self.split
        if self.splits and wanted not in self.splits:
            raise KuleshovError(
                f"{self.name} has no split {wanted!r}{nearest(wanted, self.splits)}; it has "
                f"{', '.join(self.splits)}."
            )
        folder = Path(root).expanduser()
        if not folder.exists():
            raise KuleshovError(f"there is no file or folder {folder}.")
        return self.reader(folder, wanted)


# ---------------------------------------------------------------------------------- for readers


def rescaled(value: float, low: float, high: float) -> float:
    """A rating on a scale from `low` to `high`, on −1…1."""
    if not low <= value <= high:
        raise ValueError(f"{value} lies outside the scale {low:g}–{high:g}")
    return 2 * (value - low) / (high - low) - 1


def expect_level(root: Path, markers: Sequence[str], name: str, layout: str) -> Path:
    """`root` itself if it holds every marker, else an error that says where the right level is.

    Args:
        markers: files or folders that lie directly in the data set's folder.
    """
    if not root.is_dir():
        raise KuleshovError(f"{root} is a file, and {name} is a folder: {_one_line(layout)}.")
    if all((root / marker).exists() for marker in markers):
        return root
    for other in (*root.resolve().parents[:3], *_below(root, 2)):
        if other != Path(other.anchor) and all((other / marker).exists() for marker in markers):
            raise KuleshovError(
                f"{root} is the wrong level of {name}: it lacks {markers[0]}, and {other} has it; "
                f"give that folder."
            )
    there = sorted(entry.name for entry in root.iterdir())
    missing = [marker for marker in markers if not (root / marker).exists()]
    raise KuleshovError(
        f"{root} is not {name}: there is no {listed(missing)} in it; it holds "
        f"{listed(there) or 'nothing'}; expected {_one_line(layout)}."
    )


def _below(root: Path, depth: int) -> Iterator[Path]:
    """Folders down to a depth; at most 200 of a folder, for a folder of pictures has no more."""
    if depth == 0:
        return
    folders = sorted(entry for entry in root.iterdir() if entry.is_dir())[:200]
    yield from folders
    for folder in folders:
        yield from _below(folder, depth - 1)


def _one_line(layout: str) -> str:
    return re.sub(r"\s*\n\s*", " · ", layout.strip()).rstrip(".")


def listed(names: Sequence[str], most: int = 5) -> str:
    """'a, b, c and 4 more'."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def complain_of_missing(missing: Sequence[str | Path], total: int, name: str, what: str) -> None:
    """KuleshovError that counts and names the files that a half download lacks, if any."""
    if missing:
        names = listed([str(path) for path in missing], 3)
        raise KuleshovError(
            f"{len(missing)} of {total} {what} of {name} are missing: {names}; finish the "
            "download, or leave their rows out of the annotations."
        )


def expect_columns(path: Path, found: Sequence[str], wanted: Sequence[str], name: str) -> None:
    """KuleshovError if the table lacks a column: it is of another version or another file."""
    lacking = [column for column in wanted if column not in found]
    if lacking:
        raise KuleshovError(
            f"{path} is not the annotation file of {name} that is read here: it lacks the column "
            f"{listed(lacking)}; found {listed(list(found), 12) or 'none'}; expected "
            f"{listed(list(wanted), 12)}."
        )


def expect_labels(found: Sequence[str], known: Sequence[str], name: str, where: str) -> None:
    """KuleshovError if a label occurs that the data set does not have."""
    strange = sorted(set(found) - set(known))
    if strange:
        raise KuleshovError(
            f"{where} has {len(strange)} class{'es' if len(strange) > 1 else ''} that {name} does "
            f"not have: {listed(strange)}; expected {listed(list(known), 12)}."
        )
