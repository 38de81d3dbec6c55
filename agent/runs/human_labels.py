"""What people said of the items of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Said:
    """What one annotator says of one person of a run, as it was written.

    taken_away: the annotator removed the person's box.
    """

    item: str
    person: int
    annotator: str
    label: Any
    taken_away: bool = False
