"""DISFA and DISFA+: faces coded for the intensity of twelve units in every frame.

Both layouts were checked against public code that reads them, not against a copy.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from kuleshov.evals.datasets import layout
from kuleshov.evals.datasets.unit_coding import (
    CodedFace,
    UnitCode,
    UnitSet,
    code_intensity,
    parse_whole,
)
from kuleshov.tools.errors import KuleshovError

UNITS = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)
LEAST = 2  # intensities of B and more count as shown, as papers on DISFA report
LAYOUT = """
ActionUnit_Labels/SN001/SN001_au1.txt (frame,intensity; frames from 1)
clips of the left camera: LeftVideoSN001_comp.avi
"""
LAYOUT_PLUS = """
Labels/SN001/A1_AU1_TrailNo_1/AU1.txt (two lines of heading, then picture and intensity)
Images/SN001/A1_AU1_TrailNo_1/000.jpg
"""
NOTE = "shown: intensity B or more, as papers on it report F1"


def read_disfa(root: Path) -> Iterator[CodedFace]:
    base = layout.expect_level(root, ["ActionUnit_Labels"], "DISFA", LAYOUT) / "ActionUnit_Labels"
    for folder in sorted(path for path in base.iterdir() if path.is_dir()):
        frames: dict[int, dict[int, UnitCode]] = defaultdict(dict)
        missing = [
            f"{folder.name}_au{unit}.txt"
            for unit in UNITS
            if not (folder / f"{folder.name}_au{unit}.txt").is_file()
        ]
        layout.complain_of_missing(missing, len(UNITS), "DISFA", f"label files of {folder.name}")
        for unit in UNITS:
            path = folder / f"{folder.name}_au{unit}.txt"
            for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
                if not line.strip():
                    continue
                where = f"{path}, line {number}"
                frame, _, value = line.partition(",")
                code = code_intensity(parse_whole(value, where), LEAST, where)
                if code is not None:
                    frames[parse_whole(frame, where) - 1][unit] = code
        for place, units in sorted(frames.items()):
            yield CodedFace(f"LeftVideo{folder.name}_comp", folder.name, units, frame=place)


def read_disfa_plus(root: Path) -> Iterator[CodedFace]:
    layout.expect_level(root, ["Labels", "Images"], "DISFA+", LAYOUT_PLUS)
    for trial in sorted(path for path in (root / "Labels").glob("*/*") if path.is_dir()):
        pictures: dict[str, dict[int, UnitCode]] = defaultdict(dict)
        for unit in UNITS:
            path = trial / f"AU{unit}.txt"
            if not path.is_file():
                raise KuleshovError(f"{trial} of DISFA+ lacks AU{unit}.txt.")
            for number, line in enumerate(path.read_text("utf-8").splitlines()[2:], 3):
                cells = line.split()
                if not cells:
                    continue
                where = f"{path}, line {number}"
                if len(cells) != 2:
                    raise KuleshovError(f"{where}: expected a picture and an intensity.")
                code = code_intensity(parse_whole(cells[1], where), LEAST, where)
                if code is not None:
                    pictures[cells[0]][unit] = code
        subject = trial.parent.name
        for name, units in sorted(pictures.items()):
            place = Path("Images") / subject / trial.name / name
            there = root / place
            yield CodedFace(
                place.as_posix(), subject, units, picture=there if there.is_file() else None
            )


DISFA = UnitSet(
    name="disfa",
    title="DISFA",
    licence="research, non-commercial, on request",
    source="Mavadati, Mahoor, Bartlett, Trinh & Cohn (2013), DISFA: A spontaneous facial action "
    "intensity database, IEEE Trans. Affective Computing 4:151",
    layout=LAYOUT,
    reader=read_disfa,
    least=LEAST,
    note=NOTE,
)
DISFA_PLUS = UnitSet(
    name="disfa-plus",
    title="DISFA+",
    licence="research, non-commercial, on request",
    source="Mavadati, Sanger & Mahoor (2016), Extended DISFA dataset: investigating posed and "
    "spontaneous facial expressions, CVPR Workshops 2016",
    layout=LAYOUT_PLUS,
    reader=read_disfa_plus,
    least=LEAST,
    note=NOTE,
    from_memory="The names Labels and Images of its two folders.",
)
