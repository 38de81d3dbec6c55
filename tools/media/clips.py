"""Clips: frames at their real times, streamed, so that memory does not grow with the length."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np

from kuleshov.tools.media.types import Frame, MediaError, Rgb, check_pixels

# Only these may read a clip: others (HLS, concat) are lists that would open further addresses
DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
# Between the end a clip's header promises and its last packet: rounding and audio padding, seconds
_END_TOLERANCE_S = 0.25
LONGEST_SIDE = 1920
"""Larger frames are scaled down to this as they are decoded, pixels: an 8K frame has 100 MB."""


class _SeekError(Exception):
    """Seeking came out behind the frame that was wanted."""


class Clip:
    """Reads a clip twice: once its packets, for real timestamps and its real end, then frames.

    The first pass decodes nothing; it keeps 8 bytes a frame. `sample` fills in the rest.
    """

    def __init__(self, file: IO[bytes], name: str, max_pixels: int) -> None:
        self.file, self.name, self.max_pixels = file, name, max_pixels
        self.notes: list[str] = []
        self.frames: list[Frame] = []
        self.duration_s: float | None = None
        self.full_size: tuple[int, int] | None = None
        self._times = array("q")
        self._keys = array("q")
        self._counts = False
        self._start_s = self._tick = self._one_s = 0.0

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
                options={"format_whitelist": DEMUXERS},
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
            if container.streams.audio:
                what = "only sound"
            elif container.streams.subtitles:
                what = "only subtitles"
            else:
                what = "nothing that can be shown"
            container.close()
            raise MediaError(f"{self.name} has no video stream: it holds {what}.")
        video = videos[0]
        if video.codec_context is None:
            container.close()
            raise MediaError(f"{self.name} uses a video codec that cannot be decoded here.")
        if video.width and video.height:
            check_pixels(self.name, video.width, video.height, self.max_pixels)
        video.thread_type = "AUTO"
        return container, video

    def probe(self) -> None:
        """Read the packets: times of all frames, where the clip really ends. Raises MediaError."""
        container, video = self.open()
        with container:
            # AVI holds no presentation times, and what FFmpeg makes up for it is out of order
            # with B-frames: there the n-th decoded frame is the n-th in time
            self._counts = container.format.name == "avi"
            times, self._keys, end_s = self._scan(container, video)
            self._times = times
            self._start_s = start_s = (container.start_time or 0) / 1e6
            declared_s = None if container.duration is None else container.duration / 1e6
            self._tick = float(video.time_base)
            rate = float(video.average_rate or 0)
            if self._counts and rate and video.frames:
                declared_s = video.frames / rate  # FFmpeg shrinks the duration of a cut-off AVI
            width, height = video.width, video.height
        if not times:
            raise self._no_frames()
        self._one_s = 1 / rate if rate else 0.0
        last_s = times[-1] * self._tick - start_s + self._one_s
        self.duration_s = round(max(0.0, last_s), 6)
        if declared_s is not None and end_s - start_s < declared_s - _END_TOLERANCE_S - self._one_s:
            self.notes.append(
                f"the clip is cut off: it ends at {self.duration_s:.2f} s of {declared_s:.2f} s"
            )
        if max(width, height) > LONGEST_SIDE:
            scale = LONGEST_SIDE / max(width, height)
            self.notes.append(
                f"read at {round(width * scale)}×{round(height * scale)} of {width}×{height} pixels"
            )

    @property
    def frame_count(self) -> int:
        """Frames that the file holds; call `probe` first."""
        return len(self._times)

    def times_of(self, count: int) -> list[int]:
        """Times in ticks of the frames on the screen at the middles of `count` equal parts."""
        times = self._times
        first, span = times[0], times[-1] + self._one_s / self._tick - times[0]
        return sorted(
            {
                times[max(0, bisect_right(times, first + span * (part + 0.5) / count) - 1)]
                for part in range(count)
            }
        )

    def frame(self, time: int) -> Frame:
        """The record of the frame at `time`, in ticks."""
        return Frame(
            index=min(bisect_left(self._times, time), len(self._times) - 1),
            time_s=round(max(0.0, time * self._tick - self._start_s), 6),
        )

    def sample(self, count: int) -> list[Rgb]:
        self.probe()
        wanted = self.times_of(count)
        found = self._found(wanted)
        if not found:
            raise self._no_frames()
        if len(found) < len(wanted):
            self.notes.append(f"{len(wanted) - len(found)} of {len(wanted)} frames are damaged")
        self.frames = [self.frame(time) for time in sorted(found)]
        return [found[time] for time in sorted(found)]

    def at(self, places: Sequence[int]) -> list[Rgb]:
        """The frames at these places in order of time; call `probe` first.

        In place of a damaged frame stands the next good one. Raises MediaError.
        """
        wanted = sorted({self._times[place] for place in places})
        found = self._found(wanted)
        times = sorted(found)
        if not times:
            raise self._no_frames()
        return [
            found[times[min(bisect_left(times, self._times[place]), len(times) - 1)]]
            for place in places
        ]

    def _found(self, wanted: Sequence[int]) -> dict[int, Rgb]:
        try:
            # where frames are counted, nothing tells whether a seek came to the right one
            return self._decode(wanted, None if self._counts else self._keys)
        except _SeekError:  # a file without a good index; streaming always works
            return self._decode(wanted, None)

    def decoded(self) -> Iterator[tuple[int, Any, Any]]:
        """Every frame once, in order of time: time in ticks, PyAV's frame, its stream.

        Frames whose timestamps run backwards are left out, and a note says how many; so does
        one for damaged frames. Call `probe` first.
        """
        container, video = self.open()
        last: int | None = None
        backwards = seen = 0
        with container:
            for time, frame in self._stream(container, video, self._times[0]):
                if last is not None and time <= last:
                    backwards += 1
                    continue
                last = time
                seen += 1
                self.full_size = full_size(frame)
                yield time, frame, video
        if not seen:
            raise self._no_frames()
        if backwards:
            self.notes.append(
                f"the timestamps run backwards: {backwards} of {seen + backwards} frames were "
                "left out"
            )
        lost = len(self._times) - seen - backwards
        if lost > 0:
            self.notes.append(f"{lost} of {len(self._times)} frames are damaged")

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
                    found[at] = upright(frame, video)
                    self.full_size = full_size(frame)
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


def upright(frame: Any, video: Any) -> Rgb:
    """The frame as a player shows it: square pixels, turned and mirrored as the file says.

    Its longer side is at most `LONGEST_SIDE`.
    """
    aspect = float(video.sample_aspect_ratio or 1)
    width = frame.width if 0.99 < aspect < 1.01 else max(1, round(frame.width * aspect))
    scale = min(1.0, LONGEST_SIDE / max(width, frame.height))
    rgb = frame.to_ndarray(
        format="rgb24", width=round(width * scale), height=round(frame.height * scale)
    )
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


def full_size(frame: Any) -> tuple[int, int]:
    """(width, height) in the file's own pixels, turned as `upright` turns, not scaled."""
    side = frame.side_data.get("DISPLAYMATRIX")
    if side is not None:
        a, b = (int(value) for value in np.frombuffer(bytes(side), np.int32)[:2])
        if abs(b) > abs(a):
            return frame.height, frame.width
    return frame.width, frame.height
