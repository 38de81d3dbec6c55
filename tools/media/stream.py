"""A clip as a stream: each frame decoded once, sampled as asked, shots told apart.

Nothing of a frame is kept here but a thumbnail, so memory does not grow with the clip's length.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Literal

import numpy as np

from kuleshov.tools.media.clips import Clip
from kuleshov.tools.media.types import Frame, Media, Rgb

Sampling = Literal["rate", "count", "cuts", "moments"]
THUMB = (32, 18)
# A new shot: thumbnails differ by this much of 255, and by this many times what is usual. The
# second keeps pans and hand-held cameras from being cut up, as PySceneDetect's adaptive detector
CUT_LEAST, CUT_RATIO = 24.0, 4.0
SHOT_LEAST_S = 0.4
SETTLED_S = 0.2  # after a cut, when only shots are sampled: past a dissolve's first frames
LONG_SHOT_S = 10.0  # a shot that goes on is sampled again after this


@dataclass(frozen=True)
class FrameSample:
    """One sampled frame, its pixels, and whether a new shot began since the last one.

    A frame that stays on the screen is sampled again and again, with the same pixels and the
    same `frame.index`, while `frame.time_s` goes on.
    """

    frame: Frame
    image: Rgb
    cut: bool


class ClipStream:
    """A clip that is opened and measured, and whose frames are yet to be read."""

    def __init__(self, clip: Clip, file: IO[bytes], path: str | None, sha256: str, form: str):
        self.clip, self.file = clip, file
        self.path, self.sha256, self.form = path, sha256, form
        self.cuts_s: list[float] = []
        self.size: tuple[int, int] = (1, 1)
        self.read = 0
        clip.probe()

    @property
    def duration_s(self) -> float:
        return self.clip.duration_s or 0.0

    def close(self) -> None:
        self.file.close()

    def media(self, frames: tuple[Frame, ...] = ()) -> Media:
        """The record of the clip as far as it has been read."""
        return Media(
            path=self.path,
            sha256=self.sha256,
            kind="clip",
            size=self.size,
            format=self.form,
            notes=tuple(self.clip.notes),
            duration_s=self.duration_s,
            frames=frames,
            read=self.read,
            cuts_s=tuple(self.cuts_s),
            frame_count=self.clip.frame_count,
            full_size=self.clip.full_size,
            orientation=self.clip.orientation,
        )

    def samples(
        self,
        sampling: Sampling = "rate",
        *,
        rate: float = 5.0,
        count: int = 8,
        start_s: float = 0.0,
    ) -> Iterator[FrameSample]:
        """The sampled frames in order of time.

        Args:
            sampling: `rate` and `moments`: `rate` frames a second, by the clip's timestamps;
                `count`: at the middles of `count` equal parts; `cuts`: one frame a shot, and
                one more every ten seconds of a long one.
            rate: frames a second.
            count: how many, for `count`.
            start_s: frames before this time are passed over.

        Raises:
            MediaError: no frame can be decoded.
        """
        if sampling in ("rate", "moments"):
            yield from self._steady(rate, start_s)
            return
        wanted = set(self.clip.times_of(count)) if sampling == "count" else set()
        shots = Shots()
        due, pending = start_s, False
        for time, raw, video in self.clip.decoded():
            frame = self.clip.frame(time)
            if frame.time_s < start_s - 1e-6:
                continue
            if shots.begins(raw, frame.time_s):
                self.cuts_s.append(frame.time_s)
                pending = True
                if sampling == "cuts":
                    due = frame.time_s + SETTLED_S
            if sampling == "count":
                if time not in wanted:
                    continue
            elif frame.time_s < due - 1e-6:
                continue
            else:
                due = frame.time_s + LONG_SHOT_S
            yield self._taken(frame, raw, video, pending)
            pending = False

    def _steady(self, rate: float, start_s: float) -> Iterator[FrameSample]:
        """Frames at a steady rate; where none comes in time, the one that is on the screen.

        A clip of fewer frames than `rate` gives each once: its own rate is not made up for.
        """
        shots = Shots()
        step = max(1 / rate, self.clip.usual_s)
        due, sampled_s = start_s, -float("inf")
        pending = False
        on: tuple[Frame, Any, Any] | None = None  # what is on the screen
        shown: FrameSample | None = None  # the last sample
        left_out = 0

        def stays(until_s: float) -> Iterator[FrameSample]:
            nonlocal due, sampled_s, pending, shown
            if on is None or self.clip.left_out != left_out:
                return  # what came after it is not known
            frame, raw, video = on
            # up to the next timestamp, also where the frame that it belongs to is damaged
            until_s = min(until_s, self.clip.until_s(frame.index))
            while (at := max(due, sampled_s + step)) + 0.5 * step < until_s - 1e-6:
                if shown is not None and shown.frame.index == frame.index:
                    here = Frame(index=frame.index, time_s=round(at, 6))
                    shown = FrameSample(here, shown.image, pending)
                else:
                    begins = max(frame.time_s, start_s)
                    shown = self._taken(
                        Frame(index=frame.index, time_s=round(begins, 6)), raw, video, pending
                    )
                pending = False
                sampled_s, due = shown.frame.time_s, at + step
                yield shown

        for time, raw, video in self.clip.decoded():
            frame = self.clip.frame(time)
            if frame.time_s < start_s - 1e-6:
                on, left_out = (frame, raw, video), self.clip.left_out
                continue
            yield from stays(frame.time_s)
            on, left_out = (frame, raw, video), self.clip.left_out
            if shots.begins(raw, frame.time_s):
                self.cuts_s.append(frame.time_s)
                pending = True
            if frame.time_s < due - 1e-6:
                continue
            shown = self._taken(frame, raw, video, pending)
            sampled_s = frame.time_s
            due = max(due + 1 / rate, frame.time_s + 0.5 / rate)
            pending = False
            yield shown
        yield from stays(self.duration_s)

    def _taken(self, frame: Frame, raw: Any, video: Any, cut: bool) -> FrameSample:
        image = self.clip.picture(raw, video)
        self.size = (image.shape[1], image.shape[0])
        self.read += 1
        return FrameSample(frame, image, cut)


class Shots:
    """Tells where a new shot begins, from one frame to the next."""

    def __init__(self) -> None:
        self._last: Any = None
        self._usual: deque[float] = deque(maxlen=12)
        self._began = 0.0

    def begins(self, frame: Any, time_s: float) -> bool:
        """Whether `frame`, PyAV's, is the first of a new shot; the first frame of all is not."""
        small = frame.to_ndarray(format="rgb24", width=THUMB[0], height=THUMB[1]).astype(np.int16)
        if self._last is None:
            self._last, self._began = small, time_s
            return False
        change = float(np.abs(small - self._last).mean())
        self._last = small
        usual = float(np.median(self._usual)) if self._usual else 0.0
        self._usual.append(change)
        if change < max(CUT_LEAST, CUT_RATIO * usual) or time_s - self._began < SHOT_LEAST_S:
            return False
        self._began = time_s
        return True
