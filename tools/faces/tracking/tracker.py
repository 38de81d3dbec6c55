"""Following faces over a clip: which face of this frame is which of the last ones.

Boxes and the grey levels inside them are compared, within one clip, and nothing else: no
identity network, no memory from one clip to the next. The assignment is scipy's (Jonker-Volgenant).
The tracker libraries (ByteTrack and its kin in `trackers`) know no appearance and assume a steady
frame rate, which a variable frame rate and sparse sampling do not give.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuleshov.tools.faces.tracking.types import Column, Stretch, Track, UnitSeries
from kuleshov.tools.types import ActionUnit, Face

GAP_S = 2.0  # a face that is away for longer is a new one
LEAST_OVERLAP = 0.1  # of boxes, intersection over union, to be linked by position
ALIKE = 0.75  # correlation of the faces' thumbnails, to be linked over a cut or a leap
SIDE = 12  # pixels of a thumbnail's side: light and dark of a face in its place, no identity
NAN = float("nan")


@dataclass
class _Followed:
    """A face being followed: columns of numbers, and how it looked last."""

    first: Face
    box: tuple[float, float, float, float]
    look: NDArray[np.float32]
    seen_s: float
    shot: int
    lost_s: float | None = None  # since when it has been looked for and not found
    frames: array[int] = field(default_factory=lambda: array("q"))
    columns: dict[str, array[float]] = field(default_factory=dict)
    speed: tuple[float, float] = (0.0, 0.0)
    kinds: dict[tuple[int, str], ActionUnit] = field(default_factory=dict)

    def add(self, face: Face, frame: int, time_s: float) -> None:
        pose = face.pose
        row: dict[str, float | None] = {
            "time": time_s,
            **{f"box{i}": value for i, value in enumerate(face.xyxy)},
            "score": face.score,
            "valence": face.valence,
            "arousal": face.arousal,
            "pitch": pose.pitch if pose else None,
            "yaw": pose.yaw if pose else None,
            "roll": pose.roll if pose else None,
            "gaze_pitch": face.gaze.pitch if face.gaze else None,
            "gaze_yaw": face.gaze.yaw if face.gaze else None,
            **{f"unit {u.unit} {u.side}": u.value for u in face.action_units},
        }
        for u in face.action_units:  # beside an intensity they decide whether it is shown
            if u.presence is not None and u.scale != "presence":
                row[f"presence {u.unit} {u.side}"] = float(u.presence)
            if u.probability is not None and u.scale != "probability":
                row[f"probability {u.unit} {u.side}"] = u.probability
        if face.expression is not None:
            row |= {f"label {k}": p for k, p in face.expression.probabilities.items()}
        for unit in face.action_units:
            if unit.scale is not None:
                self.kinds.setdefault((unit.unit, unit.side), unit)
        count = len(self.frames)
        for name in row:
            if name not in self.columns:
                self.columns[name] = array("d", [NAN] * count)
        for name, column in self.columns.items():
            value = row.get(name)
            column.append(NAN if value is None else value)
        self.frames.append(frame)


class Tracker:
    """Give it the faces of one frame after another; ask for the tracks at the end.

    Memory grows by some 300 bytes a face and frame.
    """

    def __init__(self) -> None:
        self.followed: list[_Followed] = []
        self.times = array("d")
        self._shot = 0

    def add(
        self, faces: Sequence[Face], image: NDArray[np.uint8], frame: int, time_s: float, cut: bool
    ) -> list[int]:
        """Link the faces of a frame, (H, W, 3) RGB; returns the number of each one's track.

        No two faces of a frame ever share a number. Numbers are from 0, in order of appearance.
        """
        from scipy.optimize import linear_sum_assignment

        self._shot += cut
        self.times.append(time_s)
        looks = [grey_thumbnail(image, face.xyxy) for face in faces]
        # What counts is how long it was looked for and not found: between two frames that lie far
        # apart, sampled sparsely or held on the screen, nobody has gone
        recent = [
            i
            for i, known in enumerate(self.followed)
            if known.lost_s is None or time_s - known.lost_s <= GAP_S + 1e-6
        ]
        if cut:  # in alternating shots a face comes back later, to the same place
            recent = list(range(len(self.followed)))[-64:]
        numbers = [-1] * len(faces)
        if recent and faces:
            cost = np.array(
                [
                    [
                        self._cost(self.followed[i], face, seen, time_s)
                        for face, seen in zip(faces, looks, strict=True)
                    ]
                    for i in recent
                ]
            )
            for row, place in zip(*linear_sum_assignment(np.minimum(cost, 1e3)), strict=True):
                if cost[row, place] < 1e3:
                    numbers[place] = recent[row]
        for place, face in enumerate(faces):
            if numbers[place] < 0:
                numbers[place] = len(self.followed)
                self.followed.append(_Followed(face, face.xyxy, looks[place], time_s, self._shot))
            known = self.followed[numbers[place]]
            step = time_s - known.seen_s
            if step > 0 and known.shot == self._shot:
                known.speed = tuple(  # type: ignore[assignment]
                    0.5 * v + 0.5 * (b - a) / step
                    for v, a, b in zip(
                        known.speed, box_middle(known.box), box_middle(face.xyxy), strict=True
                    )
                )
            else:
                known.speed = (0.0, 0.0)
            known.box, known.seen_s, known.shot = face.xyxy, time_s, self._shot
            known.look = 0.7 * known.look + 0.3 * looks[place]
            known.lost_s = None
            known.add(face, frame, time_s)
        for known in self.followed:
            if known.lost_s is None and known.seen_s < time_s:
                known.lost_s = time_s
        return numbers

    def _cost(
        self, known: _Followed, face: Face, seen: NDArray[np.float32], time_s: float
    ) -> float:
        """0 (the same place and look) to 2; 1e6: cannot be the same face."""
        step = time_s - known.seen_s
        shift = [min(step, GAP_S) * v for v in known.speed]
        box = known.box
        moved = (box[0] + shift[0], box[1] + shift[1], box[2] + shift[0], box[3] + shift[1])
        over = max(box_overlap(box, face.xyxy), box_overlap(moved, face.xyxy))
        alike = float((known.look * seen).mean())
        if known.shot == self._shot:
            size = max(box[2] - box[0], face.width)
            (x0, y0), (x1, y1) = box_middle(moved), box_middle(face.xyxy)
            near = math.hypot(x1 - x0, y1 - y0) < 1.5 * size
            scale = face.width / (box[2] - box[0])
            if over < LEAST_OVERLAP and not (near and alike > ALIKE and 0.5 < scale < 2):
                return 1e6
        elif over < LEAST_OVERLAP or alike < ALIKE:
            return 1e6  # over a cut, place and look must both be those of the same camera
        return (1 - over) + (1 - alike) / 2

    def tracks(self, end_s: float) -> list[Track]:
        """The tracks, numbered from 1 in order of appearance, with what is missing of each.

        `end_s`: the length of the clip, seconds.
        """
        steps = np.diff(self.times) if len(self.times) > 1 else np.array([max(end_s, 0.04)])
        interval = float(np.median(steps))
        return [
            _make_track(number, known, self.times, interval, end_s)
            for number, known in enumerate(self.followed, start=1)
        ]


def grey_thumbnail(image: NDArray[np.uint8], box: Sequence[float]) -> NDArray[np.float32]:
    """Grey thumbnail of a box, (SIDE, SIDE), with mean 0 and variance 1."""
    import cv2

    height, width = image.shape[:2]
    x0, y0 = max(0, min(width - 2, int(box[0]))), max(0, min(height - 2, int(box[1])))
    x1, y1 = max(x0 + 2, min(width, int(box[2]))), max(y0 + 2, min(height, int(box[3])))
    patch = cv2.cvtColor(np.ascontiguousarray(image[y0:y1, x0:x1]), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(patch, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.asarray((small - small.mean()) / (small.std() + 1e-3), np.float32)


def box_middle(box: Sequence[float]) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def box_overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes, 0-1."""
    common = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(
        0.0, min(a[3], b[3]) - max(a[1], b[1])
    )
    whole = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return common / whole


def _make_column(values: array[float] | None) -> Column:
    """Unknown as None; a column without any value as none at all."""
    if values is None or all(math.isnan(value) for value in values):
        return ()
    return tuple(None if math.isnan(value) else round(value, 6) for value in values)


def _make_track(
    number: int, known: _Followed, looked: array[float], interval: float, end_s: float
) -> Track:
    columns: dict[str, Any] = known.columns
    first = known.first
    times = [round(time, 6) for time in columns["time"]]
    units = []
    for name, values in columns.items():
        if not name.startswith("unit "):
            continue
        _, unit, side = name.split()
        made = known.kinds.get((int(unit), side))
        units.append(
            UnitSeries(
                unit=int(unit),
                side=side,
                scale=made.scale if made else None,
                thresholds=made.thresholds if made else None,
                thresholds_of=made.thresholds_of if made else None,
                weak=made.weak if made else False,
                values=_make_column(values) or (None,) * len(times),
                presence=tuple(
                    None if value is None else value >= 0.5
                    for value in _make_column(columns.get(f"presence {unit} {side}"))
                ),
                probability=_make_column(columns.get(f"probability {unit} {side}")),
            )
        )
    return Track(
        id=number,
        tool=first.tool,
        version=first.version,
        interval_s=round(interval, 6) or 0.04,
        times_s=tuple(times),
        frames=tuple(known.frames),
        boxes_xyxy=tuple(
            (round(a, 1), round(b, 1), round(c, 1), round(d, 1))
            for a, b, c, d in zip(*(columns[f"box{i}"] for i in range(4)), strict=True)
        ),
        scores=_make_column(columns.get("score")),
        units=tuple(units),
        units_measured=first.units_measured,
        labels=first.expression.labels if first.expression else None,
        method=first.expression.method if first.expression else None,
        expression={
            name.removeprefix("label "): _make_column(values)
            for name, values in columns.items()
            if name.startswith("label ")
        },
        **{
            name: _make_column(columns.get(name))
            for name in ("valence", "arousal", "pitch", "yaw", "roll", "gaze_pitch", "gaze_yaw")
        },
        missing=_missing_stretches(times, looked, interval, end_s),
    )


def _missing_stretches(
    times: Sequence[float], looked: Sequence[float], interval: float, end_s: float
) -> tuple[Stretch, ...]:
    """Stretches in which frames were looked at and the face was not found."""
    found = set(times)
    stretches: list[Stretch] = []
    begin: float | None = None
    for time in looked:
        here = round(time, 6) in found
        if not here and begin is None:
            begin = time
        elif here and begin is not None:
            stretches.append(Stretch(start_s=round(begin, 3), end_s=round(time, 3)))
            begin = None
    if begin is not None:
        end = max(end_s, looked[-1] if looked else 0.0, begin)
        stretches.append(Stretch(start_s=round(begin, 3), end_s=round(end, 3)))
    return tuple(stretches)
