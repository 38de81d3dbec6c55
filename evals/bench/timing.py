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


def median_seconds(
    works: dict[str, Callable[[], Any]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median seconds of each work, taken in turn so that a slow spell hits all alike.

    Args:
        works: by name.
        rounds: how often each is done.
        clock: seconds; `time.process_time` counts this process's work on all cores and leaves out
            what others take from them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            begun = clock()
            work()
            seconds[name].append(clock() - begun)
    return {name: statistics.median(values) for name, values in seconds.items()}


def with_own_time_of_one_thread(
    works: dict[str, Callable[[], Any]], rounds: int
) -> dict[str, float]:
    """As `median_seconds`; works named …_one_thread are counted in processor time.

    One thread's own time is the same whoever else is at work; that of several threads is not.
    """
    alone = {name: work for name, work in works.items() if name.endswith("_one_thread")}
    several = {name: work for name, work in works.items() if name not in alone}
    return median_seconds(several, rounds) | median_seconds(alone, rounds, time.process_time)
