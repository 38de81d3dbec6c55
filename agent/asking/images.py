"""The images that the model is shown: crops, covered faces, sheets of frames, numbered boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kuleshov.tools.media.types import Rgb
from kuleshov.tools.types import Face

SHEET = "frames of a clip"
"""Mark in a PIL image's `info`: it is a sheet of frames."""
SHEET_PX = 1344  # longest side of a sheet of frames: four tiles of 336 pixels, LLaVA's input


def to_image(picture: Rgb) -> Any:
    """The array as a PIL image, which is what chat templates take."""
    from PIL import Image

    return Image.fromarray(picture)


def person_crop(picture: Rgb, face: Face, number: int) -> Any:
    """The person's surroundings, three faces wide, with a numbered red box around the face."""
    from PIL import ImageDraw, ImageFont

    x0, y0, x1, y1 = face.xyxy
    reach = max(x1 - x0, y1 - y0)
    left, top, right, bottom = surroundings_box(picture, face)
    crop = to_image(picture[top:bottom, left:right].copy())
    draw = ImageDraw.Draw(crop)
    line = max(2, round(reach / 50))
    draw.rectangle((x0 - left, y0 - top, x1 - left, y1 - top), outline=(255, 0, 0), width=line)
    font = ImageFont.load_default(size=max(12, round(reach / 5)))
    draw.text((x0 - left + line, y0 - top + line), str(number), fill=(255, 0, 0), font=font)
    return crop


def frame_sheet(pictures: Sequence[Rgb], times_s: Sequence[float], most: int = 9) -> Any:
    """At most `most` frames of a clip as one image, in rows, each with its time on it."""
    from PIL import Image

    step = max(1, -(-len(pictures) // most))
    shown = list(zip(pictures, times_s, strict=True))[::step]
    columns = math.ceil(math.sqrt(len(shown)))
    height, width = shown[0][0].shape[:2]
    scale = min(1.0, SHEET_PX / (columns * max(width, height)))
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    whole = Image.new("RGB", (columns * wide, -(-len(shown) // columns) * high), (255, 255, 255))
    for i, (picture, time_s) in enumerate(shown):
        tile = to_image(picture).resize((wide, high))
        _mark_time(tile, f"{i + 1}: {time_s:.1f} s")
        whole.paste(tile, (i % columns * wide, i // columns * high))
    whole.info[SHEET] = True
    return whole


def frame_video(pictures: Sequence[Rgb], times_s: Sequence[float]) -> list[Any]:
    """The frames of a clip as a video, each with its time on it: what takes videos takes no times.

    At most as large as a tile of a sheet of nine.
    """
    frames = []
    for i, (picture, time_s) in enumerate(zip(pictures, times_s, strict=True)):
        frame = to_image(picture)
        frame.thumbnail((SHEET_PX // 3, SHEET_PX // 3))
        _mark_time(frame, f"{i + 1}: {time_s:.1f} s")
        frames.append(frame)
    return frames


def _mark_time(tile: Any, text: str) -> None:
    """White on black in the upper left corner."""
    from PIL import ImageDraw, ImageFont

    font = ImageFont.load_default(size=max(12, tile.height // 12))
    draw = ImageDraw.Draw(tile)
    draw.rectangle((0, 0, *draw.textbbox((6, 3), text, font=font)[2:]), fill=(0, 0, 0))
    draw.text((3, 1), text, fill=(255, 255, 255), font=font)


def blank_image() -> Any:
    """The content-free picture: mid-grey."""
    from PIL import Image

    return Image.new("RGB", (336, 336), (127, 127, 127))


GREY = 127


FACE_MARGIN = 0.25  # of the box's longer side: brows, chin and some hair


COVER_MARGIN = 0.15


def cover_faces(picture: Rgb, faces: Sequence[Face]) -> Rgb:
    """The picture (H, W, 3) with these faces under a grey rectangle, 15 % larger than its box."""
    copy = picture.copy()
    for face in faces:
        left, top, right, bottom = _grow_box(face, COVER_MARGIN, picture)
        copy[top:bottom, left:right] = GREY
    return copy


def surroundings_box(picture: Rgb, face: Face) -> tuple[int, int, int, int]:
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


def face_alone(picture: Rgb, face: Face) -> Rgb:
    """The face cut out of the picture, square where the picture's edges allow."""
    left, top, right, bottom = _grow_box(face, FACE_MARGIN, picture)
    return np.ascontiguousarray(picture[top:bottom, left:right])


def _grow_box(face: Face, margin: float, picture: Rgb) -> tuple[int, int, int, int]:
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


def draw_boxes(picture: Rgb, boxes: Sequence[tuple[int, Sequence[float]]]) -> Any:
    """The picture as a PIL image with a numbered red box around each person.

    Args:
        picture: (H, W, 3) RGB uint8.
        boxes: number, and x0, y0, x1, y1 in pixels.
    """
    from PIL import ImageDraw, ImageFont

    shown = to_image(picture.copy())
    draw = ImageDraw.Draw(shown)
    for number, (x0, y0, x1, y1) in boxes:
        side = max(x1 - x0, y1 - y0)
        line = max(2, round(side / 30))
        draw.rectangle(
            (x0 - line, y0 - line, x1 + line, y1 + line), outline=(255, 0, 0), width=line
        )
        font = ImageFont.load_default(size=max(14, round(side / 3)))
        _, _, wide, high = draw.textbbox((0, 0), str(number), font=font)
        left, top = x0 - line, max(0, y0 - line - high - 2)
        draw.rectangle((left, top, left + wide + 4, top + high + 2), fill=(255, 0, 0))
        draw.text((left + 2, top), str(number), fill=(255, 255, 255), font=font)
    return shown
