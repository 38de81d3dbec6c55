"""Clips: frames at their real times, streamed, so that memory does not grow with the length."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np

from kuleshov.tools.media import colour
from kuleshov.tools.media.orientation import UPRIGHT, find_orientation, turn_pixels, turn_size
from kuleshov.tools.media.types import Frame, MediaError, Rgb, check_pixels

# Only these may read a clip: others (HLS, concat) are lists that would open further addresses
DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,asf,flv"
# Between the end a clip's header promises and its last packet: rounding and audio padding, seconds
_END_TOLERANCE_S = 0.25
LONGEST_SIDE = 1920
"""Larger frames are scaled down to this as they are decoded, pixels: an 8K frame has 100 MB."""


class _SeekError(Exception):
    """Seeking came out behind the frame that was wanted."""


class _Scanned:
    """What the packets of one stream say. Times and durations are in ticks."""

    def __init__(self) -> None:
        self.times = array("q")
        self.keys = array("q")
        self.durations = self.last = 0
        self.end_s = 0.0
        self._latest: int | None = None

    def add(self, time: int, duration: int, key: bool) -> None:
        self.times.append(time)
        if key:
            self.keys.append(time)
        self.durations += duration
        if self._latest is None or time >= self._latest:
            self._latest, self.last = time, duration


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
        self.orientation: int | None = None  # EXIF's code; None: stored as it is shown
        self._times = array("q")
        self._keys = array("q")
        self._counts = False
        self._start_s = self._tick = 0.0
        self._end = 0  # ticks: until when the last frame is on the screen
        self._index: int | None = None  # the video stream that is read, once it is known
        self._size: tuple[int, int] | None = None  # of the first frame, as it is stored
        self._colour = (2, 2)  # colour primaries and transfer of the stream; 2: not told
        self.left_out = 0  # frames whose timestamps run backwards, by `decoded`
        self.usual_s = 0.0
        """Seconds from one frame to the next, the median."""

    def open(self) -> tuple[Any, Any]:
        """A fresh container and its video stream."""
        import av

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
        videos = _moving_streams(container)
        if not videos:
            if container.streams.audio:
                what = "only sound"
            elif container.streams.subtitles:
                what = "only subtitles"
            else:
                what = "nothing that can be shown"
            container.close()
            raise MediaError(f"{self.name} has no video stream: it holds {what}.")
        video = next((v for v in videos if v.index == self._index), None) or _best_stream(
            container, videos
        )
        if video.codec_context is None:
            container.close()
            raise MediaError(f"{self.name} uses a video codec that cannot be decoded here.")
        if video.width and video.height:
            try:
                check_pixels(self.name, video.width, video.height, self.max_pixels)
            except MediaError:
                container.close()
                raise
        video.thread_type = "AUTO"
        return container, video

    def probe(self) -> None:
        """Read the packets: times of all frames, where the clip really ends. Raises MediaError."""
        container, video = self.open()
        with container:
            # AVI holds no presentation times, and what FFmpeg makes up for it is out of order
            # with B-frames: there the n-th decoded frame is the n-th in time
            self._counts = container.format.name == "avi"
            streams, end_s = self._scan(container)
            video = _choose_stream(container, streams) or video
            self._index = video.index
            found = streams.get(video.index, _Scanned())
            self._times = times = array("q", sorted(found.times))
            self._keys = array("q", sorted(found.keys))
            self._start_s = start_s = (container.start_time or 0) / 1e6
            declared_s = None if container.duration is None else container.duration / 1e6
            if declared_s is not None and "matroska" in container.format.name:
                declared_s -= start_s  # which it counts from 0, wherever its frames begin
            self._tick = float(video.time_base)
            rate = float(video.average_rate or 0)
            if self._counts and rate and video.frames:
                declared_s = video.frames / rate  # FFmpeg shrinks the duration of a cut-off AVI
            width, height = video.width, video.height
            self._say_streams(container, video, streams)
            sound = choose_sound(container)
            sound_end_s = streams[sound.index].end_s if sound and sound.index in streams else 0.0
        if not times:
            raise self._no_frames()
        self._measure(found, rate, max(0.0, sound_end_s))
        if declared_s is not None and end_s - start_s < declared_s - _END_TOLERANCE_S - (
            self.usual_s
        ):
            self.notes.append(
                f"the clip is cut off: it ends at {self.duration_s:.2f} s of {declared_s:.2f} s"
            )
        if max(width, height) > LONGEST_SIDE:
            scale = LONGEST_SIDE / max(width, height)
            self.notes.append(
                f"read at {round(width * scale)}×{round(height * scale)} of {width}×{height} pixels"
            )
        self._look_at_first()

    def _measure(self, found: _Scanned, rate: float, sound_end_s: float) -> None:
        """How long the last frame stays on the screen, and so how long the clip is."""
        times = self._times
        steps = np.diff(np.asarray(times, np.int64))
        steps = steps[steps > 0]
        usual = float(np.median(steps)) if len(steps) else 0.0
        self.usual_s = usual * self._tick
        span = times[-1] - times[0]
        # The durations of the other frames tell whether durations are meant: WebM gives each
        # frame the same one, however long it stays
        meant = abs(found.durations - found.last - span) <= 0.1 * span
        stay = float(found.last) if meant else max(float(found.last), usual)
        if stay <= 0:
            stay = usual or (1 / rate / self._tick if rate else 0.0)
        end_s = times[-1] * self._tick + stay * self._tick
        if sound_end_s > end_s + _END_TOLERANCE_S:
            self.notes.append(
                f"the sound goes on for {sound_end_s - end_s:.2f} s after the last frame, which "
                "stays on the screen"
            )
            end_s = sound_end_s
        self._end = round(end_s / self._tick)
        self.duration_s = round(max(0.0, end_s - self._start_s), 6)

    def _say_streams(self, container: Any, video: Any, streams: dict[int, _Scanned]) -> None:
        """Notes that name the streams chosen where there are several."""
        videos = _moving_streams(container)
        if len(videos) > 1:
            others = ", ".join(
                f"{v.width}×{v.height}, {len(streams[v.index].times) if v.index in streams else 0} "
                "frames"
                for v in videos
                if v.index != video.index
            )
            self.notes.append(
                f"of {len(videos)} video streams the one of {video.width}×{video.height} pixels "
                f"(stream {video.index}) is read, not {others}"
            )
        sounds = container.streams.audio
        sound = choose_sound(container)
        if sound is not None and len(sounds) > 1:
            language = (getattr(sound, "language", None) or "").strip("und")
            self.notes.append(
                f"of {len(sounds)} sound streams stream {sound.index}"
                + (f" ({sound.language})" if language else "")
                + " is heard"
            )

    def _look_at_first(self) -> None:
        """The first frame's size and colours are the clip's."""
        container, video = self.open()
        with container:
            told = video.codec_context
            self._colour = (int(told.color_primaries), int(told.color_trc))
            self._size = (video.width, video.height) if video.width else None
            for _, frame in self._stream(container, video, self._times[0]):
                self._size = (frame.width, frame.height)
                code = find_orientation(frame)
                self.full_size = turn_size((frame.width, frame.height), code)
                self.orientation = None if code == UPRIGHT else code
                primaries, transfer = self._colour_of(frame)
                if colour.needs_conversion(primaries, transfer):
                    self.notes.append(colour.note_of(primaries, transfer))
                break

    def _colour_of(self, frame: Any) -> tuple[int, int]:
        primaries, transfer = int(frame.color_primaries), int(frame.color_trc)
        return (
            self._colour[0] if primaries in (0, 2) else primaries,
            self._colour[1] if transfer in (0, 2) else transfer,
        )

    def picture(self, frame: Any, video: Any) -> Rgb:
        """The frame as a player shows it, 8-bit sRGB: square pixels, turned as the file says.

        Its longer side is at most `LONGEST_SIDE`. A frame of another size than the first is
        fitted into the first one's, so that places in pixels mean the same in all of them.
        """
        aspect = float(video.sample_aspect_ratio or 1)
        stored = self._size or (frame.width, frame.height)
        width, height = _reading_size(stored[0], stored[1], aspect)
        if (frame.width, frame.height) == stored:
            return turn_pixels(self._pixels(frame, width, height), find_orientation(frame))
        note = f"the size of the frames changes midway: they are fitted into {width}×{height}"
        if note not in self.notes:
            self.notes.append(note)
        own = frame.width * aspect if not 0.99 < aspect < 1.01 else float(frame.width)
        scale = min(width / own, height / frame.height)
        inner = (
            max(1, min(width, round(own * scale))),
            max(1, min(height, round(frame.height * scale))),
        )
        canvas = np.zeros((height, width, 3), np.uint8)
        x, y = (width - inner[0]) // 2, (height - inner[1]) // 2
        canvas[y : y + inner[1], x : x + inner[0]] = self._pixels(frame, *inner)
        return turn_pixels(canvas, find_orientation(frame))

    def _pixels(self, frame: Any, width: int, height: int) -> Rgb:
        primaries, transfer = self._colour_of(frame)
        if not colour.needs_conversion(primaries, transfer):
            rgb: Rgb = frame.to_ndarray(format="rgb24", width=width, height=height)
            return rgb
        deep = frame.to_ndarray(format="rgb48le", width=width, height=height)
        return colour.to_srgb(deep, primaries, transfer)

    @property
    def frame_count(self) -> int:
        """Frames that the file holds; call `probe` first."""
        return len(self._times)

    def times_of(self, count: int) -> list[int]:
        """Times in ticks of the frames on the screen at the middles of `count` equal parts."""
        times = self._times
        first, span = times[0], self._end - times[0]
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

    def until_s(self, index: int) -> float:
        """Until when the frame at this place stays on the screen, seconds."""
        last = index + 1 >= len(self._times)
        end = self._end if last else self._times[index + 1]
        return max(0.0, end * self._tick - self._start_s)

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
        self.left_out = seen = 0
        with container:
            for time, frame in self._stream(container, video, self._times[0]):
                if last is not None and time <= last:
                    self.left_out += 1
                    continue
                last = time
                seen += 1
                yield time, frame, video
        if not seen:
            raise self._no_frames()
        if self.left_out:
            self.notes.append(
                f"the timestamps run backwards: {self.left_out} of {seen + self.left_out} frames "
                "were left out"
            )
        lost = len(self._times) - seen - self.left_out
        if lost > 0:
            self.notes.append(f"{lost} of {len(self._times)} frames are damaged")

    def _no_frames(self) -> MediaError:
        return MediaError(f"{self.name} has a video stream but no frame that can be read.")

    def _scan(self, container: Any) -> tuple[dict[int, _Scanned], float]:
        """What the packets of each stream say, by the stream's index; end of all, seconds."""
        import av

        streams: dict[int, _Scanned] = {}
        videos = {video.index for video in _moving_streams(container)}
        end_s = 0.0
        try:
            for packet in container.demux():
                time = packet.dts if self._counts or packet.pts is None else packet.pts
                # AVI has empty packets for repeated frames; partial ones come from a cut-off file
                if time is None or not packet.size or packet.is_corrupt:
                    continue
                until_s = float((time + (packet.duration or 0)) * packet.time_base)
                end_s = max(end_s, until_s)
                found = streams.setdefault(packet.stream.index, _Scanned())
                found.end_s = max(found.end_s, until_s)
                if packet.stream.index in videos and not packet.is_discard:
                    found.add(time, packet.duration or 0, packet.is_keyframe)
        except av.FFmpegError:
            pass  # cut off: what was read is there, and the end is compared with the header's
        return streams, end_s

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
                    if step is None and sought and at is None:
                        raise _SeekError  # MPEG-TS has no index: a seek may end at the end
                    if step is None:
                        return found
                    if sought and at is None and step[0] > time:
                        raise _SeekError
                    at, frame = step
                if at not in found:
                    found[at] = self.picture(frame, video)
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


def _moving_streams(container: Any) -> list[Any]:
    """The video streams that are moving pictures: no covers, no thumbnails."""
    from av.stream import Disposition

    no_clip = Disposition.attached_pic | Disposition.timed_thumbnails
    return [stream for stream in container.streams.video if not stream.disposition & no_clip]


def _best_stream(container: Any, videos: list[Any]) -> Any:
    """FFmpeg's own choice, if it is among `videos`; else the one with the most pixels."""
    best = container.streams.best("video")
    if best is not None and any(video.index == best.index for video in videos):
        return best
    return max(videos, key=lambda video: (video.width or 0) * (video.height or 0))


def _choose_stream(container: Any, streams: dict[int, _Scanned]) -> Any:
    """The video stream to read, now that it is known how many frames each one has; or None.

    FFmpeg's choice, but no preview of one frame beside a stream of many, and nothing that cannot
    be decoded beside what can.
    """
    videos = [
        v for v in _moving_streams(container) if v.index in streams and streams[v.index].times
    ]
    videos = [v for v in videos if v.codec_context is not None] or videos
    moving = [v for v in videos if len(streams[v.index].times) > 1] or videos
    return _best_stream(container, moving) if moving else None


def choose_sound(container: Any) -> Any:
    """The sound stream to hear: FFmpeg's choice, else the first that can be decoded; or None."""
    sounds = list(container.streams.audio)
    best = container.streams.best("audio")
    if best is not None and best.codec_context is not None:
        return best
    return next((s for s in sounds if s.codec_context is not None), sounds[0] if sounds else None)


def _reading_size(width: int, height: int, aspect: float) -> tuple[int, int]:
    """Width and height with square pixels, the longer at most `LONGEST_SIDE`."""
    if not 0.99 < aspect < 1.01:
        width = max(1, round(width * aspect))
    scale = min(1.0, LONGEST_SIDE / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
