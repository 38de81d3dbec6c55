"""Faces that FACS coders coded unit by unit, and the data sets that hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kuleshov.evals.datasets import layout
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.home import expand_path

MISSING = (9, 99, 999, -1, -99, -999)
"""How tables write that a unit could not be coded."""


@dataclass(frozen=True)
class UnitCode:
    """What coders say of one unit in one face; what they could not code is left out.

    shown: whether it counts as shown by the data set's own convention. intensity: 0-5 for absent
    and A-E; None: presence alone was coded.
    """

    shown: bool
    intensity: int | None = None


@dataclass(frozen=True)
class CodedFace:
    """One coded face.

    name: path of the picture within the data set, or the clip's name without its ending.
    picture: the file; None: a frame of a clip, or a picture that is not in this copy.
    frame: of a clip, from 0. group: the subject.
    """

    name: str
    group: str
    units: Mapping[int, UnitCode]
    frame: int | None = None
    picture: Path | None = None


@dataclass(frozen=True)
class UnitSet:
    """A data set of coded faces.

    least: intensity from which a unit counts as shown (None: presence was coded). note: how the
    figures are to be read. from_memory: what of the layout could not be checked against code that
    reads it.
    """

    name: str
    title: str
    licence: str
    source: str
    layout: str
    reader: Callable[[Path], Iterator[CodedFace]] = field(repr=False)
    least: int | None = None
    note: str = ""
    from_memory: str = ""

    def read(self, root: str | Path) -> list[CodedFace]:
        """All coded faces.

        Raises:
            KuleshovError: one sentence with what was found and what was expected.
        """
        folder = expand_path(root)
        if not folder.exists():
            raise KuleshovError(f"there is no file or folder {folder}.")
        found = list(self.reader(folder))
        if not found:
            raise KuleshovError(f"{folder} holds no coded face of {self.title}: {self.one_line}.")
        return found

    @property
    def one_line(self) -> str:
        """The layout in one line."""
        return " · ".join(line.strip() for line in self.layout.strip().splitlines())


def code_intensity(value: int, least: int, where: str) -> UnitCode | None:
    """The code of an intensity 0-5; None: it could not be coded. Raises KuleshovError."""
    if value in MISSING:
        return None
    if not 0 <= value <= 5:
        raise KuleshovError(f"{where}: an intensity is 0-5, and this is {value}.")
    return UnitCode(value >= least, value)


def code_presence(value: int, where: str) -> UnitCode | None:
    """The code of 0 or 1; None: it could not be coded. Raises KuleshovError."""
    if value in MISSING:
        return None
    if value not in (0, 1):
        raise KuleshovError(f"{where}: presence is 0 or 1, and this is {value}.")
    return UnitCode(bool(value))


def parse_whole(text: str, where: str) -> int:
    """A whole number, however it is written (4, 4.0, 4.0000000e+00). Raises KuleshovError."""
    value = layout.parse_number(text.strip(), where)
    if value != int(value):
        raise KuleshovError(f"{where}: {text.strip()!r} is not a whole number.")
    return int(value)
