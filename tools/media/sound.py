"""The sound of a clip: mono samples on the clip's own clock, streamed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuleshov.tools.media.clips import DEMUXERS, choose_sound
from kuleshov.tools.media.types import MediaError

Samples = NDArray[np.float32]

RATE = 16_000
"""Samples a second."""

_TOLERANCE = RATE // 20  # timestamps that are off by less are rounding, not a hole
_MOST = 10 * RATE  # silence put into a hole comes in pieces of at most this


class NoSoundError(MediaError):
    """The clip has no sound, or none that can be decoded."""


@contextmanager
def open_sound(
    source: Any, *, start_s: float = 0.0, end_s: float = float("inf")
) -> Iterator[Iterator[Samples]]:
    """Pieces of the sound stream that FFmpeg would choose: float32 in [-1, 1], 16 kHz, no holes.

    The first sample lies at `start_s` of the clip, by the clock that its frames go by. Where the
    stream has no sound (it begins later, or packets are lost) stands silence. It ends where the
    stream does, or at `end_s`. Nothing is kept, so memory does not grow with the length.

    Args:
        source: a clip's path or bytes.

    Raises:
        NoSoundError: it has no sound stream, or one that cannot be decoded.
    """
    import av

    data = isinstance(source, (bytes, bytearray, memoryview))
    try:
        container = av.open(
            io.BytesIO(source) if data else str(source),
            mode="r",
            metadata_errors="replace",
            options={"format_whitelist": DEMUXERS},
        )
    except (av.FFmpegError, ValueError, OSError):
        raise NoSoundError("the clip's sound cannot be read") from None
    with container:
        if not container.streams.audio:
            raise NoSoundError("the clip has no sound")
        stream = choose_sound(container)
        if stream.codec_context is None:
            raise NoSoundError("the clip's sound is in a codec that cannot be decoded here")
        yield _sound_pieces(container, stream, start_s, end_s)


def has_sound(source: Any) -> bool:
    """Whether the clip has a sound stream that can be decoded; False where it cannot be opened."""
    try:
        with open_sound(source):
            return True
    except NoSoundError:
        return False


def _sound_pieces(container: Any, stream: Any, start_s: float, end_s: float) -> Iterator[Samples]:
    zero_s = (container.start_time or 0) / 1e6
    at, end = round(start_s * RATE), end_s * RATE
    heard = False
    tolerance = 0  # the first sample lies where it should
    for time_s, samples in _decode_sound(container, stream):
        heard = True
        place = at if time_s is None else round((time_s - zero_s) * RATE)
        if place < at - tolerance:
            samples = samples[at - place :]
        while at + tolerance < place and at < end:
            hole = np.zeros(int(min(place - at, _MOST, end - at)), np.float32)
            at += len(hole)
            if not len(hole):
                return
            yield hole
        if at >= end:
            return
        if len(samples):
            samples = samples[: int(min(len(samples), end - at))]
            at += len(samples)
            tolerance = _TOLERANCE
            yield samples
    if not heard:
        raise NoSoundError("the clip's sound cannot be decoded")


def _decode_sound(container: Any, stream: Any) -> Iterator[tuple[float | None, Samples]]:
    """Decoded and resampled sound with its time in seconds; damaged packets are passed over."""
    import av

    def resampled(frame: Any) -> Iterator[tuple[float | None, Samples]]:
        for one in resampler.resample(frame):
            timed = one.pts is not None and one.time_base is not None
            time_s = float(one.pts * one.time_base) if timed else None
            yield time_s, one.to_ndarray().reshape(-1).astype(np.float32, copy=False)

    resampler: Any = av.AudioResampler(format="flt", layout="mono", rate=RATE)
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            packet = None  # the end, or where the file is cut off
        try:
            frames = stream.codec_context.decode(packet)
        except av.FFmpegError:
            frames = []
        for frame in frames:
            try:
                yield from resampled(frame)
            except ValueError:  # the stream changes its rate or channels midway
                resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
                yield from resampled(frame)
        if packet is None:
            yield from resampled(None)
            return
