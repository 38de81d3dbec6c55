"""Fex tables, as Py-Feat and Kuleshov write them: `pyfeat:faces.csv`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from kuleshov.tools.faces.base import FaceToolInfo
from kuleshov.tools.faces.fex import SCALES
from kuleshov.tools.faces.files.results import ResultRow, Results
from kuleshov.tools.faces.files.table import FileError, TableLine, find_units, read_result_table
from kuleshov.tools.faces.files.turned import find_down
from kuleshov.tools.faces.pyfeat.tool import EMOTIONS, LICENCE_V2, from_fex
from kuleshov.tools.types import ActionUnit

BOX = ("FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore")


def read_pyfeat(path: Path) -> Results:
    """Read a Fex CSV. Raises FileError."""
    table = read_result_table(path)
    table.require(*BOX, "AU01", "input", tool="Py-Feat")
    units = tuple(find_units(table, r"AU(\d+)"))
    own = "au_scale" in table.columns
    # before 2.1 the angles were degrees, and nothing in a file tells them from radians
    radians = own or "valence" in table.columns
    rows = []
    counted: dict[tuple[str | None, int | None], int] = {}
    for line in table.lines:
        frame = line.whole("frame") if "frame" in table.columns else None
        place = (line.text("input"), frame)
        counted[place] = counted.get(place, -1) + 1
        values: dict[str, Any] = {
            column: line.value(column)
            for column in table.columns
            if column
            in (*BOX, "Pitch", "Roll", "Yaw", "gaze_pitch", "gaze_yaw", "valence", "arousal")
            or column.lower() in EMOTIONS
        }
        face = from_fex(values)
        scale = line.text("au_scale") or "probability"
        if scale not in SCALES:
            raise FileError(
                f"{path}, row {line.number}: au_scale must be one of {', '.join(SCALES)} but is "
                f"{scale!r}."
            )
        rows.append(
            ResultRow(
                row=line.number,
                media=line.text("input"),
                frame=frame,
                time_s=line.value("time_s"),
                # Py-Feat numbers no faces: several rows of one frame are several faces
                person=str(counted[place]),
                found=face is not None,
                box=face.xyxy if face else None,
                picture=_picture(line),
                down=find_down(line, face.xyxy if face else None),
                face={}
                if face is None
                else {
                    "score": face.score,
                    "action_units": tuple(_read_unit(line, unit, scale, own) for unit in units),
                    "expression": face.expression,
                    "valence": face.valence,
                    "arousal": face.arousal,
                    "pose": face.pose if radians else None,
                    "gaze": face.gaze if radians else None,
                },
            )
        )
    expressions = tuple(
        dict.fromkeys(
            EMOTIONS[column.lower()] for column in table.columns if column.lower() in EMOTIONS
        )
    )
    complete = len(expressions) >= 7
    return Results(
        path,
        FaceToolInfo(
            name="pyfeat",
            version="Fex file",
            units=units,
            unit_scale="as the file's au_scale says" if own else "probability",
            expressions=expressions if complete else (),
            label_set=f"ekman-{len(expressions)}" if complete else None,
            measures="action units, expressions",
            licence=LICENCE_V2,
        ),
        tuple(rows),
        upright=own,
        notes=table.notes,
    )


def _picture(line: TableLine) -> tuple[int, int] | None:
    """(width, height) of the frame, in files since Py-Feat 0.6."""
    sides = [line.value(name) for name in ("FrameWidth", "FrameHeight")]
    width, height = (0 if side is None else round(side) for side in sides)
    return (width, height) if width > 0 and height > 0 else None


def _read_unit(line: TableLine, unit: int, scale: str, own: bool) -> ActionUnit:
    """The AU column on the file's scale, and what Kuleshov's export holds on other scales."""
    found: dict[str, Any] = {scale: line.value(f"AU{unit:02d}")}
    if own:
        for other in SCALES:
            if other != scale and (value := line.value(f"au{unit:02d}_{other}")) is not None:
                found[other] = value
    for name, value in found.items():
        if value is None:
            continue
        found[name] = bool(value) if name == "presence" else _check_range(line, unit, name, value)
    return ActionUnit(unit=unit, **found)


def _check_range(line: TableLine, unit: int, scale: str, value: float) -> float:
    high = 5 if scale == "intensity" else 1 if scale != "log_odds" else math.inf
    low = 0 if scale != "log_odds" else -math.inf
    if not low - 0.01 <= value <= high + 0.01:
        raise FileError(
            f"{line.file}, row {line.number}: AU{unit:02d} must be a {scale} within {low:g} to "
            f"{high:g} but is {value:g}."
        )
    return round(min(high, max(low, value)), 4)
