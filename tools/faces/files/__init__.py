"""Result files of toolboxes as face tools: `openface:result.csv`.

A reader turns a format's rows into `ResultRow`s, with all of its quirks; `FileFaces` matches them
to pictures and frames.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.faces.base import register_format
from kuleshov.tools.faces.files import imotions, libreface, openface, pyfeat
from kuleshov.tools.faces.files.results import FileFaces, ResultRow, Results
from kuleshov.tools.faces.files.table import FileError
from kuleshov.tools.faces.pyfeat.tool import LICENCE_V2
from kuleshov.tools.tables import find_encoding

READERS: dict[str, Callable[[Path], Results]] = {
    "openface": openface.read_openface,
    "openface3": openface.read_openface3,
    "libreface": libreface.read_libreface,
    "pyafar": libreface.read_pyafar,
    "affdex": imotions.read_affdex,
    "facet": imotions.read_facet,
    "pyfeat": pyfeat.read_pyfeat,
}


def load_file(tool: str, path: Path) -> FileFaces:
    """The result file of a toolbox as a face tool.

    Raises:
        FileError: not a result file of that toolbox; says of which it looks like.
    """
    try:
        return FileFaces(READERS[tool](path))
    except FileError as error:
        other = guess_format(path)
        if other is None or other == tool:
            raise
        raise FileError(f"{error} It looks like a file of {other}: use {other}:{path}.") from None


def guess_format(path: Path) -> str | None:
    """The toolbox whose columns a file has, or None."""
    try:
        encoding, _ = find_encoding(path)
        with path.open(encoding=encoding, errors="replace") as file:
            head = file.read(65536)
    except (OSError, KuleshovError):
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


_TOLD = {
    "openface": (openface.LICENCE_2, "action units (intensity, presence)"),
    "openface3": (openface.LICENCE_3, "8 action units (cosine score), an expression label"),
    "libreface": (
        libreface.LICENCE_LIBREFACE,
        "action units (presence, intensity), an expression label",
    ),
    "pyafar": (libreface.LICENCE_PYAFAR, "action units (likelihood, intensity)"),
    "affdex": (imotions.LICENCE_AFFDEX, "action units (Affdex score), expression label, valence"),
    "facet": (imotions.LICENCE_FACET, "action units (log-odds), an expression label"),
    "pyfeat": (LICENCE_V2, "action units, expressions"),
}
for _tool, (_licence, _measures) in _TOLD.items():
    register_format(_tool, partial(load_file, _tool), licence=_licence, measures=_measures)

__all__ = ["READERS", "FileError", "FileFaces", "ResultRow", "Results", "guess_format", "load_file"]
