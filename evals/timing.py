"""Timing works in turn, and what a benchmark yields."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Result:
    """Figures by name, what each means, and the settings they hold for."""

    figures: dict[str, float]
    meaning: dict[str, str]
    settings: dict[str, Any] = field(default_factory=dict)


def median_seconds(works: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median wall seconds of each work, taken in turn so that a slow spell hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            begun = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - begun)
    return {name: statistics.median(values) for name, values in seconds.items()}
