"""GFT, the Sayette Group Formation Task: three people talk, occurrence of units in every frame.

Written from the paper and from memory: neither a copy nor code that reads the tables was at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kuleshov.evals.datasets import layout
from kuleshov.evals.datasets.unit_coding import (
    CodedFace,
    UnitCode,
    UnitSet,
    code_presence,
    parse_whole,
)
from kuleshov.tools.errors import KuleshovError

LAYOUT = """
AU_OCC/001A.csv (Frame, AU1, AU2, …; a row a frame from 1: 0, 1, or 9)
clips named by the participant: 001A.mp4
"""


def read_gft(root: Path) -> Iterator[CodedFace]:
    folder = layout.expect_level(root, ["AU_OCC"], "GFT", LAYOUT) / "AU_OCC"
    for path in sorted(folder.glob("*.csv")):
        rows = layout.read_rows(path, [], "GFT")
        names = {name.casefold(): name for name in (rows[0] if rows else {})}
        columns = {
            int(name[2:]): told
            for name, told in names.items()
            if name.startswith("au") and name[2:].isdecimal()
        }
        if "frame" not in names or not columns:
            raise KuleshovError(f"{path}: expected the columns Frame, AU1, AU2, ….")
        for line, row in enumerate(rows, 2):
            where = f"{path}, line {line}"
            units: dict[int, UnitCode] = {}
            for unit, column in sorted(columns.items()):
                cell = row[column]
                code = code_presence(parse_whole(cell, where), where) if cell else None
                if code is not None:
                    units[unit] = code
            frame = parse_whole(row[names["frame"]], where) - 1
            yield CodedFace(path.stem, path.stem, units, frame=frame)


GFT = UnitSet(
    name="gft",
    title="GFT",
    licence="labels CC BY 4.0; clips on request (University of Pittsburgh)",
    source="Girard, Chu, Jeni, Cohn, De la Torre & Sayette (2017), Sayette Group Formation Task "
    "(GFT) spontaneous facial expression database, FG 2017, 581-588",
    layout=LAYOUT,
    reader=read_gft,
    note="shown: as coded",
    from_memory="The names of folders, files and columns, and that frames count from 1.",
)
