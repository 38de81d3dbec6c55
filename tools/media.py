"""Open pictures and clips."""
from __future__ import annotations
from typing import Literal
from kuleshov.tools.types import Record

class Media(Record):
    path: str | None
    sha256: str
    kind: Literal["image", "clip"]
    size: tuple[int, int]
    format: str | None = None
    notes: tuple[str, ...] = ()
