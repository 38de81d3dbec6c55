"""Boxes of a program that read a picture or clip as it is stored, though it is shown turned.

Phones store pixels as the sensor gives them and write beside them how to turn them; many programs
leave that out. Then boxes, and where the head and the eyes point, are those of a picture lying on
its side. Which it was is told, surest first, by the size that the table gives, by boxes that lie
in one of the two pictures alone, and by landmarks: whoever is photographed is seldom upside down.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kuleshov.tools.faces.files.table import TableLine
from kuleshov.tools.media.orientation import UPRIGHT, turn_box, turn_direction, turn_size

LEAST_INSIDE = 0.8  # of a box; landmarks of a face at the edge reach a little beyond it
UNMISTAKABLE = 30.0  # degrees from an axis up to which landmarks tell which way is up
LEAST_SPAN = 0.15  # of a box's longer side, between the eyes and the mouth
SAME_SHAPE = 0.01  # by which width to height of a smaller copy may differ
TURNED = (
    "was measured in the picture as it is stored, which is shown turned: its boxes are turned "
    "with it; where the head and the eyes point is unknown"
)
_SHAPES = {
    2: "mirrored", 3: "turned by 180°", 4: "mirrored", 5: "mirrored and turned",
    6: "turned by 90°", 7: "mirrored and turned", 8: "turned by 90°",
}  # fmt: skip

_UNTOLD = (
    "is stored {}, and nothing tells whether the boxes are of the stored or of the shown picture: "
    "let the toolbox measure a copy that is stored upright"
)

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Measured:
    """What one row tells of the picture that was measured.

    box: xyxy in its pixels. size: its (width, height), where the table gives it. down: direction
    from the eyes to the mouth (x to the right, y down), where the table has landmarks.
    """

    box: Box
    size: tuple[int, int] | None = None
    down: tuple[float, float] | None = None


@dataclass(frozen=True)
class Placing:
    """How the boxes of a table come into the picture that is shown.

    code: the orientation that they are turned by; 1: none. size: of the picture in which they were
    measured, as it was stored there; None: that of the file. note: what is to be said of it.
    """

    code: int = UPRIGHT
    size: tuple[int, int] | None = None
    note: str | None = None

    def place(self, box: Box, shown: tuple[int, int]) -> Box:
        """A box of the table in pixels of the shown picture in its full size."""
        if self.size is not None:
            stored = turn_size(shown, self.code)
            across, down = stored[0] / self.size[0], stored[1] / self.size[1]
            box = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
        return turn_box(box, self.code, shown)

    def forget_angles(self, face: dict[str, Any]) -> dict[str, Any]:
        """The fields of a face without those that mean another direction once it is turned."""
        if self.code == UPRIGHT:
            return face
        return {**face, "pose": None, "gaze": None}


def find_placing(
    rows: Sequence[Measured],
    shown: tuple[int, int],
    code: int,
    refuse: Callable[[str], Exception],
) -> Placing:
    """Whether the rows of one medium were measured in the picture as shown or as stored.

    Args:
        rows: those that have a box.
        shown: (width, height) of the file, turned upright.
        code: its orientation; 1: it is stored as it is shown.
        refuse: makes the error to raise.

    Raises:
        Exception: of `refuse`: nothing tells which of the two it was.
    """
    if rows and all(0 <= side <= 1 for row in rows for side in row.box):
        if code == UPRIGHT:
            return Placing(size=(1, 1), note="gives its boxes as shares of the picture: scaled")
        raise refuse(_UNTOLD.format(_SHAPES[code]))
    sizes = {row.size for row in rows if row.size is not None}
    stored = turn_size(shown, code)
    size = next(iter(sizes)) if len(sizes) == 1 else None
    if size is not None:
        as_shown, as_stored = _alike(size, shown), _alike(size, stored)
        if not as_shown and not as_stored:
            return Placing(
                note=f"was measured in a picture of {size[0]}×{size[1]} pixels, which is no copy "
                f"of this one ({shown[0]}×{shown[1]})"
            )
        told = size if size not in (shown, stored) else None
        if as_shown != as_stored:
            return Placing(size=told) if as_shown else Placing(code, told, TURNED)
        rows = [replace(row, box=_scaled(row.box, size, stored)) for row in rows]
        here = _which(rows, shown, stored, code)
        size = told
    else:
        here = _which(rows, shown, stored, code)
    if here is None:
        raise refuse(_UNTOLD.format(_SHAPES[code]))
    return Placing(size=size) if here == "shown" else Placing(code, size, TURNED)


def _which(
    rows: Iterable[Measured], shown: tuple[int, int], stored: tuple[int, int], code: int
) -> str | None:
    """ "shown" or "stored"; None: nothing tells it."""
    rows = list(rows)
    if code == UPRIGHT or not rows:
        return "shown"
    in_shown = sum(share_inside(row.box, *shown) >= LEAST_INSIDE for row in rows)
    in_stored = sum(share_inside(row.box, *stored) >= LEAST_INSIDE for row in rows)
    if in_shown != in_stored:
        return "shown" if in_shown > in_stored else "stored"
    if all(_same(row.box, turn_box(row.box, code, shown)) for row in rows):
        return "shown"  # the boxes come to the same place either way
    upright = turned = 0
    for row in rows:
        if row.down is None:
            continue
        upright += _points_down(row.down)
        turned += _points_down(turn_direction(*row.down, code))
    # mirrored left to right a face stays upright: no landmark tells that
    if upright == turned:
        return None
    return "shown" if upright > turned else "stored"


def _points_down(direction: tuple[float, float]) -> bool:
    return abs(math.degrees(math.atan2(direction[0], direction[1]))) <= UNMISTAKABLE


def share_inside(box: Sequence[float], width: int, height: int) -> float:
    """Share of a box that lies within a picture; 0 also where its middle lies outside."""
    x0, y0, x1, y1 = box
    if not (0 <= (x0 + x1) / 2 <= width and 0 <= (y0 + y1) / 2 <= height):
        return 0.0
    wide, high = min(x1, width) - max(x0, 0), min(y1, height) - max(y0, 0)
    return wide * high / max(1e-9, (x1 - x0) * (y1 - y0))


def _same(a: Box, b: Box) -> bool:
    return all(abs(one - other) <= 2 for one, other in zip(a, b, strict=True))


def _alike(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return abs(a[0] * b[1] / (a[1] * b[0]) - 1) <= SAME_SHAPE


def _scaled(box: Box, own: tuple[int, int], to: tuple[int, int]) -> Box:
    """A box of a picture in one of another size. Of two shapes alike either is meant."""
    by = to[0] / own[0], to[1] / own[1]
    return box[0] * by[0], box[1] * by[1], box[2] * by[0], box[3] * by[1]


def find_down(line: TableLine, box: Box | None) -> tuple[float, float] | None:
    """From the middle of the eyes to the middle of the mouth, by the 68 landmarks of a row."""
    if box is None or "x_36" not in line.values:
        return None
    middles = []
    for first, last in ((36, 48), (48, 68)):  # eyes, mouth (Sagonas et al. 2013)
        xs = [line.value(f"x_{k}") for k in range(first, last)]
        ys = [line.value(f"y_{k}") for k in range(first, last)]
        known = [(x, y) for x, y in zip(xs, ys, strict=True) if x is not None and y is not None]
        if len(known) < last - first:
            return None
        middles.append([sum(values) / len(known) for values in zip(*known, strict=True)])
    (x0, y0), (x1, y1) = middles
    if math.hypot(x1 - x0, y1 - y0) < LEAST_SPAN * max(box[2] - box[0], box[3] - box[1]):
        return None
    return round(x1 - x0, 1), round(y1 - y0, 1)
