"""What an item was when it was done: told again, it shows what has been edited since.

A fingerprint lies in the run's `items.jsonl`, not in the record: times of files are a machine's own
and no part of a reading.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kuleshov.inputs.items import Work
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.types import plain_label

TOLD = {
    "words": "context, said or boxes",
    "label": "label",
    "extra": "other columns",
    "medium": "file",
    "problem": "row",
}
"""What can have changed, as messages call it."""
NAMED, KEPT = 8, 100  # items that a sentence names, and that run.json keeps


@dataclass
class Changes:
    """Items that are no longer what they were when they were done; `first`: id to what changed."""

    items: int = 0
    first: dict[str, list[str]] = field(default_factory=dict)

    def add(self, key: str, what: list[str]) -> None:
        self.items += 1
        if len(self.first) < KEPT:
            self.first[key] = [TOLD[name] for name in what]

    def to_dict(self) -> dict[str, Any]:
        return {"items": self.items, "first": self.first} if self.items else {}

    def __str__(self) -> str:
        named = [f"{key} ({', '.join(what)})" for key, what in list(self.first.items())[:NAMED]]
        more = self.items - len(named)
        count = "1 item has" if self.items == 1 else f"{self.items:,} items have"
        return (
            f"{count} changed since the run did them: {', '.join(named)}"
            f"{f' and {more:,} more' if more else ''}"
        )


def take_fingerprint(work: Work) -> dict[str, Any]:
    """The fingerprint of an item before it is read; the medium's hash is not yet in it."""
    return {"key": work.key, **_row_fingerprint(work), **_file_fingerprint(work), "sha256": None}


def of_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a record tells of its item, for lines that were written without a fingerprint."""
    label = record["item"].get("label")
    with contextlib.suppress(KuleshovError):  # then it is compared as it is written
        label = plain_label(label)
    return {
        "label": _hash_value(label),
        "problem": False,
        "sha256": (record.get("media") or {}).get("sha256"),
    }


def file_digest(work: Work) -> str | None:
    """SHA-256 of the item's file; None: there is none that can be read."""
    if work.source is None or isinstance(work.source, bytes):
        return None if work.source is None else hashlib.sha256(work.source).hexdigest()
    try:
        with open(work.source, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def compare_fingerprints(
    old: Mapping[str, Any], work: Work
) -> tuple[list[str], dict[str, Any] | None]:
    """What has changed of an item, and its new fingerprint where only that is out of date.

    A file of the same name, size and time is not read again. One that is gone cannot be compared:
    what was read of it stays.
    """
    new = take_fingerprint(work)
    if old.get("problem", False) != new["problem"]:
        return ["problem"], None
    what = [name for name in ("words", "label", "extra") if old.get(name, new[name]) != new[name]]
    stamp = ("path", "size", "mtime_ns")
    known = all(name in old for name in stamp)
    if isinstance(work.source, bytes) or not known or any(old[n] != new[n] for n in stamp):
        new["sha256"] = file_digest(work)
        if new["sha256"] is None:
            return what, None
        if new["sha256"] != old.get("sha256"):
            what.append("medium")
    else:
        new["sha256"] = old.get("sha256")
    fresh = None if what or all(old.get(name) == value for name, value in new.items()) else new
    return what, fresh


def _row_fingerprint(work: Work) -> dict[str, Any]:
    return {
        "words": _hash_value([work.context, work.said, work.boxes]),
        "label": _hash_value(work.item.label),
        "extra": _hash_value(work.item.extra),
        # not its words: they name the row, which moves when others are put in
        "problem": work.problem is not None,
    }


def _file_fingerprint(work: Work) -> dict[str, Any]:
    facts: dict[str, Any] = {"path": work.name, "size": None, "mtime_ns": None}
    if isinstance(work.source, bytes):
        facts["size"] = len(work.source)
    elif work.source is not None:
        try:
            found = os.stat(work.source)
        except (OSError, ValueError):
            return facts
        facts.update(size=found.st_size, mtime_ns=found.st_mtime_ns)
    return facts


def _hash_value(told: Any) -> str:
    text = json.dumps(told, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
