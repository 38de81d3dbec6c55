"""CK+, extended Cohn-Kanade: posed expressions, units and their intensity at the peak frame.

How files are named was seen in public code that reads them; the rest of the layout and the list of
coded units are from memory. No copy was at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kuleshov.evals.datasets import layout
from kuleshov.evals.datasets.unit_coding import CodedFace, UnitCode, UnitSet, parse_whole
from kuleshov.tools.errors import KuleshovError

LAYOUT = """
FACS/S005/001/S005_001_00000011_facs.txt (a line a unit: number, intensity; 0: none was given)
cohn-kanade-images/S005/001/S005_001_00000011.png
"""
CODED = (
    *(1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 21, 22, 23, 24, 25, 26, 27, 28),
    *(29, 31, 34, 38, 39, 43),
)
"""Units that the peak frames were coded for (Lucey et al. 2010, Table 1): one that a file does not
list was not shown."""


def read_ckplus(root: Path) -> Iterator[CodedFace]:
    base = layout.expect_level(root, ["FACS"], "CK+", LAYOUT)
    for path in sorted((base / "FACS").glob("*/*/*_facs.txt")):
        units = {unit: UnitCode(False) for unit in CODED}
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            cells = line.split()
            if not cells:
                continue
            where = f"{path}, line {number}"
            if len(cells) != 2:
                raise KuleshovError(f"{where}: expected a unit and its intensity.")
            strength = parse_whole(cells[1], where)
            if not 0 <= strength <= 5:
                raise KuleshovError(f"{where}: an intensity is 0-5, and this is {strength}.")
            units[parse_whole(cells[0], where)] = UnitCode(True, strength or None)
        subject, take = path.parts[-3:-1]
        name = f"cohn-kanade-images/{subject}/{take}/{path.stem.removesuffix('_facs')}.png"
        there = base / name
        yield CodedFace(name, subject, units, picture=there if there.is_file() else None)


CK_PLUS = UnitSet(
    name="ck-plus",
    title="CK+",
    licence="research, non-commercial, on request",
    source="Lucey, Cohn, Kanade, Saragih, Ambadar & Matthews (2010), The extended Cohn-Kanade "
    "dataset (CK+), CVPR Workshops 2010, 94-101",
    layout=LAYOUT,
    reader=read_ckplus,
    note="posed, peak frames alone; intensity only where coders gave one",
    from_memory="Which units a file that does not list them means as not shown.",
)
