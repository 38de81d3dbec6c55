"""Open pictures and clips: whatever a user names becomes RGB arrays and a record of what it was.

A picture is read upright (EXIF orientation applied) as 8-bit RGB. Of a clip, frames are sampled
evenly over its duration; the rest is streamed past, so memory does not grow with its length.
Whatever cannot be read ends in a ``MediaError``, one sentence that names the file.
"""

from __future__ import annotations

from kuleshov.tools.media.opener import expand, open_clip, open_media, pictures_of, why_passed_over
from kuleshov.tools.media.passed_over import PassedOver
from kuleshov.tools.media.stream import ClipStream, Sample, Sampling
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

__all__ = [
    "CLIP_SUFFIXES",
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "SUPPORTED",
    "ClipStream",
    "Frame",
    "Media",
    "MediaChangedError",
    "MediaError",
    "Opened",
    "PassedOver",
    "Rgb",
    "Sample",
    "Sampling",
    "expand",
    "open_clip",
    "open_media",
    "pictures_of",
    "why_passed_over",
]
