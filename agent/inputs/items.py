"""The items of a data set, one after the other: from a folder, a manifest, a data set or a tar.

What is wrong with one item becomes an item with a `problem`, so that the rest is done.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass, field, replace
from typing import Any

from kuleshov.inputs import manifest, shards
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.media import PassedOver, why_passed_over
from kuleshov.types import Item

MANIFESTS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


REPEATED = ("person", "subject", "participant", "video", "clip")
"""Columns of a table that tell whose pictures repeat, the first one that is there counts."""


@dataclass(frozen=True)
class Work:
    """One picture or clip to read.

    key: names the item in the run: its id, with the row where an id is used twice.
    source: a path, or the bytes of a file.
    said: words that are heard, a line each.
    boxes: people to judge, (x0, y0, x1, y1) pixels; none: all that are found.
    problem: why it cannot be read; None: nothing is wrong as yet.
    """

    key: str
    item: Item
    source: str | bytes | None
    context: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    name: str | None = None
    row: int | None = None
    problem: str | None = None
    notes: tuple[str, ...] = field(default=())


def read_items(
    source: str | os.PathLike[str] | Iterable[Any], passed: PassedOver | None = None
) -> Iterator[Work]:
    """The items of `source`, streamed.

    Args:
        source: a folder of pictures and clips; a glob pattern; a manifest (CSV, TSV, JSONL,
            Parquet) with a column `path` and, if wanted, `id`, `box`, `context`, `said`, `label`,
            others;
            a folder written by `datasets.Dataset.save_to_disk`; a WebDataset .tar or a pattern of
            them; or an iterable of paths.
        passed: counts what is no picture or clip in a folder, or among what a pattern matches.

    Raises:
        KuleshovError: there is no such thing, or it holds no picture or clip at all.
    """
    if not isinstance(source, (str, os.PathLike)):
        return (_file_work(os.fspath(path), os.fspath(path)) for path in source)
    name = os.fspath(source)
    passed = PassedOver() if passed is None else passed
    lower = name.lower()
    if os.path.isdir(name):
        if shards.is_dataset(name):
            return map(_row_work, shards.read_dataset(name))
        return _at_least_one(
            read_folder(name, passed), f"there is no picture or clip in {name}", passed
        )
    if lower.endswith(MANIFESTS):
        if not os.path.isfile(name):
            raise KuleshovError(f"there is no file {name}.")
        return map(_row_work, manifest.read_rows(name))
    if lower.endswith(shards.SUFFIXES):
        paths = shards.expand_shards(name)
        return map(_row_work, shards.read_tars(paths))
    if os.path.isfile(name):
        if why_passed_over(name) is None:
            return iter([_file_work(name, name)])
        raise KuleshovError(
            f"{name} is neither a manifest ({', '.join(MANIFESTS)}), a .tar, nor a picture or clip."
        )
    if glob.has_magic(name):
        matches = (
            _file_work(path, path)
            for path in sorted(glob.iglob(_escape_pattern(name), recursive=True))
            if os.path.isfile(path) and _is_media(path, path, passed)
        )
        return _at_least_one(matches, f"no picture or clip matches {name}", passed)
    raise KuleshovError(f"there is no file or folder {name}.")


def count_items(source: str | os.PathLike[str] | Iterable[Any]) -> int | None:
    """How many items `read_items` will yield, if that is quick to tell; for the progress alone."""
    if not isinstance(source, (str, os.PathLike)):
        return len(source) if isinstance(source, Sized) else None
    name = os.fspath(source)
    if os.path.isdir(name):
        if shards.is_dataset(name):
            return shards.dataset_length(name)
        return sum(1 for _ in read_folder(name))
    if name.lower().endswith(MANIFESTS):
        return manifest.count_rows(name)
    if name.lower().endswith(shards.SUFFIXES):
        return None
    return sum(1 for _ in read_items(name))


def read_folder(root: str, passed: PassedOver | None = None) -> Iterator[Work]:
    """Pictures and clips below a folder, in the order of their names; links are followed once."""
    yield from _walk_folder(root, "", set(), PassedOver() if passed is None else passed)


def _is_media(name: str, path: str, passed: PassedOver) -> bool:
    why = why_passed_over(path)
    if why is not None:
        passed.add(name, why)
    return why is None


def _walk_folder(
    root: str, inner: str, above: set[tuple[int, int]], passed: PassedOver
) -> Iterator[Work]:
    here = os.path.join(root, inner) if inner else root
    try:
        facts = os.stat(here)
        entries = sorted(os.scandir(here), key=lambda entry: entry.name)
    except OSError as error:
        yield _problem_work(inner or ".", here, _error_reason(error))
        return
    place = (facts.st_dev, facts.st_ino)
    if place in above:
        yield _problem_work(inner, here, "it is a link to a folder above it: not followed")
        return
    for entry in entries:
        name = f"{inner}/{entry.name}" if inner else entry.name
        if entry.name.startswith("."):
            continue
        try:
            is_folder = entry.is_dir()
        except OSError:  # links that lead to one another
            is_folder = False
        if is_folder:
            yield from _walk_folder(root, name, above | {place}, passed)
        elif _is_media(name, entry.path, passed):
            yield _file_work(name, entry.path)


def _file_work(key: str, path: str) -> Work:
    return Work(
        key=_printable_name(key),
        item=Item(id=_printable_name(key)),
        source=path,
        name=_printable_name(path),
    )


def _problem_work(key: str, path: str, reason: str) -> Work:
    return Work(
        key=_printable_name(key),
        item=Item(id=_printable_name(key) or "."),
        source=None,
        name=_printable_name(path),
        problem=f"{_printable_name(path)}: {reason}.",
    )


def _row_work(row: manifest.ManifestRow) -> Work:
    item = Item.model_construct(id=row.id or f"row {row.number}", label=None, extra={})
    problem = row.problem
    if problem is None:
        try:
            item = Item(id=row.id, label=row.label, extra=row.extra)
        except ValueError as error:
            from kuleshov.tools.errors import first_line

            problem = f"row {row.number}: {first_line(error)}."
    return Work(
        key=item.id if row.id else f"row {row.number}",
        item=item,
        source=row.source,
        context=row.context,
        said=row.said,
        boxes=row.boxes,
        name=row.name,
        row=row.number,
        problem=problem,
        notes=row.notes,
    )


def repeated_item(work: Work) -> Work:
    """The item as the failure it is where its id has been used before."""
    where = f" (row {work.row})" if work.row is not None else ""
    return replace(
        work,
        key=f"{work.key}{where or ' (again)'}",
        problem=f"the id {work.item.id!r} is used twice{where}; give each row an id of its own.",
    )


def _at_least_one(found: Iterable[Work], none: str, passed: PassedOver) -> Iterator[Work]:
    """The items; KuleshovError at once if there are none at all."""
    rest = iter(found)
    first = next(rest, None)
    if first is None:
        raise KuleshovError(f"{none}; passed over: {passed}." if passed.kinds else f"{none}.")

    def all_of_them() -> Iterator[Work]:
        yield first
        yield from rest

    return all_of_them()


def _escape_pattern(pattern: str) -> str:
    """The pattern, with the folders above it taken by their own names: `set[1]/*.jpg`."""
    above = os.path.dirname(pattern)
    while above and not os.path.isdir(above):
        above = os.path.dirname(above)
    return glob.escape(above) + pattern[len(above) :]


def _printable_name(name: str) -> str:
    """A name that is not UTF-8 could not be written as JSON."""
    return os.fsencode(name).decode("utf-8", "replace")


def _error_reason(error: OSError) -> str:
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]
