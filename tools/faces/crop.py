"""Cutting faces out of pictures, square and at one size, for tools that measure found faces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kuleshov.tools.types import Face


def crop_square(
    image: NDArray[np.uint8], face: Face, *, times: float, size: int
) -> NDArray[np.uint8]:
    """A square around the middle of the face's box, `times` its longer side, as (size, size, 3).

    What lies outside the picture repeats its border.
    """
    import cv2

    height, width = image.shape[:2]
    x0, y0, x1, y1 = face.xyxy
    side = max(2, round(max(x1 - x0, y1 - y0) * times))
    left, top = round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2)
    # by index, because a box may lie far outside
    rows = np.clip(np.arange(top, top + side), 0, height - 1)
    columns = np.clip(np.arange(left, left + side), 0, width - 1)
    cut = image[rows[:, None], columns]
    way = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    return np.ascontiguousarray(cv2.resize(cut, (size, size), interpolation=way))
