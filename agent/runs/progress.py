"""How far a run is, on stderr: a bar for people, JSON lines for logs, or nothing."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from kuleshov.runs.local_engine import Progress, Watcher

LOG_EVERY_S = 5.0


def memory_mb() -> float:
    """Resident memory of this process, megabytes."""
    import psutil

    return float(psutil.Process().memory_info().rss) / 1e6


def progress_facts(progress: Progress) -> dict[str, Any]:
    """The numbers of a progress line."""
    left = progress.left_s
    return {
        "done": progress.done,
        "failed": progress.failed,
        "skipped": progress.skipped,
        "total": progress.total,
        "items_per_s": round(progress.rate, 3),
        "left_s": None if left is None else round(left),
        "memory_mb": round(memory_mb()),
    }


class ProgressDisplay:
    """A context manager that yields a watcher; `kind` is bar, json or quiet."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.bar: Any = None
        self.last = 0.0

    def __enter__(self) -> Watcher:
        if self.kind == "bar":
            self.bar, self.task = _make_bar()
            self.bar.start()
            return self._to_bar
        return self._to_log if self.kind == "json" else lambda progress: None

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def _to_bar(self, progress: Progress) -> None:
        at = progress.done + progress.failed + progress.skipped
        told = progress_facts(progress)
        left = told["left_s"]
        self.bar.update(
            self.task,
            completed=at,
            total=progress.total,
            rate=f"{told['items_per_s']:.2f}/s",
            left="" if left is None else f"{format_duration(left)} left",
            failed=f"{progress.failed} failed" if progress.failed else "",
            memory=f"{told['memory_mb'] / 1000:.1f} GB",
        )

    def _to_log(self, progress: Progress) -> None:
        if time.monotonic() - self.last >= LOG_EVERY_S:
            self.last = time.monotonic()
            sys.stderr.write(json.dumps({"event": "progress", **progress_facts(progress)}) + "\n")
            sys.stderr.flush()


def _make_bar() -> tuple[Any, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bars

    bars = Bars(
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[left]}"),
        TextColumn("[red]{task.fields[failed]}"),
        TextColumn("[dim]{task.fields[memory]}"),
        console=Console(stderr=True, highlight=False),
        refresh_per_second=4,
    )
    return bars, bars.add_task("", total=None, rate="", left="", failed="", memory="")


def format_duration(seconds: float) -> str:
    """'42 s', '5 min', '3.2 h', '1.5 d'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} d"
