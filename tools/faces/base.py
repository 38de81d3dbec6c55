"""What a face tool is: its protocol, what it says of itself, and the registry.

An adapter registers a *loader*; heavy imports happen inside it. ``load("pyfeat")`` loads one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kuleshov.tools.types import Face, KuleshovError, Record, nearest


class FaceToolInfo(Record):
    """What a tool is and what it measures; goes into the provenance of every record."""

    name: str
    version: str
    units: tuple[int, ...] = ()
    weak_units: tuple[int, ...] = ()
    unit_scale: str | None = None
    expressions: tuple[str, ...] = ()
    label_set: str | None = None
    measures: str = ""
    licence: str
    weights: dict[str, str] = {}
    caveat: str | None = None


class FaceTool(Protocol):
    """Finds faces in pictures and measures them. Loaded once, then called for every picture."""

    info: FaceToolInfo

    def observe(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """Faces of each picture, largest score first; an empty list where there is none.

        Args:
            images: pictures as (height, width, 3) RGB uint8, EXIF orientation applied,
                sizes may differ.

        Raises:
            ToolError: the tool failed; its text says why in one sentence.
        """
        ...


class ToolError(KuleshovError):
    """A tool is missing, cannot load, or failed while it ran."""


class ToolStatus(Record):
    """One line of ``kuleshov doctor``."""

    name: str
    ready: bool
    installed: bool
    version: str | None = None
    weights: str = ""
    licence: str = ""
    measures: str = ""
    command: str | None = None


@dataclass(frozen=True)
class Entry:
    """A registered tool: `load(**options)` makes it, `status()` looks without loading weights."""

    name: str
    load: Callable[..., FaceTool]
    status: Callable[[], ToolStatus]


_registry: dict[str, Entry] = {}


def register(name: str, load: Callable[..., FaceTool], status: Callable[[], ToolStatus]) -> None:
    """Make a tool known by name; the last registration of a name wins."""
    _registry[name] = Entry(name, load, status)


def names() -> list[str]:
    return sorted(_registry)


def entry(name: str) -> Entry:
    if name not in _registry:
        raise ToolError(
            f"there is no face tool {name!r}{nearest(name, names())}; known: {', '.join(names())}."
        )
    return _registry[name]


def load(name: str, **options: Any) -> FaceTool:
    """Load the tool `name`. Raises ToolError if it is unknown, not installed or lacks weights."""
    return entry(name).load(**options)
