"""Which moments of a clip are read: where the expression changes and where units peak."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kuleshov.tools.faces.tracking.timelines import smooth_values
from kuleshov.tools.faces.tracking.types import Track
from kuleshov.tools.types import LEVELS, EmotionScores

SEGMENT_S = 0.6  # a leading label that holds for less is a flicker, not a moment


@dataclass(frozen=True)
class Segment:
    """A stretch in which one label leads, or one burst of action units; `peak` is a place."""

    label: str | None
    first: int
    last: int
    peak: int
    strength: float


def expression_course(track: Track) -> list[EmotionScores | None]:
    """The expression at each frame of the track, smoothed over time; None where unknown."""
    if not track.expression or track.labels is None:
        return [None] * len(track.times_s)
    labels = list(track.expression)
    rows = np.stack([smooth_values(track, track.expression[label]) for label in labels], axis=1)
    course: list[EmotionScores | None] = []
    for row in rows:
        total = float(row.sum())
        if not math.isfinite(total) or total <= 0:
            course.append(None)
            continue
        course.append(
            EmotionScores(
                labels=track.labels,
                probabilities={
                    k: round(float(v) / total, 6) for k, v in zip(labels, row, strict=True)
                },
                method=f"{track.method}, smoothed over time",
            )
        )
    return course


def mean_expression(track: Track) -> EmotionScores | None:
    """The mean distribution over the frames in which one was measured, or None."""
    measured = [s for i in range(len(track.times_s)) if (s := track.scores_at(i)) is not None]
    if not measured:
        return None
    mean = {
        label: sum(scores.probabilities[label] for scores in measured) / len(measured)
        for label in measured[0].probabilities
    }
    method = measured[0].method if len(measured) == 1 else f"{measured[0].method}, mean over time"
    return EmotionScores(labels=measured[0].labels, probabilities=mean, method=method)


def cut_segments(track: Track) -> list[Segment]:
    """The track in order of time, cut where its leading label changes and where it was away.

    Without an expression: bursts of action units, from the earliest onset to the last offset.
    """
    course = expression_course(track)
    if all(scores is None for scores in course):
        return _unit_bursts(track)
    found: list[Segment] = []
    for places in track.stretches():
        runs: list[tuple[str | None, int, int]] = []
        for i in places:
            scores = course[i]
            label = scores.top if scores else None
            if runs and runs[-1][0] == label:
                runs[-1] = (label, runs[-1][1], i)
            else:
                runs.append((label, i, i))
        found += [
            _make_segment(course, run) for run in _merge_flickers(runs, track) if run[0] is not None
        ]
    return found


def _merge_flickers(
    runs: list[tuple[str | None, int, int]], track: Track
) -> list[tuple[str | None, int, int]]:
    """Runs without flickers: the shortest joins its longer neighbour until none is too short."""

    def length(run: tuple[str | None, int, int]) -> float:
        return track.times_s[run[2]] - track.times_s[run[1]] + track.interval_s

    while len(runs) > 1:
        short = min(range(len(runs)), key=lambda i: length(runs[i]))
        if length(runs[short]) >= SEGMENT_S:
            break
        sides = [i for i in (short - 1, short + 1) if 0 <= i < len(runs)]
        into = max(sides, key=lambda i: length(runs[i]))
        runs[into] = (
            runs[into][0],
            min(runs[into][1], runs[short][1]),
            max(runs[into][2], runs[short][2]),
        )
        del runs[short]
        for i in range(len(runs) - 1, 0, -1):
            if runs[i][0] == runs[i - 1][0]:
                runs[i - 1 : i + 1] = [(runs[i][0], runs[i - 1][1], runs[i][2])]
    return runs


def _make_segment(course: list[EmotionScores | None], run: tuple[str | None, int, int]) -> Segment:
    label, first, last = run

    def at(i: int) -> float:
        scores = course[i]
        return scores.probabilities[label or ""] if scores else 0.0

    peak = max(range(first, last + 1), key=at)
    mean = sum(at(i) for i in range(first, last + 1)) / (last - first + 1)
    return Segment(label, first, last, peak, (0.3 if label == "neutral" else 1.0) * mean)


def _unit_bursts(track: Track) -> list[Segment]:
    found: list[Segment] = []
    strengths = {1: 0.3, 2: 0.6, 3: 1.0}
    for event in track.events:
        if event.kind != "expression":
            continue
        first, last, peak = (
            track.nearest(time) or 0 for time in (event.onset_s, event.offset_s, event.apex_s)
        )
        strength = strengths.get(LEVELS.get(event.shown or "", 1), 0.3)
        if found and first <= found[-1].last:
            before = found.pop()
            stronger = before if before.strength >= strength else None
            found.append(
                Segment(
                    None,
                    before.first,
                    max(last, before.last),
                    stronger.peak if stronger else peak,
                    max(strength, before.strength),
                )
            )
        else:
            found.append(Segment(None, first, last, peak, strength))
    return found


def choose_segments(track: Track, most: int) -> list[Segment]:
    """At most `most` segments, the strongest and longest, in order of time."""
    known = cut_segments(track)

    def weight(segment: Segment) -> float:
        length = track.times_s[segment.last] - track.times_s[segment.first] + track.interval_s
        return segment.strength * math.sqrt(length)

    return sorted(sorted(known, key=weight, reverse=True)[:most], key=lambda s: s.first)
