"""How stored pixels are turned to stand upright: the eight orientations of EXIF, also of clips.

Each is a transposition or none, then a mirroring across or none, then one down or none.
"""

from __future__ import annotations

from typing import Any

import numpy as np

UPRIGHT = 1
# EXIF 2.32, 4.6.4 A: transposed, mirrored left-right, mirrored top-bottom
_STEPS: dict[int, tuple[bool, bool, bool]] = {
    1: (False, False, False), 2: (False, True, False), 3: (False, True, True),
    4: (False, False, True), 5: (True, False, False), 6: (True, True, False),
    7: (True, True, True), 8: (True, False, True),
}  # fmt: skip
_CODES = {steps: code for code, steps in _STEPS.items()}


def find_orientation(frame: Any) -> int:
    """EXIF's code for the display matrix of a frame of PyAV's; 1: shown as it is stored."""
    side = frame.side_data.get("DISPLAYMATRIX")
    if side is None:
        return UPRIGHT
    # FFmpeg's libavutil/display.h: x' = a·x + c·y, y' = b·x + d·y, rows (a b u) (c d v)
    a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(side), np.int32)[:5])
    swapped = abs(b) > abs(a)  # by a quarter
    if swapped:
        a, d = c, b
    return _CODES[swapped, a < 0, d < 0]


def turn_pixels(rgb: np.ndarray[Any, Any], code: int) -> np.ndarray[Any, Any]:
    """An (H, W, 3) array as it is stored, upright."""
    swapped, across, down = _STEPS[code]
    if swapped:
        rgb = rgb.transpose(1, 0, 2)
    if across:
        rgb = rgb[:, ::-1]
    if down:
        rgb = rgb[::-1]
    return np.ascontiguousarray(rgb)


def turn_size(size: tuple[int, int], code: int) -> tuple[int, int]:
    """(width, height) after turning; the same call turns it back."""
    return (size[1], size[0]) if _STEPS[code][0] else size


def turn_direction(x: float, y: float, code: int) -> tuple[float, float]:
    """A direction in the stored picture (x to the right, y down) as it is when upright."""
    swapped, across, down = _STEPS[code]
    if swapped:
        x, y = y, x
    return -x if across else x, -y if down else y


def turn_box(
    box: tuple[float, float, float, float], code: int, size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """A box (xyxy) of the stored picture in the upright one, whose (width, height) is `size`."""
    swapped, across, down = _STEPS[code]
    x0, y0, x1, y1 = box
    if swapped:
        x0, y0, x1, y1 = y0, x0, y1, x1
    if across:
        x0, x1 = size[0] - x1, size[0] - x0
    if down:
        y0, y1 = size[1] - y1, size[1] - y0
    return x0, y0, x1, y1
