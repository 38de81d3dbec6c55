"""From Whisper's tokens to lines with times, and from a stream of sound to its windows.

Whisper hears 30 s at a time and writes timestamps among its words, relative to the window. A line
that the window's end cuts off is dropped and heard again: the next window begins where the last
whole line ended (Radford et al. 2022, section 3.8, https://arxiv.org/abs/2212.04356).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kuleshov.tools.media.sound import RATE, Samples

LEAST_STEP_S = 1.0
"""A window that would move on by less is taken as it is, so that nothing is heard for ever."""

SILENT = 1e-3
"""Sound that nowhere exceeds this (-60 dB of full scale) is silence."""

FRAME = RATE // 50  # 20 ms
BACKGROUND = 25  # frames by which the background is told
STEADY, STANDS_OUT = 2.0, 4.0  # 6 and 12 dB
"""A background's levels lie this close together, which those of speech never do (between its sounds
and its gaps lie 15 dB and more); what is this much above it is a sound."""


@dataclass(frozen=True)
class SpokenLine:
    """Words as token ids, seconds from the start of their window."""

    start_s: float
    end_s: float
    tokens: tuple[int, ...]


def window_lines(
    tokens: Sequence[int], *, first_timestamp: int, tick_s: float, length_s: float
) -> tuple[list[SpokenLine], float]:
    """The lines of one window, and how far to move on, seconds.

    Args:
        tokens: what was written after the prompt, without the end token.
        first_timestamp: id of the token for 0 s; those above it count in steps of `tick_s`.
        length_s: of the sound in the window. A line that begins behind it was made up in the
            padding and is left out; ends are cut to it.
    """
    found: list[SpokenLine] = []
    words: list[int] = []
    begin_s: float | None = None
    for token in tokens:
        if token < first_timestamp:
            words.append(token)
            continue
        time_s = round((token - first_timestamp) * tick_s, 3)
        if words:
            found.append(SpokenLine(begin_s or 0.0, time_s, tuple(words)))
            words, begin_s = [], None
        else:
            begin_s = time_s
    step_s = length_s
    # a second timestamp after an end, or words without an end: the next line was cut off
    if found and (words or begin_s is not None):
        cut_s = found[-1].end_s if begin_s is None else begin_s
        if LEAST_STEP_S <= cut_s < length_s:
            words, step_s = [], cut_s
    if words:
        found.append(SpokenLine(begin_s or 0.0, length_s, tuple(words)))
    inside = [line for line in found if line.start_s < length_s]
    return [SpokenLine(n.start_s, min(n.end_s, length_s), n.tokens) for n in inside], step_s


def is_silent(samples: Samples) -> bool:
    return float(np.abs(samples).max(initial=0.0)) < SILENT


def pause_before(samples: Samples) -> float:
    """Seconds of silence, or of a steady background, before the first sound that stands out.

    0 where something sounds from the start, where the background is not steady (somebody may
    speak softly in it), and where nothing stands out. Levels are the root mean square of frames of
    20 ms.
    """
    count = len(samples) // FRAME
    if count <= BACKGROUND:
        return 0.0
    frames = samples[: count * FRAME].reshape(count, FRAME).astype(np.float64)
    levels = np.sqrt((frames**2).mean(axis=1))
    floor = max(SILENT / STANDS_OUT, float(np.median(levels[:BACKGROUND])))
    sounds = np.flatnonzero(levels > STANDS_OUT * floor)
    if len(sounds) == 0 or sounds[0] < BACKGROUND:
        return 0.0
    low, high = np.quantile(levels[: sounds[0]], [0.1, 0.9])
    if high > max(SILENT, STEADY * low):
        return 0.0
    return float(sounds[0] * FRAME / RATE)


class Windows:
    """A stream of samples, of which at most `size` are held; `at` is the place of the window."""

    def __init__(self, pieces: Iterator[Samples], size: int) -> None:
        self.pieces, self.size = pieces, size
        self.at = 0
        self._held = np.zeros(0, np.float32)

    def window(self) -> Samples:
        """The samples from `at` on, fewer than `size` only at the end."""
        held, count = [self._held], len(self._held)
        while count < self.size and (piece := next(self.pieces, None)) is not None:
            held.append(piece)
            count += len(piece)
        self._held = np.concatenate(held)
        return self._held[: self.size]

    def move(self, samples: int) -> None:
        self._held = self._held[samples:]
        self.at += samples
