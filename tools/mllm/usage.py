"""What one reading asked of a model server: requests, tokens, cost; summed over its threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Usage:
    """Sums; `cost` is None where no price is known; `notes`: how the server was asked."""

    requests: int = 0
    retries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, *, retries: int, tokens_in: int, tokens_out: int, cost: float | None) -> None:
        with self.lock:
            self.requests += 1
            self.retries += retries
            self.tokens_in += tokens_in
            self.tokens_out += tokens_out
            if cost is not None:
                self.cost = (self.cost or 0.0) + cost

    def note(self, **facts: Any) -> None:
        """How the server was asked, where that was not as usual; the last word holds."""
        with self.lock:
            self.notes.update(facts)

    def note_picture(self, sent: tuple[int, int], had: tuple[int, int]) -> None:
        """The width and height of the largest picture that was sent, and what it had before."""
        with self.lock:
            known = self.notes.get("picture_sent", (0, 0))
            if sent[0] * sent[1] >= known[0] * known[1]:
                self.notes.update(picture_sent=list(sent), picture_had=list(had))

    def note_listed(self, mass: float, floored: Sequence[str]) -> None:
        """The least probability that lists gave to the labels, and labels that they lack."""
        with self.lock:
            least = min(mass, self.notes.get("least_listed_mass", 1.0))
            self.notes["least_listed_mass"] = round(least, 4)
            if floored or "labels_not_listed" in self.notes:
                known = {*self.notes.get("labels_not_listed", ()), *floored}
                self.notes["labels_not_listed"] = sorted(known)

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a record; empty if no server was asked."""
        if not self.requests:
            return {}
        return {
            "requests": self.requests,
            "retries": self.retries,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "cost": None if self.cost is None else round(self.cost, 8),
            **self.notes,
        }


_current: ContextVar[Usage | None] = ContextVar("kuleshov_usage", default=None)


@contextmanager
def meter_usage(usage: Usage | None = None) -> Iterator[Usage]:
    """Requests made within, also by threads that were given this context, are summed here.

    `usage`: sums that are gone on with; None: new ones.
    """
    usage = Usage() if usage is None else usage
    token = _current.set(usage)
    try:
        yield usage
    finally:
        _current.reset(token)


def current_usage() -> Usage | None:
    return _current.get()
