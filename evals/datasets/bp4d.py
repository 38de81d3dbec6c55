"""BP4D (and BP4D+): occurrence of units in every coded frame, intensity of five.

The tables of `AUCoding` were checked against public code that reads them, not against a copy.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from kuleshov.evals.datasets import layout
from kuleshov.evals.datasets.unit_coding import (
    CodedFace,
    UnitCode,
    UnitSet,
    code_intensity,
    code_presence,
    parse_whole,
)
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.media.types import IMAGE_SUFFIXES

LAYOUT = """
AUCoding/AU_OCC/F001_T1.csv (heading of unit numbers; a row a frame: number, then 0, 1, or 9)
AUCoding/AU_INT/AU06/F001_T1_AU06.csv (frame, intensity 0-5 or 9), where there
2D+3D/F001/T1/<frame>.jpg
"""
INTENSITY_FROM = 1  # A and more is the occurrence that the tables of AU_OCC hold


def read_bp4d(root: Path) -> Iterator[CodedFace]:
    base = layout.expect_level(root, ["AUCoding/AU_OCC"], "BP4D", LAYOUT) / "AUCoding"
    for path in sorted((base / "AU_OCC").glob("*.csv")):
        named = re.fullmatch(r"([FM]\d+)_(T\d+)", path.stem)
        if named is None:
            raise KuleshovError(f"{path}: expected a name such as F001_T1.csv.")
        subject, task = named.groups()
        pictures = _list_pictures(root / "2D+3D" / subject / task)
        intensities = _read_intensities(base / "AU_INT", path.stem)
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            heading = next(rows, [])
            numbers = [parse_whole(cell, f"{path}, heading") for cell in heading[1:]]
            if not numbers:
                raise KuleshovError(f"{path}: expected a heading of unit numbers.")
            for line, row in enumerate(rows, 2):
                if not row:
                    continue
                where = f"{path}, line {line}"
                if len(row) != len(heading):
                    raise KuleshovError(f"{where}: expected {len(heading)} cells, not {len(row)}.")
                frame = parse_whole(row[0], where)
                units: dict[int, UnitCode] = {}
                for unit, cell in zip(numbers, row[1:], strict=True):
                    code = code_presence(parse_whole(cell, where), where)
                    if code is not None:
                        strength = intensities.get((unit, frame))
                        units[unit] = UnitCode(code.shown, strength.intensity if strength else None)
                picture = pictures.get(frame)
                name = picture.name if picture else f"{frame:04d}.jpg"
                yield CodedFace(f"2D+3D/{subject}/{task}/{name}", subject, units, picture=picture)


def _read_intensities(folder: Path, recording: str) -> dict[tuple[int, int], UnitCode]:
    """By unit and frame; empty where the copy has none."""
    found = {}
    for path in sorted(folder.glob(f"AU*/{recording}_AU*.csv")):
        unit = int(path.stem.rpartition("AU")[2])
        with path.open(encoding="utf-8-sig", newline="") as file:
            for line, row in enumerate(csv.reader(file), 1):
                where = f"{path}, line {line}"
                if len(row) != 2:
                    raise KuleshovError(f"{where}: expected a frame and an intensity.")
                code = code_intensity(parse_whole(row[1], where), INTENSITY_FROM, where)
                if code is not None:
                    found[unit, parse_whole(row[0], where)] = code
    return found


def _list_pictures(folder: Path) -> dict[int, Path]:
    """Pictures by frame number; their names are padded with zeros to three or four digits."""
    if not folder.is_dir():
        return {}
    return {
        int(path.stem): path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in IMAGE_SUFFIXES and path.stem.isdecimal()
    }


BP4D = UnitSet(
    name="bp4d",
    title="BP4D",
    licence="research, on request (Binghamton and Pittsburgh)",
    source="Zhang et al. (2014), BP4D-Spontaneous: a high-resolution spontaneous 3D dynamic facial "
    "expression database, Image and Vision Computing 32:692",
    layout=LAYOUT,
    reader=read_bp4d,
    note="shown: as coded in AU_OCC",
    from_memory="The name 2D+3D of the pictures' folder.",
)
