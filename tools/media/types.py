"""What was opened: a picture or a clip, its frames; and the error when it cannot be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.types import Record

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".tif", ".tiff",
    ".bmp", ".heic", ".heif", ".hif", ".avif",
)  # fmt: skip
CLIP_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".qt", ".mkv", ".webm", ".avi", ".3gp", ".3g2", ".mts", ".m2ts", ".mpg",
    ".mpeg", ".vob", ".wmv", ".flv",
)  # fmt: skip
RAW_SUFFIXES = (
    ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw",
)  # fmt: skip
"""A camera's raw pictures: many are TIFF files whose first picture is a thumbnail; not read."""
OTHER_SUFFIXES = (
    ".txt", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".xml", ".xmp", ".aae", ".md", ".html",
    ".pdf", ".py", ".npy", ".npz", ".mat", ".parquet", ".zip", ".tar", ".gz", ".wav", ".mp3",
    ".m4a", ".flac", ".srt", ".vtt", ".sbv", ".lrc", ".ass", ".ssa", ".ttml", ".itt", ".textgrid",
    ".eaf", ".cha", ".pts",
)  # fmt: skip
"""What often lies beside pictures: not opened to see what it is."""
SUPPORTED = (
    "JPEG, PNG, WebP, GIF, TIFF, BMP, HEIC and AVIF pictures, and MP4, MOV, MKV, WebM, AVI, "
    "MPEG, WMV and FLV clips"
)
MAX_PIXELS = 100_000_000
"""Most pixels of a picture or of a clip's frame; a larger one is refused before it is decoded."""

Rgb = NDArray[np.uint8]


class MediaError(KuleshovError):
    """A picture or clip that cannot be read; its text names the file and says why."""


class MediaChangedError(MediaError):
    """The source is no longer what was read."""


class Frame(Record):
    """One sampled frame of a clip."""

    index: int = Field(ge=0, description="place among the clip's frames in order of time, from 0")
    time_s: float = Field(
        ge=0,
        description="seconds from the start of the clip: the frame's timestamp, or a later time at "
        "which it is still on the screen",
    )


class Media(Record):
    """What was opened.

    `sha256` is of the file's bytes; for a PIL image or an array, of its size and RGB bytes.
    `size` is (width, height) in pixels after orientation.
    """

    path: str | None
    sha256: str
    kind: Literal["image", "clip"]
    size: tuple[int, int]
    format: str | None = None
    notes: tuple[str, ...] = Field((), description="what was changed or left out in reading")
    duration_s: float | None = Field(None, ge=0, description="clips: seconds that can be read")
    frames: tuple[Frame, ...] = Field(
        (), description="clips: the frames kept as pictures, in order of time"
    )
    read: int | None = Field(None, ge=0, description="clips: frames looked at for faces")
    cuts_s: tuple[float, ...] = Field((), description="clips: where a new shot begins, seconds")
    frame_count: int | None = Field(None, ge=0, description="clips: frames that the file holds")
    full_size: tuple[int, int] | None = Field(
        None,
        description="clips: (width, height) in the file's own pixels, turned upright; boxes of the "
        "record are in pixels of `size`",
    )
    orientation: int | None = Field(
        None,
        ge=1,
        le=8,
        description="how the file says that its pixels are turned to stand upright, EXIF's code; "
        "None: they are stored upright",
    )

    @property
    def full_scale(self) -> tuple[float, float]:
        """What x and y of the record are multiplied by to get the file's own pixels."""
        if self.full_size is None:
            return 1.0, 1.0
        return self.full_size[0] / self.size[0], self.full_size[1] / self.size[1]


@dataclass(frozen=True)
class Opened:
    """A picture (one image) or a clip (one image a sampled frame, as in `media.frames`).

    `images` are (height, width, 3) RGB uint8.
    """

    media: Media
    images: list[Rgb]


def damaged_error(name: str) -> MediaError:
    return MediaError(f"{name} is cut off or damaged: its picture cannot be read to the end.")


def check_pixels(name: str, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise MediaError(
            f"{name} has {width}×{height} pixels ({width * height / 1e6:.1f} megapixels), more "
            f"than the limit of {max_pixels / 1e6:.1f}; make it smaller or raise max_pixels."
        )
