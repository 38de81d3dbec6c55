"""Export to Py-Feat's table of faces, the Fex CSV, so that its analysis and plots run on ours.

`feat.utils.io.read_feat` opens the file. Columns are Py-Feat's own (2.1, Detectorv2), and after
them a few of ours in lower case, which Py-Feat leaves alone: `track`, `time_s`, `au_scale`, `tool`.

The AU columns of one file hold one scale, named in `au_scale`: a probability is not an intensity.
Numbers on another scale stand in columns of their own, e.g. `au12_presence`. A unit that was not
measured is an empty field, never 0.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.types import ActionUnit, Face, Scale
from kuleshov.tools.valid_text import in_csv

SCALES: tuple[Scale, ...] = ("probability", "intensity", "activation", "log_odds", "presence")

# The AU columns that Py-Feat's plots and classifiers expect, in its order
UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 20, 23, 24, 25, 26, 28, 43)
# Py-Feat's name (Detectorv2) by ours
EMOTIONS = {
    "neutral": "Neutral", "happiness": "Happy", "sadness": "Sad", "surprise": "Surprise",
    "fear": "Fear", "disgust": "Disgust", "anger": "Anger", "contempt": "Contempt",
}  # fmt: skip
_BOX = ("FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore")
# X, Y, Z and the landmarks stay empty: `Fex.poses` and `Fex.landmarks` ask for the columns
_POSE = ("Pitch", "Roll", "Yaw", "X", "Y", "Z")
_GAZE = ("gaze_pitch", "gaze_yaw")
_LANDMARKS = tuple(f"{axis}_{k}" for axis in "xy" for k in range(68))


@dataclass(frozen=True)
class FexRow:
    """One face of one picture or frame, or its absence.

    input: path of the picture or clip, as Py-Feat writes it.
    face: None stands for "looked at, no face" (FaceScore 0, all else empty, as in Py-Feat).
    frame, time_s: of a clip; None takes the face's own. A still is frame 0.
    full_scale: what x and y of the face are multiplied by (`Media.full_scale`): the table is in
    pixels of the file itself, as Py-Feat's are.
    """

    input: str
    face: Face | None
    frame: int | None = None
    time_s: float | None = None
    full_scale: tuple[float, float] = (1.0, 1.0)


def write_fex(
    rows: Iterable[FexRow],
    path: str | os.PathLike[str],
    *,
    units: Iterable[int] | None = None,
    scale: Scale | None = None,
) -> int:
    """Write a Fex CSV, whole or not at all; returns the number of rows.

    Args:
        rows: in any order; read once, one at a time if `units` and `scale` are given.
        path: the CSV file; one that is there is replaced.
        units: units the tool measures (`FaceToolInfo.units`); None: those found in `rows`.
        scale: what the AU columns hold; None: the first of SCALES that any unit in `rows` has.

    Raises:
        KuleshovError: the file cannot be written.
    """
    if units is None or scale is None:
        rows = list(rows)
        found = [unit for row in rows if row.face for unit in row.face.whole_units()]
        held = {(u.unit, s) for u in found for s in SCALES if getattr(u, s) is not None}
        units = {unit.unit for unit in found} if units is None else units
        held_scales = {s for _, s in held}
        found_scales = [s for s in SCALES if s in held_scales] or [SCALES[0]]
        one = found_scales[0] if scale is None else scale
    else:
        units, one = list(units), scale
        held = {(unit, s) for unit in units for s in SCALES}
    aus = [*UNITS, *sorted(set(units) - set(UNITS))]
    columns = [
        "input", "frame", "approx_time", *_BOX, *_LANDMARKS, *_POSE,
        *(f"AU{unit:02d}" for unit in aus), *EMOTIONS.values(), "valence", "arousal", *_GAZE,
        "track", "time_s", "au_scale", "tool",
        *(f"au{unit:02d}_{s}" for unit, s in sorted(held) if s != one),
    ]  # fmt: skip
    target = Path(path)
    part = target.with_name(f"{target.name}.part{os.getpid()}")
    count = 0
    try:
        with part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            for row in rows:
                writer.writerow(dict(_row_fields(row, one)))
                count += 1
        part.replace(target)
    except OSError as error:
        raise KuleshovError(f"cannot write {target}: {error.strerror}.") from None
    finally:
        with suppress(OSError):
            part.unlink()
    return count


def _row_fields(row: FexRow, scale: Scale) -> Iterator[tuple[str, Any]]:
    """Column and value of all that is known."""
    face = row.face
    yield "input", in_csv(row.input)[0]
    frame = row.frame if row.frame is not None or face is None else face.frame
    yield "frame", 0 if frame is None else frame
    time_s = row.time_s if row.time_s is not None or face is None else face.time_s
    if time_s is not None:
        yield "approx_time", f"{int(time_s) // 60:02d}:{int(time_s) % 60:02d}"
        yield "time_s", round(time_s, 6)
    if face is None:
        yield "FaceScore", 0
        return
    x0, y0, x1, y1 = face.xyxy
    if row.full_scale != (1.0, 1.0):
        across, down = row.full_scale
        x0, y0, x1, y1 = (round(v, 1) for v in (x0 * across, y0 * down, x1 * across, y1 * down))
    # without a score of the detector's own a face still counts as found
    score = 1 if face.score is None else face.score
    yield from zip(_BOX, (x0, y0, x1 - x0, y1 - y0, score), strict=True)
    if face.pose is not None:
        # radians, and yaw to the person's right, as Py-Feat has it
        angles = (face.pose.pitch, face.pose.roll, face.pose.yaw)
        for column, angle, sign in zip(_POSE, angles, (1, 1, -1), strict=False):
            if angle is not None:
                yield column, round(sign * math.radians(angle), 6)
    if face.gaze is not None:
        for column, angle, sign in zip(
            _GAZE, (face.gaze.pitch, face.gaze.yaw), (1, -1), strict=True
        ):
            if angle is not None:
                yield column, round(sign * math.radians(angle), 6)
    for unit in face.whole_units():
        for held in SCALES:
            value = _unit_number(unit, held)
            if value is not None:
                name = f"AU{unit.unit:02d}" if held == scale else f"au{unit.unit:02d}_{held}"
                yield name, value
    if face.expression is not None:
        for label, p in face.expression.probabilities.items():
            if label in EMOTIONS:
                yield EMOTIONS[label], p
    yield "valence", face.valence
    yield "arousal", face.arousal
    yield "track", face.track
    yield "au_scale", scale
    yield "tool", face.tool


def _unit_number(unit: ActionUnit, scale: Scale) -> float | None:
    value = getattr(unit, scale)
    return int(value) if isinstance(value, bool) else value
