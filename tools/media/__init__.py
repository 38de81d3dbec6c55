"""Open pictures and clips: whatever a user names becomes RGB arrays and a record of what it was.

A picture is read upright (EXIF orientation applied) as 8-bit RGB. Of a clip, frames are sampled
evenly over its duration; the rest is streamed past, so memory does not grow with its length.
Whatever cannot be read ends in a ``MediaError``, one sentence that names the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kuleshov.tools.media.opener import (
    check_medium,
    expand_paths,
    open_clip,
    open_media,
    pictures_of,
    why_passed_over,
)
from kuleshov.tools.media.passed_over import PassedOver
from kuleshov.tools.media.stream import ClipStream, FrameSample, Sampling
from kuleshov.tools.media.types import (
    CLIP_SUFFIXES,
    IMAGE_SUFFIXES,
    MAX_PIXELS,
    SUPPORTED,
    Frame,
    Media,
    MediaChangedError,
    MediaError,
    Opened,
    Rgb,
)
from kuleshov.tools.moved import old_names

__all__ = [
    "CLIP_SUFFIXES",
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "SUPPORTED",
    "ClipStream",
    "Frame",
    "FrameSample",
    "Media",
    "MediaChangedError",
    "MediaError",
    "Opened",
    "PassedOver",
    "Rgb",
    "Sampling",
    "check_medium",
    "expand_paths",
    "open_clip",
    "open_media",
    "pictures_of",
    "why_passed_over",
]


if not TYPE_CHECKING:
    __getattr__ = old_names(__name__)
