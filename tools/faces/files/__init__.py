"""Result files of toolboxes as face tools: `openface:result.csv`.

A reader turns a format's rows into `ResultRow`s, with all of its quirks; `FileFaces` matches them
to pictures and frames.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from kuleshov.tools.faces.base import register_format
from kuleshov.tools.faces.files import imotions, libreface, openface, pyfeat
from kuleshov.tools.faces.files.results import FileFaces, ResultRow, Results
from kuleshov.tools.faces.files.table import FileError

READERS: dict[str, Callable[[Path], Results]] = {
    "openface": openface.openface,
    "openface3": openface.openface3,
    "libreface": libreface.libreface,
    "pyafar": libreface.pyafar,
    "affdex": imotions.affdex,
    "facet": imotions.facet,
    "pyfeat": pyfeat.pyfeat,
}


def load(tool: str, path: Path) -> FileFaces:
    """The result file of a toolbox as a face tool.

    Raises:
        FileError: not a result file of that toolbox; says of which it looks like.
    """
    try:
        return FileFaces(READERS[tool](path))
    except FileError as error:
        other = guess(path)
        if other is None or other == tool:
            raise
        raise FileError(f"{error} It looks like a file of {other}: use {other}:{path}.") from None


def guess(path: Path) -> str | None:
    """The toolbox whose columns a file has, or None."""
    try:
        head = path.read_bytes()[:65536].decode("utf-8-sig", "replace")
    except OSError:
        return None
    signs = {
        "facet": "AU1 Evidence",
        "openface3": "face_detection",
        "pyafar": "Occ_au_",
        "libreface": "facial_expression",
        "pyfeat": "FaceRectX",
        "openface": "AU01_",
    }
    if "Brow Furrow" in head or '"browFurrow"' in head:
        return "affdex"
    return next((tool for tool, sign in signs.items() if sign in head), None)


for _tool in READERS:
    register_format(_tool, partial(load, _tool))

__all__ = ["READERS", "FileError", "FileFaces", "ResultRow", "Results", "guess", "load"]
