"""What a run came to: counts, labels, gaps, failures, the slowest items; read in one pass."""

from __future__ import annotations

import heapq
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from kuleshov.runs import store

SLOWEST = 5
FEW = 8


@dataclass
class Summary:
    """Counts over a run directory.

    `labels` counts people with a face by their most probable label, `labels_without_face` those
    read from the context alone.
    """

    items: int = 0
    failed: int = 0
    people: int = 0
    nobody: int = 0
    without_face: int = 0
    unanswered: int = 0
    unanswered_with_face: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    labels_without_face: Counter[str] = field(default_factory=Counter)
    gaps: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    slowest: list[tuple[float, str]] = field(default_factory=list)
    tokens: Counter[str] = field(default_factory=Counter)
    cost: float | None = None
    passed_over: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {
            "items": self.items,
            "failed": self.failed,
            "people": self.people,
            "items_without_people": self.nobody,
            "people_without_face": self.without_face,
            "people_unanswered": self.unanswered,
            "labels": dict(self.labels.most_common()),
            "labels_without_face": dict(self.labels_without_face.most_common()),
            "gaps": dict(self.gaps.most_common()),
            "failures": dict(self.failures.most_common(50)),
            "passed_over": self.passed_over,
            "tokens": dict(self.tokens),
            "cost": None if self.cost is None else round(self.cost, 6),
            "mean_seconds": round(self.seconds / self.items, 3) if self.items else None,
            "slowest": [{"id": key, "seconds": round(s, 3)} for s, key in self.slowest],
        }


def summarise_run(folder: str | Path) -> Summary:
    """Read a run's files once; memory does not grow with their length."""
    found = Summary()
    slow: list[tuple[float, str]] = []
    for line in store.read_lines(folder):
        record = orjson.loads(line)
        found.items += 1
        people = record["people"]
        found.people += len(people)
        found.nobody += not people
        for person in people:
            emotions = person["emotions"]
            found.without_face += person["face"] is None
            if emotions is None:
                found.unanswered += 1
                found.unanswered_with_face += person["face"] is not None
            else:
                chances = emotions["probabilities"]
                counted = found.labels if person["face"] else found.labels_without_face
                counted[max(chances, key=chances.__getitem__)] += 1
        for gap in record["gaps"]:
            found.gaps[f"{gap['step']}: {_general_reason(gap['reason'])}"] += 1
        seconds = record["provenance"]["seconds"].get("total", 0.0)
        found.seconds += seconds
        used = record["provenance"].get("usage") or {}
        for name in ("tokens_in", "tokens_out", "requests"):
            if name in used:
                found.tokens[name] += used[name]
        if used.get("cost") is not None:
            found.cost = (found.cost or 0.0) + used["cost"]
        entry = (seconds, record["item"]["id"])
        if len(slow) < SLOWEST:
            heapq.heappush(slow, entry)
        else:
            heapq.heappushpop(slow, entry)
    for line in store.read_lines(folder, store.FAILURES):
        failure = json.loads(line)
        found.failed += 1
        found.failures[
            _general_reason(failure["reason"].replace(str(failure.get("path")), "…"))
        ] += 1
    sessions = store.read_description(folder)["sessions"]
    found.passed_over = (sessions[-1].get("passed_over") or {}) if sessions else {}
    found.slowest = sorted(slow, reverse=True)
    return found


def _general_reason(reason: str) -> str:
    """Reasons that differ in the person alone are counted together."""
    head, colon, rest = reason.partition(": ")
    return rest if colon and head.startswith("person ") else reason


def print_summary(found: Summary, console: Any) -> None:
    """The summary as a table for a terminal."""
    from rich.markup import escape
    from rich.table import Table

    from kuleshov.runs.progress import format_duration

    head = f"{found.items:,} items, {found.people:,} people"
    if found.without_face:
        head += f" ({found.without_face:,} of them without a face, read from the context alone)"
    if found.nobody:
        head += f", {found.nobody:,} scenes with nobody to judge"
    if found.failed:
        head += f", [red]{found.failed:,} failed[/red]"
    console.print(head)
    with_face = found.people - found.without_face
    if found.labels or found.unanswered_with_face:
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        most = max([*found.labels.values(), found.unanswered_with_face, 1])
        rows = [*found.labels.most_common(), ("unanswered", found.unanswered_with_face)]
        for label, count in rows:
            if count:
                share = f"{100 * count / max(1, with_face):.1f} %"
                bar = "█" * max(1, round(24 * count / most))
                table.add_row(escape(label), f"{count:,}", share, f"[cyan]{bar}[/cyan]")
        console.print(table)
    unanswered = found.unanswered - found.unanswered_with_face
    if found.labels_without_face or unanswered:
        others = [*found.labels_without_face.most_common(), ("unanswered", unanswered)]
        told = ", ".join(f"{escape(label)} {count:,}" for label, count in others if count)
        console.print(f"without a face: {told}")
    for name, counted in (("gaps", found.gaps), ("failures", found.failures)):
        if counted:
            console.print(f"{name}:")
            for reason, count in counted.most_common(FEW):
                console.print(f"  {count:,} × {escape(reason)}")
            if len(counted) > FEW:
                console.print(f"  and {len(counted) - FEW} other reasons")
    if found.passed_over:
        count = sum(kind["files"] for kind in found.passed_over.values())
        told = ", ".join(
            f"{facts['files']:,} × {kind or 'text'} ({facts['first']})"
            for kind, facts in list(found.passed_over.items())[:FEW]
        )
        console.print(f"passed over, no picture or clip: {count:,} files: {escape(told)}")
    if found.tokens:
        cost = "" if found.cost is None else f", cost {found.cost:.4f}"
        console.print(
            f"{found.tokens['requests']:,} requests, {found.tokens['tokens_in']:,} tokens in, "
            f"{found.tokens['tokens_out']:,} out{cost}"
        )
    if found.slowest:
        console.print(
            f"mean {found.seconds / found.items:.2f} s per item, start to end; slowest: "
            + ", ".join(f"{escape(key)} ({format_duration(s)})" for s, key in found.slowest[:3])
        )
