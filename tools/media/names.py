"""Which of the files that a table names is the one at hand: by path as far as both give it."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from urllib.parse import unquote

from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.media.types import CLIP_SUFFIXES, IMAGE_SUFFIXES


def split_path(name: str) -> tuple[str, ...]:
    """Parts of a path of any system, for comparing: one spelling of Unicode, no case."""
    parts = unicodedata.normalize("NFC", name).replace("\\", "/").casefold().split("/")
    return tuple(part for part in parts if part not in ("", "."))


class NamedFiles:
    """The names that a table gives, and which of them is a file at hand."""

    def __init__(self, told: Iterable[str]) -> None:
        told = list(told)
        plain = {unquote(name): name for name in told}
        self._encoded = plain if len(plain) == len(told) and set(plain) != set(told) else {}
        self._decoded = NamedFiles(self._encoded) if self._encoded else None
        parts = {name: split_path(name) for name in told}
        self._alike: dict[str, dict[str, tuple[str, ...]]] = {}
        for name, own in parts.items():
            if own:
                self._alike.setdefault(_name_stem(own[-1]), {})[name] = own
        self._common = 0
        for level in zip(*(own[:-1] for own in parts.values() if own), strict=False):
            if len(set(level)) > 1:
                break
            self._common += 1
        self._folders = {part for own in parts.values() for part in own[self._common : -1]}

    def find(self, path: str) -> str | None:
        """The name that stands for the file `path`, or None.

        A table made elsewhere begins its paths elsewhere, so paths are compared from their end.
        Below the folder that all names of the table have in common, folders must agree; a folder
        that the table does not know may be where a file was moved to. A name with the same ending
        goes before one that has another or none (tables name what they made of `clip.mov`:
        `clip.csv`, `clip`); a picture is never a clip (a phone writes IMG_1.JPG and IMG_1.MOV side
        by side). Where no name fits as it is written, percent-encoded ones (`a%20b.jpg`, as
        addresses have them) are tried decoded.

        Raises:
            KuleshovError: several names fit alike.
        """
        found = self._find_as_written(path)
        if found is None and self._decoded is not None:
            plain = self._decoded.find(path)
            found = None if plain is None else self._encoded[plain]
        return found

    def _find_as_written(self, path: str) -> str | None:
        own = split_path(os.path.abspath(path))
        alike = {
            name: parts
            for name, parts in self._alike.get(_name_stem(own[-1]), {}).items()
            if _name_suffix(parts[-1]) in (None, _name_suffix(own[-1]))
            or _name_suffix(own[-1]) is None
        }
        exact = {name: parts for name, parts in alike.items() if parts[-1] == own[-1]}
        bare = {name: parts for name, parts in alike.items() if "." not in parts[-1]}
        ranked: dict[int, list[str]] = {}
        for name, parts in (exact or bare or alike).items():
            same = _shared_end(own, parts)
            below = len(parts) - self._common
            if same < below and len(own) > same and own[-1 - same] in self._folders:
                continue  # it lies in another of the table's own folders
            ranked.setdefault(same, []).append(name)
        if not ranked:
            return None
        best = ranked[max(ranked)]
        if len({alike[name] for name in best}) > 1:
            raise KuleshovError(
                f"names {', '.join(sorted(best)[:3])}, and nothing tells which of them is {path}"
            )
        return best[0]


def lies_elsewhere(name: str, path: str) -> bool:
    """Whether a table's name gives a folder, and the file `path` lies in one of another name."""
    told, own = split_path(name), split_path(os.path.abspath(path))
    return len(told) > 1 and len(own) > 1 and told[-2] != own[-2]


def count_shared(name: str, path: str) -> int:
    """How many parts of a table's name and of a path are the same, from their ends."""
    return _shared_end(split_path(name), split_path(os.path.abspath(path)))


def _shared_end(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    count = 0
    for one, other in zip(reversed(a), reversed(b), strict=False):
        if one != other and not (count == 0 and _name_stem(one) == _name_stem(other)):
            break
        count += 1
    return count


def _name_suffix(name: str) -> str | None:
    return (
        "image"
        if name.endswith(IMAGE_SUFFIXES)
        else "clip"
        if name.endswith(CLIP_SUFFIXES)
        else None
    )


def _name_stem(name: str) -> str:
    return os.path.splitext(name)[0]
