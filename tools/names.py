"""Which of the files that a table names is the one at hand: by path as far as both give it."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable

from kuleshov.tools.media.types import CLIP_SUFFIXES, IMAGE_SUFFIXES
from kuleshov.tools.types import KuleshovError


def split_path(name: str) -> tuple[str, ...]:
    """Parts of a path of any system, for comparing: one spelling of Unicode, no case."""
    parts = unicodedata.normalize("NFC", name).replace("\\", "/").casefold().split("/")
    return tuple(part for part in parts if part not in ("", "."))


def find_named(path: str, told: Iterable[str]) -> str | None:
    """The name in a table that stands for the file `path`, or None.

    A table made elsewhere begins its paths elsewhere, so paths are compared from their end. Below
    the folder that all names of the table have in common, folders must agree; a folder that the
    table does not know may be where a file was moved to. A name with the same ending goes before
    one that has another or none (tables name what they made of `clip.mov`: `clip.csv`, `clip`).

    Args:
        path: the file.
        told: the names that the table gives.

    Raises:
        KuleshovError: several names fit alike.
    """
    own = split_path(os.path.abspath(path))
    names = {name: split_path(name) for name in told}
    names = {name: parts for name, parts in names.items() if parts}
    stem = _stem(own[-1])
    alike = {
        name: parts
        for name, parts in names.items()
        if _stem(parts[-1]) == stem and _kind(parts[-1]) in (None, _kind(own[-1]))
    }
    exact = {name: parts for name, parts in alike.items() if parts[-1] == own[-1]}
    bare = {name: parts for name, parts in alike.items() if "." not in parts[-1]}
    alike = exact or bare or alike
    if not alike:
        return None
    common = 0
    for level in zip(*(parts[:-1] for parts in names.values()), strict=False):
        if len(set(level)) > 1:
            break
        common += 1
    folders = {part for parts in names.values() for part in parts[common:-1]}
    ranked: dict[int, list[str]] = {}
    for name, parts in alike.items():
        below = parts[common:]
        same = _shared_end(own, parts)
        if same < len(below) and len(own) > same and own[-1 - same] in folders:
            continue  # it lies in another of the table's own folders
        ranked.setdefault(same, []).append(name)
    if not ranked:
        return None
    best = ranked[max(ranked)]
    if len({names[name] for name in best}) > 1:
        raise KuleshovError(
            f"names {', '.join(sorted(best)[:3])}, and nothing tells which of them is {path}"
        )
    return best[0]


def _shared_end(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    count = 0
    for one, other in zip(reversed(a), reversed(b), strict=False):
        if one != other and not (count == 0 and _stem(one) == _stem(other)):
            break
        count += 1
    return count


def _kind(name: str) -> str | None:
    return (
        "image"
        if name.endswith(IMAGE_SUFFIXES)
        else "clip"
        if name.endswith(CLIP_SUFFIXES)
        else None
    )


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]
