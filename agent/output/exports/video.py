"""The clip once more with what was read drawn into it: boxes, action units, reading, gaps.

A frame at a time from PyAV to PyAV, so memory does not grow with the clip's length. Times are
those of the clip; its sound is left out.
"""

from __future__ import annotations

import functools
import threading
from bisect import bisect_right
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from kuleshov.output import view
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.faces.tracking.types import Track
from kuleshov.tools.media import MediaError, Rgb, open_clip
from kuleshov.tools.types import LEVELS
from kuleshov.types import Inference, Person

BETWEEN_S = 0.5
"""Between two frames looked at that are no further apart, the box is drawn on the line between."""
MOST_UNITS = 6  # lines beside a box
COLOURS = ((255, 211, 77), (111, 196, 255), (160, 224, 130), (255, 150, 120), (214, 165, 255))
CAVEAT = "perceived emotion, an inference"

Box = tuple[float, float, float, float]


def check_target(source: Any, path: Path) -> None:
    """Raises KuleshovError where the clip itself, a folder or nothing at all would be written."""
    if path.exists() and isinstance(source, (str, Path)) and path.samefile(source):
        raise KuleshovError(f"{path} is the clip itself: give its annotated copy another name.")
    if path.is_dir():
        raise KuleshovError(f"{path} is a folder: name a file that ends in .mp4.")
    if not path.parent.is_dir():
        raise KuleshovError(f"there is no folder {path.parent}.")


def write_video(
    inference: Inference,
    source: Any,
    path: Path,
    *,
    progress: Callable[[float, float], None] | None = None,
    stop: threading.Event | None = None,
) -> Path:
    """Write the annotated clip as MP4 (H.264); returns its path.

    Args:
        inference: what was read.
        source: the clip it was read from, path or bytes.
        path: the file to write; it appears once it is whole.
        progress: called with seconds written and seconds in all.
        stop: once set, what has been written so far becomes the file.

    Raises:
        KuleshovError: the source is no clip, is not the one that was read, or nothing can be
            written there.
    """
    import av

    check_target(source, path)
    stream = open_clip(source)
    if stream is None:
        raise KuleshovError(f"{inference.media.path or 'the picture'} is no clip: no video of it.")
    part = path.with_name(f".{path.name}.part")
    try:
        if stream.sha256 != inference.media.sha256:
            raise MediaError(f"{stream.clip.name} has changed since it was read.")
        with av.open(str(part), "w", format="mp4") as container:
            _draw_all(inference, stream, container, progress, stop)
        part.replace(path)
    except OSError as error:  # PyAV's errors are among them
        raise KuleshovError(f"cannot write {path}: {error.strerror or error}.") from None
    finally:
        part.unlink(missing_ok=True)
        stream.close()
    return path


def _draw_all(
    inference: Inference,
    stream: Any,
    container: Any,
    progress: Callable[[float, float], None] | None,
    stop: threading.Event | None,
) -> None:
    import av

    out: Any = None
    first = 0
    for time, raw, video in stream.clip.decoded():
        time_s = stream.clip.frame(time).time_s
        image = stream.clip.picture(raw, video)
        height, width = (side - side % 2 for side in image.shape[:2])  # H.264 halves colours
        if out is None:
            rate = video.average_rate or Fraction(25)
            out = container.add_stream(
                "libx264", rate=rate, options={"crf": "20", "preset": "veryfast"}
            )
            out.width, out.height, out.pix_fmt = width, height, "yuv420p"
            out.time_base = out.codec_context.time_base = video.time_base
            first = time
        frame = av.VideoFrame.from_ndarray(
            np.ascontiguousarray(draw_frame(inference, image, time_s)[:height, :width]),
            format="rgb24",
        )
        frame.pts, frame.time_base = time - first, video.time_base
        container.mux(out.encode(frame))
        if progress is not None:
            progress(time_s, stream.duration_s)
        if stop is not None and stop.is_set():
            break
    if out is not None:
        container.mux(out.encode())


def draw_frame(inference: Inference, image: Rgb, time_s: float) -> Rgb:
    """The frame at `time_s` with every person's box, reading and units, and who is not seen."""
    from PIL import Image, ImageDraw

    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    size = max(11, round(min(picture.size) / 30))
    font = _load_font(size)

    def say(x: float, y: float, text: str, colour: tuple[int, int, int]) -> None:
        left, top, right, _ = draw.textbbox((0, 0), text, font=font)
        x = min(max(0.0, x), max(0.0, picture.width - (right - left) - 6))
        y = min(max(0.0, y), max(0.0, picture.height - size * 1.3))
        draw.rectangle((x, y, x + right - left + 6, y + size * 1.3), fill=(20, 20, 22))
        draw.text((x + 3, y + size * 0.15 - top * 0.2), text, fill=colour, font=font)

    notes = []
    for person in inference.people:
        colour = COLOURS[(person.id - 1) % len(COLOURS)]
        if person.track is None:
            continue
        box = box_at(person.track, time_s)
        if box is None:
            notes.append((f"person {person.id}: {why_no_box(person.track, time_s)}", colour))
            continue
        draw.rectangle(box, outline=colour, width=max(2, size // 7))
        say(box[0], box[1] - size * 1.4, f"{person.id}  {reading_at(person, time_s)}", colour)
        for line, text in enumerate(unit_lines(person.track, time_s)):
            say(box[2] + 4, box[1] + line * size * 1.35, text, (255, 255, 255))
    for line, (text, colour) in enumerate(notes):
        say(0, line * size * 1.35, text, colour)
    say(0, picture.height, f"{time_s:.1f} s · {CAVEAT}", (230, 230, 230))
    return np.asarray(picture)


@functools.cache
def _load_font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size=size)


def box_at(track: Track, time_s: float) -> Box | None:
    """Where the face is at a time, from the frames that were looked at; None: not seen there."""
    after = bisect_right(track.times_s, time_s)
    before = after - 1
    near = min(BETWEEN_S, track.interval_s) / 2 + 1e-6
    if before >= 0 and after < len(track.times_s):
        begin, end = track.times_s[before], track.times_s[after]
        away = any(s.start_s < end and s.end_s > begin for s in track.missing)
        if not away and end - begin <= max(BETWEEN_S, 1.5 * track.interval_s) <= 1.5 * BETWEEN_S:
            share = (time_s - begin) / (end - begin)
            pairs = zip(track.boxes_xyxy[before], track.boxes_xyxy[after], strict=True)
            x0, y0, x1, y1 = (a + share * (b - a) for a, b in pairs)
            return x0, y0, x1, y1
    for place in (before, after):
        if 0 <= place < len(track.times_s) and abs(track.times_s[place] - time_s) <= near:
            return track.boxes_xyxy[place]
    return None


def why_no_box(track: Track, time_s: float) -> str:
    if any(stretch.start_s <= time_s <= stretch.end_s for stretch in track.missing):
        return "face not seen"
    return "not looked at"


def reading_at(person: Person, time_s: float) -> str:
    """The reading of the moment that this time is part of."""
    interval = person.track.interval_s if person.track else 0.0
    for moment in person.moments:
        if moment.start_s <= time_s < moment.end_s + interval:
            return view.top_score(moment.emotions) if moment.emotions else "unanswered"
    return "no reading"


def unit_lines(track: Track, time_s: float) -> list[str]:
    """The units that are shown at a time, strongest first, blinks and speech named as such."""
    half = min(BETWEEN_S, track.interval_s) / 2  # it lasted until some time before the next frame
    events = sorted(
        (e for e in track.events if e.onset_s - half <= time_s <= e.offset_s + half),
        key=lambda e: -LEVELS.get(e.shown or "", 0),
    )
    told = []
    for event in events[:MOST_UNITS]:
        side = "" if event.side == "both" else f" {event.side}"
        kind = f" ({event.kind})" if event.kind != "expression" else ""
        told.append(f"AU{event.unit}{side} {event.shown or ''}".rstrip() + kind)
    return told
