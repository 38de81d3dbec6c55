"""Files of a folder or a pattern that are no pictures or clips: counted and named, never dropped
in silence. Whoever reads a folder counts with this, and says what it counted."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class PassedOver:
    """What was passed over, counted by what it is instead.

    examples: the first name of each kind.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, kind: str) -> None:
        self.kinds[kind] += 1
        # a name that is not UTF-8 could not be written as JSON
        self.examples.setdefault(kind, os.fsencode(name).decode("utf-8", "replace"))

    def to_dict(self) -> dict[str, dict[str, Any]]:
        return {
            kind: {"files": count, "first": self.examples[kind]}
            for kind, count in self.kinds.most_common()
        }

    def __str__(self) -> str:
        told = ", ".join(
            f"{count:,} × {kind or 'text'} ({self.examples[kind]})"
            for kind, count in self.kinds.most_common(8)
        )
        more = len(self.kinds) - 8
        return told + (f" and {more} other kinds" if more > 0 else "")
