"""Cuts of a picture: a face alone, and the picture with its faces covered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kuleshov.state import Picture
from kuleshov.tools.types import Face

GREY = 127
FACE_MARGIN = 0.25  # of the box's longer side: brows, chin and some hair
COVER_MARGIN = 0.15


def covered(picture: Picture, faces: Sequence[Face]) -> Picture:
    """The picture (H, W, 3) with every face under a grey rectangle, 15 % larger than its box."""
    copy = picture.copy()
    for face in faces:
        left, top, right, bottom = _grown(face, COVER_MARGIN, picture)
        copy[top:bottom, left:right] = GREY
    return copy


def around(picture: Picture, face: Face) -> tuple[int, int, int, int]:
    """The person's surroundings, three faces wide: left, top, right, bottom in pixels."""
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = face.xyxy
    reach = max(x1 - x0, y1 - y0)
    return (
        max(0, int(x0 - reach)),
        max(0, int(y0 - reach)),
        min(width, int(x1 + reach)),
        min(height, int(y1 + reach)),
    )


def face_alone(picture: Picture, face: Face) -> Picture:
    """The face cut out of the picture, square where the picture's edges allow."""
    left, top, right, bottom = _grown(face, FACE_MARGIN, picture)
    return np.ascontiguousarray(picture[top:bottom, left:right])


def _grown(face: Face, margin: float, picture: Picture) -> tuple[int, int, int, int]:
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = face.xyxy
    half = max(x1 - x0, y1 - y0) * (0.5 + margin)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return (
        max(0, int(x - half)),
        max(0, int(y - half)),
        min(width, int(x + half) + 1),
        min(height, int(y + half) + 1),
    )
