"""Label sets: as shipped, as the user brings them."""

from __future__ import annotations

import math
import re
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Literal

from pydantic import Field, model_validator

from kuleshov.tools.errors import KuleshovError, first_line
from kuleshov.tools.registry import Registry
from kuleshov.tools.structured_text import LARGEST_TOML, parse_toml, read_text
from kuleshov.tools.types import HumanLabel, Record, _is_no_answer, _plain_word, plain_label

Side = Literal["pleasant", "unpleasant", "neutral"]
SIGNED = 0.5  # |valence| from which a label counts as pleasant or unpleasant


class Label(Record):
    """One word of a label set, what else stands for it, what it means, where it is anchored."""

    name: str = Field(min_length=1)
    synonyms: tuple[str, ...] = ()
    definition: str = Field("", description="what the word means here; shown to large models")
    valence: float | None = Field(None, ge=-1, le=1)
    arousal: float | None = Field(None, ge=-1, le=1)
    side: Side | None = Field(
        None, description="pleasant or not, where a source says so without an anchor"
    )

    @property
    def sign(self) -> int | None:
        """+1 pleasant, -1 unpleasant, 0 neither; None: ambiguous or not known.

        By the anchor where there is one: from half of the scale on it is a side, at its middle
        neither; in between (surprise) it can be both.
        """
        if self.side is not None:
            return {"pleasant": 1, "unpleasant": -1, "neutral": 0}[self.side]
        if self.valence is None:
            return None
        if abs(self.valence) >= SIGNED:
            return 1 if self.valence > 0 else -1
        return 0 if self.valence == 0 else None


class LabelSet(Record):
    """Labels that a reading is spread over.

    `single`: one of them holds, `multi`: each holds or does not, `free`: the model names the
    feelings itself.
    """

    name: str
    source: str = Field(description="publication or origin of the labels")
    mode: Literal["single", "multi", "free"] = "single"
    anchors: str | None = Field(None, description="source of the labels' valence and arousal")
    sides: str | None = Field(None, description="source of the labels' sides")
    note: str | None = Field(None, description="what a user should know before choosing it")
    labels: tuple[Label, ...] = ()

    @model_validator(mode="after")
    def _words_are_distinct(self) -> LabelSet:
        if self.mode == "free":
            return self
        if len(self.labels) < 2:
            raise ValueError(f"label set {self.name!r} needs at least two labels")
        seen: dict[str, str] = {}
        for label in self.labels:
            for word in (label.name, *label.synonyms):
                if word.lower() in seen:
                    raise ValueError(
                        f"label set {self.name!r}: {word!r} stands for both "
                        f"{seen[word.lower()]!r} and {label.name!r}"
                    )
                seen[word.lower()] = label.name
        return self

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.labels)

    @property
    def definitions(self) -> dict[str, str]:
        """Label to its definition, of those that have one."""
        return {label.name: label.definition for label in self.labels if label.definition}

    def find(self, word: str) -> str | None:
        """The label that a word names or is a synonym of; None: no label.

        Case, blanks around it, `_` for a blank and the Unicode form make no difference.
        """
        wanted = _plain_word(word)
        for label in self.labels:
            if any(wanted == _plain_word(known) for known in (label.name, *label.synonyms)):
                return label.name
        return None

    def read_label(self, given: Any) -> HumanLabel:
        """What people answered, in the names of this set: the one way in which labels are read.

        Args:
            given: a word, a list of words, shares or votes by word, any of these as JSON text;
                None, NaN, −1 and words such as "unknown" are no answer.
        """
        told = plain_label(given)
        if told is None:
            return HumanLabel()
        if isinstance(told, str):
            name = self._name_of(told)
            if name is not None:
                return HumanLabel(name=name)
            if self.mode != "free" and (parts := self._words_of(told)):
                return self.read_label(parts)
            return HumanLabel() if _is_no_answer(told) else HumanLabel(unknown=(told,))
        votes: dict[str, float] = {}
        unknown = []
        for word, share in told.items():
            name = self._name_of(word)
            if name is not None:
                votes[name] = votes.get(name, 0.0) + share
            elif not _is_no_answer(word):
                unknown.append(word)
        if unknown:  # a part of an answer is another answer
            return HumanLabel(unknown=tuple(unknown))
        if any(share < 0 or not math.isfinite(share) for share in votes.values()):
            return HumanLabel(unknown=(str(given),))
        held = {name: share for name, share in votes.items() if share > 0}
        if len(held) < 2:
            return HumanLabel(name=next(iter(held), None), votes=votes if len(votes) > 1 else None)
        most = sorted(held.values())
        top = max(held, key=held.__getitem__) if most[-1] > most[-2] else None
        return HumanLabel(name=top, votes=votes)

    def _words_of(self, told: str) -> list[str]:
        """The words of a list such as "happy; sad", where each is a label or no answer."""
        parts = [part for part in re.split(r"[;|,/\n]", told) if part.strip()]
        known = all(self.find(part) or _is_no_answer(part) for part in parts)
        return parts if len(parts) > 1 and known and any(map(self.find, parts)) else []

    def _name_of(self, word: str) -> str | None:
        if self.mode != "free":
            return self.find(word)
        return None if _is_no_answer(word) else _plain_word(word)

    @classmethod
    @cache
    def load(cls, name: str) -> LabelSet:
        """A shipped set by name, or a user's TOML file by path. Raises KuleshovError."""
        if name.endswith(".toml") and name not in LABEL_SETS:
            text = read_text(name, "label set", largest=LARGEST_TOML)
        else:
            text = LABEL_SETS.find(name).read_text("utf-8")
        told = parse_toml(text, f"the label set {name}")
        try:
            return cls.model_validate(told)
        except ValueError as error:
            raise KuleshovError(f"the label set {name} is not valid: {first_line(error)}") from None


def _shipped_files() -> dict[str, Traversable]:
    found = {
        item.name.removesuffix(".toml"): item
        for item in files("kuleshov.tools.labels").iterdir()
        if item.name.endswith(".toml") and item.name != "mappings.toml"
    }
    return dict(sorted(found.items()))


LABEL_SETS: Registry[Traversable] = Registry(
    "label set", _shipped_files, listed="shipped", otherwise="or give the path of a .toml file"
)
"""The shipped label sets' files by name."""


def shipped_label_sets() -> list[str]:
    return list(LABEL_SETS)
