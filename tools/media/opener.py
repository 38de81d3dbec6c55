"""Open a picture or a clip from a path, bytes, an image or an array."""

from __future__ import annotations

import glob
import hashlib
import io
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from kuleshov.tools.media import pictures
from kuleshov.tools.media.clips import Clip
from kuleshov.tools.media.passed_over import PassedOver
from kuleshov.tools.media.sniff import sniff_format
from kuleshov.tools.media.stream import ClipStream
from kuleshov.tools.media.types import (
    CLIP_SUFFIXES,
    IMAGE_SUFFIXES,
    MAX_PIXELS,
    OTHER_SUFFIXES,
    RAW_SUFFIXES,
    SUPPORTED,
    Media,
    MediaChangedError,
    MediaError,
    Opened,
    Rgb,
)


def open_media(source: Any, *, max_pixels: int = MAX_PIXELS, frames: int = 8) -> Opened:
    """Open a picture or a clip.

    Args:
        source: a path (str or Path), a file's bytes, a PIL image, or a numpy array: (H, W),
            (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA; uint8, uint16 (scaled), bool, integers in
            0-255 or floats in 0-1.
        max_pixels: a picture, or a clip's frame, with more pixels is refused before decoding.
        frames: frames sampled from a clip, at the middles of that many equal parts of it;
            fewer if it has fewer.

    Raises:
        MediaError: missing, unreadable, empty, damaged, too large, or not a picture or clip.
    """
    if frames < 1 or max_pixels < 1:
        raise MediaError(
            f"frames and max_pixels must be at least 1 but are {frames} and {max_pixels}."
        )
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _open_file(
            io.BytesIO(source), "the data", None, max_pixels=max_pixels, frames=frames
        )
    if isinstance(source, (str, os.PathLike)):
        name = os.fsdecode(source)
        _check_path(name)
        try:
            with open(name, "rb") as file:
                return _open_file(file, name, name, max_pixels=max_pixels, frames=frames)
        except OSError as error:
            raise _unreadable_error(name, error) from None
    if isinstance(source, np.ndarray):
        name = "the array"
        rgb, notes = pictures.from_array(source, max_pixels)
        form = None
    else:
        from PIL import Image

        if not isinstance(source, Image.Image):
            raise MediaError(
                f"cannot open an object of type {type(source).__name__}: give a path, a file's "
                "bytes, a PIL image or a numpy array."
            )
        name, form = "the PIL image", source.format
        rgb, notes = pictures.from_pil(source, name, max_pixels)
    height, width = rgb.shape[:2]
    digest = hashlib.sha256(f"{width}x{height}:".encode() + rgb.tobytes()).hexdigest()
    media = Media(
        path=None,
        sha256=digest,
        kind="image",
        size=(width, height),
        format=form,
        notes=tuple(notes),
    )
    return Opened(media, [rgb])


def open_clip(source: Any, *, max_pixels: int = MAX_PIXELS) -> ClipStream | None:
    """A clip ready to be streamed, or None where the source is a still picture.

    Args:
        source: a path or a file's bytes; anything else is a picture.
        max_pixels: a clip whose frames have more pixels is refused.

    Raises:
        MediaError: as `open_media`.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        file: IO[bytes] = io.BytesIO(source)
        name, path = "the data", None
    elif isinstance(source, (str, os.PathLike)):
        name = path = os.fsdecode(source)
        _check_path(name)
        try:
            file = open(name, "rb")  # noqa: SIM115 (the stream closes it)
        except OSError as error:
            raise _unreadable_error(name, error) from None
    else:
        return None
    try:
        kind, form = _sniff_kind(file, name, path)
        if kind == "clip":
            digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
            return ClipStream(
                Clip(file, name, max_pixels), file, _writable_path(path), digest, form
            )
    except OSError as error:
        file.close()
        raise _unreadable_error(name, error) from None
    except BaseException:
        file.close()
        raise
    file.close()
    return None


def pictures_of(source: Any, media: Media, *, max_pixels: int = MAX_PIXELS) -> list[Rgb]:
    """The pictures of a record again: the still, or a clip's frames as in `media.frames`.

    Raises:
        MediaError: as `open_media`, and if the source is no longer what was recorded.
    """
    stream = open_clip(source, max_pixels=max_pixels)
    if stream is None:
        opened = open_media(source, max_pixels=max_pixels)
        if opened.media.sha256 != media.sha256:
            raise MediaChangedError(f"{media.path or 'the picture'} has changed since it was read.")
        return opened.images
    try:
        if stream.sha256 != media.sha256:
            raise MediaChangedError(f"{stream.clip.name} has changed since it was read.")
        return stream.clip.at([frame.index for frame in media.frames])
    finally:
        stream.close()


def expand_paths(paths: Sequence[str], passed: PassedOver | None = None) -> list[str]:
    """Files that paths and glob patterns (`*`, `?`, `[…]`, `**`) name, each once.

    passed: counts what a pattern matches that is no picture or clip.

    A path stays as it is; a pattern yields the pictures and clips it matches, sorted.

    Raises:
        MediaError: a missing file, a folder, a pattern that matches no picture or clip.
    """
    found: dict[str, None] = {}
    for path in paths:
        if os.path.lexists(path) or not glob.has_magic(path):
            _check_path(path)
            found[path] = None
            continue
        matches = []
        for match in sorted(glob.glob(path, recursive=True)):
            if os.path.isfile(match):
                why = why_passed_over(match)
                if why is None:
                    matches.append(match)
                elif passed is not None:
                    passed.add(match, why)
        if not matches:
            raise MediaError(f"no picture or clip matches {path}.")
        found.update(dict.fromkeys(matches))
    return list(found)


def why_passed_over(path: str) -> str | None:
    """Why a folder's file is no picture or clip: what it is instead; None: it is one.

    By its suffix, and where that tells nothing by its first bytes.
    """
    lower = path.lower()
    if lower.endswith(IMAGE_SUFFIXES + CLIP_SUFFIXES):
        return None
    if lower.endswith(RAW_SUFFIXES):
        return "a camera's raw picture"
    if lower.endswith(OTHER_SUFFIXES):
        return Path(lower).suffix
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return "no regular file"
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError as error:
        return f"unreadable: {error.strerror or error}".rstrip(".").lower()
    kind, form = sniff_format(head)
    if kind is not None:
        return None
    return "empty" if not head else Path(lower).suffix if form == "text" else form


def check_medium(path: str) -> None:
    """Look whether a file is a picture or clip by its first bytes, which takes no time.

    Raises:
        MediaError: it is not there, or holds something else; that it is damaged is found later.
    """
    _check_path(path)
    try:
        with open(path, "rb") as file:
            _sniff_kind(file, path, path)
    except OSError as error:
        raise _unreadable_error(path, error) from None


def _check_path(name: str) -> None:
    """Refuse what is no file, without opening it: opening a pipe would wait for ever."""
    try:
        mode = os.stat(name).st_mode
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _unreadable_error(name, error) from None
    if stat.S_ISDIR(mode):
        raise MediaError(
            f"{name} is a folder, not a file; name its files, e.g. {os.path.join(name, '*.jpg')}."
        )
    if not stat.S_ISREG(mode):
        raise MediaError(f"{name} is not a regular file.")


def _unreadable_error(name: str, error: Exception) -> MediaError:
    if isinstance(error, FileNotFoundError):
        return MediaError(f"there is no file {name}.")
    why = getattr(error, "strerror", None) or str(error)
    return MediaError(f"{name} cannot be read: {why[:1].lower()}{why[1:]}.")


def _sniff_kind(file: IO[bytes], name: str, path: str | None) -> tuple[str, str]:
    """Kind (image or clip) and format, the file rewound. Raises MediaError."""
    head = file.read(4096)
    if not head:
        raise MediaError(f"{name} is empty (0 bytes).")
    kind, form = sniff_format(head)
    suffix = Path(path).suffix.lower() if path else ""
    if suffix in RAW_SUFFIXES and kind == "image" and form == "TIFF":
        kind, form = None, "a camera's raw picture"
    if kind is None:
        raise MediaError(
            f"{name} is not a picture or clip that can be read: it holds {form}; "
            f"supported are {SUPPORTED}."
        )
    if kind == "image" and suffix in CLIP_SUFFIXES:
        raise MediaError(
            f"{name} is not a clip: it holds a still picture ({form}); give it the right suffix."
        )
    if kind == "clip" and suffix in IMAGE_SUFFIXES:
        raise MediaError(
            f"{name} is not a picture: it holds a clip ({form}); give it the right suffix."
        )
    file.seek(0)
    return kind, form


def _writable_path(path: str | None) -> str | None:
    """A name that is not UTF-8 could not be written as JSON."""
    return None if path is None else os.fsencode(path).decode("utf-8", "replace")


def _open_file(
    file: IO[bytes], name: str, path: str | None, *, max_pixels: int, frames: int
) -> Opened:
    kind, form = _sniff_kind(file, name, path)
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    file.seek(0)
    path = _writable_path(path)
    if kind == "clip":
        clip = Clip(file, name, max_pixels)
        images = clip.sample(frames)
        media = Media(
            path=path,
            sha256=digest,
            kind="clip",
            size=_picture_size(images[0]),
            format=form,
            notes=tuple(clip.notes),
            duration_s=clip.duration_s,
            frames=tuple(clip.frames),
            frame_count=clip.frame_count,
            full_size=clip.full_size,
            orientation=clip.orientation,
        )
        return Opened(media, images)
    rgb, notes, orientation = pictures.from_file(file, form, name, max_pixels)
    media = Media(
        path=path,
        sha256=digest,
        kind="image",
        size=_picture_size(rgb),
        format=form,
        notes=tuple(notes),
        orientation=orientation,
    )
    return Opened(media, [rgb])


def _picture_size(rgb: Rgb) -> tuple[int, int]:
    return rgb.shape[1], rgb.shape[0]
