"""Open pictures and clips: whatever a user names becomes RGB arrays and a record of what it was.

A picture is read upright (EXIF orientation applied) as 8-bit RGB. Of a clip, frames are sampled
evenly over its duration; the rest is streamed past, so memory does not grow with its length.
Whatever cannot be read ends in a ``MediaError``, one sentence that names the file.
"""

from __future__ import annotations

import glob
import hashlib
import importlib
import io
import os
import stat
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from kuleshov.tools.types import KuleshovError, Record

if TYPE_CHECKING:
    import PIL.Image

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".png", ".apng", ".webp", ".gif", ".tif", ".tiff", ".bmp",
)  # fmt: skip
CLIP_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".3gp")
SUPPORTED = "JPEG, PNG, WebP, GIF, TIFF and BMP pictures, and MP4, MOV, MKV, WebM and AVI clips"
MAX_PIXELS = 100_000_000
"""Most pixels of a picture or of a clip's frame; a larger one is refused before it is decoded."""

# Pillow's own classes instead of Image.open: that one compares with a limit that is global to the
# process, so it would refuse what `max_pixels` allows and hide the size of what it refuses.
_READERS = {
    "JPEG": ("PIL.JpegImagePlugin", "jpeg_factory"),
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "WebP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
    "TIFF": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
}
# Only these may read a clip: others (HLS, concat) are lists that would open further addresses
_DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
# Between the end a clip's header promises and its last packet: rounding and audio padding, seconds
_END_TOLERANCE_S = 0.25

Rgb = NDArray[np.uint8]


class MediaError(KuleshovError):
    """A picture or clip that cannot be read; its text names the file and says why."""


class Frame(Record):
    """One sampled frame of a clip."""

    index: int = Field(ge=0, description="place among the clip's frames in order of time, from 0")
    time_s: float = Field(ge=0, description="seconds from the start of the clip, by its timestamps")


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
    frames: tuple[Frame, ...] = Field((), description="clips: the sampled frames, in order of time")


@dataclass(frozen=True)
class Opened:
    """A picture (one image) or a clip (one image a sampled frame, as in `media.frames`).

    `images` are (height, width, 3) RGB uint8.
    """

    media: Media
    images: list[Rgb]


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
            raise _unreadable(name, error) from None
    if isinstance(source, np.ndarray):
        name = "the array"
        rgb, notes = _from_array(source, max_pixels)
        form = None
    else:
        from PIL import Image

        if not isinstance(source, Image.Image):
            raise MediaError(
                f"cannot open a {type(source).__name__}: give a path, a file's bytes, "
                "a PIL image or a numpy array."
            )
        name, form = "the PIL image", source.format
        rgb, notes = _from_pil(source, name, max_pixels)
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


def expand(paths: Sequence[str]) -> list[str]:
    """Files that paths and glob patterns (`*`, `?`, `[…]`, `**`) name, each once.

    A path stays as it is; a pattern yields the pictures and clips (by suffix) it matches, sorted.

    Raises:
        MediaError: a missing file, a folder, a pattern that matches no picture or clip.
    """
    found: dict[str, None] = {}
    for path in paths:
        if os.path.lexists(path) or not glob.has_magic(path):
            _check_path(path)
            found[path] = None
            continue
        matches = sorted(
            match
            for match in glob.glob(path, recursive=True)
            if match.lower().endswith(IMAGE_SUFFIXES + CLIP_SUFFIXES) and os.path.isfile(match)
        )
        if not matches:
            raise MediaError(f"no picture or clip matches {path}.")
        found.update(dict.fromkeys(matches))
    return list(found)


def _check_path(name: str) -> None:
    """Refuse what is no file, without opening it: opening a pipe would wait for ever."""
    try:
        mode = os.stat(name).st_mode
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _unreadable(name, error) from None
    if stat.S_ISDIR(mode):
        raise MediaError(
            f"{name} is a folder, not a file; name its files, e.g. {os.path.join(name, '*.jpg')}."
        )
    if not stat.S_ISREG(mode):
        raise MediaError(f"{name} is not a regular file.")


def _unreadable(name: str, error: Exception) -> MediaError:
    if isinstance(error, FileNotFoundError):
        return MediaError(f"there is no file {name}.")
    why = getattr(error, "strerror", None) or str(error)
    return MediaError(f"{name} cannot be read: {why[:1].lower()}{why[1:]}.")


# ------------------------------------------------------------------------------------ files


def _open_file(
    file: IO[bytes], name: str, path: str | None, *, max_pixels: int, frames: int
) -> Opened:
    head = file.read(4096)
    if not head:
        raise MediaError(f"{name} is empty (0 bytes).")
    kind, form = _sniff(head)
    suffix = Path(path).suffix.lower() if path else ""
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
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    file.seek(0)
    if path is not None:  # a name that is not UTF-8 could not be written as JSON
        path = os.fsencode(path).decode("utf-8", "replace")
    if kind == "clip":
        clip = _Clip(file, name, max_pixels)
        images = clip.sample(frames)
        media = Media(
            path=path,
            sha256=digest,
            kind="clip",
            size=_size(images[0]),
            format=form,
            notes=tuple(clip.notes),
            duration_s=clip.duration_s,
            frames=tuple(clip.frames),
        )
        return Opened(media, images)
    module, reader = _READERS[form]
    try:
        picture = getattr(importlib.import_module(module), reader)(file, None)
    except Exception:  # Pillow's readers raise anything from SyntaxError to struct.error
        raise _damaged(name) from None
    with picture:
        rgb, notes = _from_pil(picture, name, max_pixels)
    media = Media(
        path=path, sha256=digest, kind="image", size=_size(rgb), format=form, notes=tuple(notes)
    )
    return Opened(media, [rgb])


def _size(rgb: Rgb) -> tuple[int, int]:
    return rgb.shape[1], rgb.shape[0]


def _damaged(name: str) -> MediaError:
    return MediaError(f"{name} is cut off or damaged: its picture cannot be read to the end.")


def _sniff(head: bytes) -> tuple[Literal["image", "clip"] | None, str]:
    """Kind and format by the first bytes, whatever the suffix says; (None, "a PDF document")."""
    brand = head[8:12]
    others = (
        (head.startswith(b"%PDF"), "a PDF document"),
        (head.startswith(b"version https://git-lfs"), "a git-lfs pointer (run `git lfs pull`)"),
        (head.lstrip()[:5].lower() in (b"<!doc", b"<html"), "a web page (HTML)"),
        (b"<svg" in head[:1024], "an SVG drawing"),
        (head.startswith(b"PK\x03\x04"), "a ZIP archive"),
        (
            head[4:8] == b"ftyp" and brand in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"),
            "a HEIC picture (save it as JPEG)",
        ),
        (
            head[4:8] == b"ftyp" and brand in (b"avif", b"avis"),
            "an AVIF picture (save it as JPEG)",
        ),
        (head[:4] in (b"OggS", b"fLaC") or head[:3] == b"ID3" or brand == b"WAVE", "sound only"),
        (_is_text(head), "text"),
    )
    for is_it, what in others:
        if is_it:
            return None, what
    if head.startswith(b"\xff\xd8\xff"):
        return "image", "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image", "PNG"
    if head[:4] == b"RIFF" and brand == b"WEBP":
        return "image", "WebP"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "image", "GIF"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "image", "TIFF"
    if head[:2] == b"BM":
        return "image", "BMP"
    if head[:4] == b"RIFF" and brand == b"AVI ":
        return "clip", "AVI"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "clip", "WebM" if b"webm" in head[:64] else "MKV"
    if head[4:8] == b"ftyp":
        return "clip", "MOV" if brand == b"qt  " else "MP4"
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "clip", "MOV"  # QuickTime files from before there was an ftyp atom
    return None, "nothing that is known here"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # else the head ends within a character
            return False
        text = head[: error.start].decode("utf-8")
    return all(letter.isprintable() or letter in "\r\n\t\f\ufeff" for letter in text)


# --------------------------------------------------------------------------------- pictures


def _check_pixels(name: str, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise MediaError(
            f"{name} has {width}×{height} pixels ({width * height / 1e6:.1f} megapixels), more "
            f"than the limit of {max_pixels / 1e6:.1f}; make it smaller or raise max_pixels."
        )


def _from_pil(picture: PIL.Image.Image, name: str, max_pixels: int) -> tuple[Rgb, list[str]]:
    """An upright RGB array and what was changed on the way."""
    from PIL import ImageOps

    _check_pixels(name, *picture.size, max_pixels)
    notes: list[str] = []
    try:
        if picture.format != "MPO" and getattr(picture, "is_animated", False):
            count = getattr(picture, "n_frames", 1)
            notes.append(
                f"first of {count} pages"
                if picture.format == "TIFF"
                else f"first frame of an animation of {count}"
            )
            picture.seek(0)
        picture.load()
    except Exception:
        raise _damaged(name) from None
    try:
        upright = ImageOps.exif_transpose(picture)
    except Exception:
        notes.append("its EXIF data cannot be read, so it may not be upright")
        upright = picture
    if upright.has_transparency_data:
        from PIL import Image

        rgba = upright.convert("RGBA")
        if np.asarray(rgba)[..., 3].min() < 255:
            notes.append("transparent parts shown on white")
        white = Image.new("RGBA", rgba.size, "white")
        return np.array(Image.alpha_composite(white, rgba).convert("RGB")), notes
    if upright.mode.startswith("I") or upright.mode == "F":
        values = np.asarray(upright)
        if upright.mode == "I" and values.min() >= 0 and values.max() <= 65535:
            values = values.astype(np.uint16)  # how Pillow hands over some 16-bit files
        grey, note = _to_bytes(values, name)
        return np.repeat(grey[..., None], 3, axis=2), [*notes, note]
    if upright.mode == "CMYK":
        notes.append("converted from CMYK without its colour profile")
    try:
        return np.array(upright.convert("RGB")), notes
    except ValueError:
        raise MediaError(
            f"{name} has the colour mode {upright.mode}, which is not read; save it as RGB."
        ) from None


def _from_array(values: NDArray[Any], max_pixels: int) -> tuple[Rgb, list[str]]:
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or values.shape[2] not in (1, 3, 4) or 0 in values.shape:
        hint = (
            "; move its channels to the end"
            if values.ndim == 3 and values.shape[0] in (1, 3, 4)
            else ""
        )
        raise MediaError(
            "an array must be (height, width), or (height, width, channels) with 1, 3 or 4 "
            f"channels, but got shape {values.shape}{hint}."
        )
    _check_pixels("the array", values.shape[1], values.shape[0], max_pixels)
    notes: list[str] = []
    if values.dtype != np.uint8:
        values, note = _to_bytes(values, "the array")
        notes.append(note)
    if values.shape[2] == 4:
        alpha = values[..., 3:].astype(np.uint16)
        if alpha.min() < 255:
            notes.append("transparent parts shown on white")
        colour = values[..., :3].astype(np.uint16)
        values = ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    elif values.shape[2] == 1:
        values = np.repeat(values, 3, axis=2)
    return np.array(values, dtype=np.uint8, order="C"), notes  # a copy: the caller may go on


def _to_bytes(values: NDArray[Any], name: str) -> tuple[Rgb, str]:
    """Values of another dtype as uint8, and the note that says so. Raises MediaError."""
    kind, dtype = values.dtype.kind, values.dtype.name
    low, high = float(values.min()), float(values.max())  # NaN fails every comparison below
    if kind == "b":
        return values.astype(np.uint8) * np.uint8(255), "scaled from bool"
    if kind == "u" and values.dtype.itemsize == 2:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8), "scaled from 16 bit"
    if kind == "f" and low >= 0 and high <= 1:
        return np.rint(values.astype(np.float32) * 255).astype(np.uint8), f"scaled from {dtype} 0-1"
    if kind in "iu" and low >= 0 and high <= 255:
        return values.astype(np.uint8), f"converted from {dtype}"
    raise MediaError(
        f"{name} holds {dtype} values from {low:g} to {high:g}; "
        "give uint8 (0-255), uint16 (0-65535) or floats in 0-1."
    )


# ------------------------------------------------------------------------------------ clips


class _SeekError(Exception):
    """Seeking came out behind the frame that was wanted."""


class _Clip:
    """Reads a clip twice: once its packets, for real timestamps and its real end, then frames.

    The first pass decodes nothing; it keeps 8 bytes a frame. `sample` fills in the rest.
    """

    def __init__(self, file: IO[bytes], name: str, max_pixels: int) -> None:
        self.file, self.name, self.max_pixels = file, name, max_pixels
        self.notes: list[str] = []
        self.frames: list[Frame] = []
        self.duration_s: float | None = None
        self._times = array("q")
        self._counts = False

    def open(self) -> tuple[Any, Any]:
        """A fresh container and its video stream."""
        import av
        from av.stream import Disposition

        self.file.seek(0)
        try:
            container = av.open(
                self.file,
                mode="r",
                metadata_errors="replace",
                buffer_size=1 << 18,
                options={"format_whitelist": _DEMUXERS},
            )
        except (av.FFmpegError, ValueError):
            raise MediaError(
                f"{self.name} is cut off or damaged: its index cannot be read, so neither can "
                "its frames."
            ) from None
        videos = [
            stream
            for stream in container.streams.video
            if not stream.disposition & Disposition.attached_pic  # the cover of a sound file
        ]
        if not videos:
            what = "only sound" if container.streams.audio else "no video"
            container.close()
            raise MediaError(f"{self.name} has no video stream: it holds {what}.")
        video = videos[0]
        if video.codec_context is None:
            container.close()
            raise MediaError(f"{self.name} uses a video codec that cannot be decoded here.")
        if video.width and video.height:
            _check_pixels(self.name, video.width, video.height, self.max_pixels)
        video.thread_type = "AUTO"
        return container, video

    def sample(self, count: int) -> list[Rgb]:
        container, video = self.open()
        with container:
            # AVI holds no presentation times, and what FFmpeg makes up for it is out of order
            # with B-frames: there the n-th decoded frame is the n-th in time
            self._counts = container.format.name == "avi"
            times, keys, end_s = self._scan(container, video)
            self._times = times
            start_s = (container.start_time or 0) / 1e6
            declared_s = None if container.duration is None else container.duration / 1e6
            tick = float(video.time_base)
            rate = float(video.average_rate or 0)
            if self._counts and rate and video.frames:
                declared_s = video.frames / rate  # FFmpeg shrinks the duration of a cut-off AVI
        if not times:
            raise self._no_frames()
        one_s = 1 / rate if rate else 0.0
        last_s = times[-1] * tick - start_s + one_s
        self.duration_s = round(max(0.0, last_s), 6)
        if declared_s is not None and end_s - start_s < declared_s - _END_TOLERANCE_S - one_s:
            self.notes.append(
                f"the clip is cut off: it ends at {self.duration_s:.2f} s of {declared_s:.2f} s"
            )
        first, span = times[0], times[-1] + one_s / tick - times[0]
        wanted = sorted(
            {  # the frame that is on the screen at the middle of each part
                times[max(0, bisect_right(times, first + span * (part + 0.5) / count) - 1)]
                for part in range(count)
            }
        )
        try:
            # where frames are counted, nothing tells whether a seek came to the right one
            found = self._decode(wanted, None if self._counts else keys)
        except _SeekError:  # a file without a good index; streaming always works
            found = self._decode(wanted, None)
        if not found:
            raise self._no_frames()
        if len(found) < len(wanted):
            self.notes.append(f"{len(wanted) - len(found)} of {len(wanted)} frames are damaged")
        self.frames = [
            Frame(
                index=min(bisect_left(times, time), len(times) - 1),
                time_s=round(max(0.0, time * tick - start_s), 6),
            )
            for time in sorted(found)
        ]
        return [found[time] for time in sorted(found)]

    def _no_frames(self) -> MediaError:
        return MediaError(f"{self.name} has a video stream but no frame that can be read.")

    def _scan(self, container: Any, video: Any) -> tuple[array[int], array[int], float]:
        """Sorted timestamps of all frames and of the key frames, in ticks; end of all, seconds."""
        import av

        times, keys, end_s = array("q"), array("q"), 0.0
        try:
            for packet in container.demux():
                time = packet.dts if self._counts or packet.pts is None else packet.pts
                # AVI has empty packets for repeated frames; partial ones come from a cut-off file
                if time is None or not packet.size or packet.is_corrupt:
                    continue
                end_s = max(end_s, float((time + (packet.duration or 0)) * packet.time_base))
                if packet.stream.index == video.index and not packet.is_discard:
                    times.append(time)
                    if packet.is_keyframe:
                        keys.append(time)
        except av.FFmpegError:
            pass  # cut off: what was read is there, and the end is compared with the header's
        return array("q", sorted(times)), array("q", sorted(keys)), end_s

    def _decode(self, wanted: Sequence[int], keys: array[int] | None) -> dict[int, Rgb]:
        """The wanted frames (ticks, ascending), through `keys` by seeking or else by streaming.

        In place of a damaged frame stands the next good one. Raises _SeekError.
        """
        import av

        found: dict[int, Rgb] = {}
        container, video = self.open()
        with container:
            stream = self._stream(container, video, self._times[0])
            at: int | None = None
            for time in wanted:
                key = keys[max(0, bisect_right(keys, time) - 1)] if keys else None
                sought = key is not None and (at is None or key > at)
                if key is not None and sought:
                    try:
                        container.seek(key, stream=video)
                    except (av.FFmpegError, OSError):
                        raise _SeekError from None
                    stream, at = self._stream(container, video, key), None
                while at is None or at < time:
                    step = next(stream, None)
                    if step is None:
                        return found
                    if sought and at is None and step[0] > time:
                        raise _SeekError
                    at, frame = step
                if at not in found:
                    found[at] = _upright(frame, video)
        return found

    def _stream(self, container: Any, video: Any, start: int) -> Iterator[tuple[int, Any]]:
        """Decoded frames from `start` with their times, ticks; damaged packets are passed over."""
        import av

        def decode(packet: Any) -> list[Any]:
            try:
                return list(video.codec_context.decode(packet))
            except av.FFmpegError:
                return []

        packets = container.demux(video)
        place = bisect_left(self._times, start)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.FFmpegError):
                packet = None  # flushes what the decoder still holds
            if packet is None or not packet.is_corrupt:
                for frame in decode(packet):
                    if self._counts:
                        time = self._times[min(place, len(self._times) - 1)]
                        place += 1
                    else:
                        time = frame.pts if frame.pts is not None else frame.dts
                    if time is not None:
                        yield time, frame
            if packet is None:
                return


def _upright(frame: Any, video: Any) -> Rgb:
    """The frame as a player shows it: square pixels, turned and mirrored as the file says."""
    aspect = float(video.sample_aspect_ratio or 1)
    width = frame.width if 0.99 < aspect < 1.01 else max(1, round(frame.width * aspect))
    rgb = frame.to_ndarray(format="rgb24", width=width, height=frame.height)
    side = frame.side_data.get("DISPLAYMATRIX")
    if side is not None:
        # FFmpeg's libavutil/display.h: x' = a·x + c·y, y' = b·x + d·y, rows (a b u) (c d v)
        a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(side), np.int32)[:5])
        if abs(b) > abs(a):  # by a quarter
            rgb = rgb.transpose(1, 0, 2)
            a, d = c, b
        if a < 0:
            rgb = rgb[:, ::-1]
        if d < 0:
            rgb = rgb[::-1]
    return np.ascontiguousarray(rgb)
