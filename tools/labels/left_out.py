"""Rows of a labelled set that a label set has no place for: counted and named, not refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kuleshov.tools.errors import suggest_word

NAMED, WORDS = 3, 6  # rows of a word, and words, that a sentence names

NO_LABEL = "without a label"
SEVERAL = "with several labels where one is needed"


@dataclass
class LeftOut:
    """What was left out of a set, as `labels` (its name) with the labels `names` reads it.

    words: what people wrote that is no label, to the ids of its rows. others: reason to ids.
    """

    labels: str
    names: Sequence[str]
    words: dict[str, list[str]] = field(default_factory=dict)
    others: dict[str, list[str]] = field(default_factory=dict)

    def add_word(self, word: str, key: str) -> None:
        self.words.setdefault(word, []).append(key)

    def add(self, reason: str, key: str) -> None:
        self.others.setdefault(reason, []).append(key)

    @property
    def rows(self) -> int:
        return sum(map(len, (*self.words.values(), *self.others.values())))

    def to_dict(self) -> dict[str, Any]:
        """Number of rows, and each word or reason with its own; empty where there are none."""
        if not self.rows:
            return {}
        counts = {word: len(keys) for word, keys in self.words.items()}
        others = {reason: len(keys) for reason, keys in self.others.items()}
        return {"rows": self.rows, "words": counts, "others": others}

    def __str__(self) -> str:
        told = [
            f"{_rows_text(keys)} labelled {word[:60]!r}{suggest_word(word, list(self.names))}"
            for word, keys in list(self.words.items())[:WORDS]
        ]
        if len(self.words) > WORDS:
            told.append(f"rows with {len(self.words) - WORDS} other words")
        if told:
            told[-1] += f", which {'is' if len(told) == 1 else 'are'} no label of {self.labels}"
            if self.names:
                told[-1] += f" ({', '.join(self.names)})"
        told += [f"{_rows_text(keys)} {reason}" for reason, keys in self.others.items()]
        return f"left out: {'; '.join(told)}"


def _rows_text(keys: list[str]) -> str:
    named = ", ".join(keys[:NAMED]) + (", …" if len(keys) > NAMED else "")
    return f"{'1 row' if len(keys) == 1 else f'{len(keys):,} rows'} ({named})"
