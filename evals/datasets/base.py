"""What a data set yields: samples with people's answer, and the task that they make.

A reader streams `Sample`s of one split. What people answered is a `Target`, what a system answered
an `Answer`; `kuleshov.evals.metrics` compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kuleshov.evals.types import Kind, Published, Sample
from kuleshov.tools.errors import KuleshovError, suggest_word
from kuleshov.tools.home import expand_path
from kuleshov.tools.labels import LabelSet
from kuleshov.tools.moved import old_names


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
        mean_of_folds: the figure is the mean over the samples' splits, each counted by itself.
        unanswered: ids of a split's rows that nobody has answered, where there may be such.
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
    mean_of_folds: bool = False
    from_memory: str = ""
    unanswered: Callable[[Path, str], list[str]] | None = field(default=None, repr=False)

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
                f"{self.name} has no split {wanted!r}{suggest_word(wanted, self.splits)}; it has "
                f"{', '.join(self.splits)}."
            )
        folder = expand_path(root)
        if not folder.exists():
            raise KuleshovError(f"there is no file or folder {folder}.")
        return self.reader(folder, wanted)


def rescale_rating(value: float, low: float, high: float) -> float:
    """A rating on a scale from `low` to `high`, on −1…1."""
    if not low <= value <= high:
        raise ValueError(f"{value:g} lies outside the scale {low:g}–{high:g}")
    return 2 * (value - low) / (high - low) - 1


if not TYPE_CHECKING:  # names that stood here before
    __getattr__ = old_names(__name__)
